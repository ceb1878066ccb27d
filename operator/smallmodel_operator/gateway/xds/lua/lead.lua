-- To a model: what target and decided do alike once it is known which.

-- Bytes of the body; only a body of unknown length (chunked) has to be asked.
function size(handle, headers)
  local length = tonumber(headers:get("content-length") or "")
  if length then
    return length
  end
  local body = handle:body(true)
  return body and body:length() or 0
end

-- Writes members into the body, before its last brace: of equal keys the engine takes the last, so nothing a caller
-- writes there counts.
function add(handle, members)
  local body = handle:body(true)
  local text = body:getBytes(0, body:length())
  local brace = #text
  while brace > 0 and text:byte(brace) ~= 125 do
    brace = brace - 1
  end
  local length = body:setBytes(text:sub(1, brace - 1) .. "," .. members .. text:sub(brace))
  local headers = handle:headers()
  if headers:get("content-length") then
    headers:replace("content-length", tostring(length))
  end
end

-- The choice of an adapter. Numbers it does not name are at scale 0, and so are all by themselves.
local function choose(handle, number)
  local choice = number and '{"id":' .. number .. ',"scale":1}' or ""
  add(handle, '"lora":[' .. choice .. "]")
end

-- Puts a name where the body has that of the route; nothing else of it changes.
function rename(handle, name)
  local first, last = (handle:headers():get("x-slm-model-at") or ""):match("^(%d+),(%d+)$")
  local body = handle:body(true)
  local text = body:getBytes(0, body:length())
  local length = body:setBytes(text:sub(1, tonumber(first)) .. '"' .. name .. '"' .. text:sub(tonumber(last) + 1))
  local headers = handle:headers()
  if headers:get("content-length") then
    headers:replace("content-length", tostring(length))
  end
end

-- Puts back what the body said there before it left: the rest is done as if it had come just now.
function restore(handle, said)
  rename(handle, said)
  local headers = handle:headers()
  local first = tonumber(headers:get("x-slm-model-at"):match("^(%d+)"))
  headers:replace("x-slm-model-at", string.format("%d,%d", first, first + #said + 2))
  headers:remove("x-slm-model-said")
end

-- To a model's route. wanted: what its body names, or is made to name.
function send(handle, call, target, model, wanted, adapter, renamed)
  local route = target .. "|" .. wanted
  if model.stamp then -- of the bytes as they came: before anything changes them
    stamp(handle, model.stamp.name, model.stamp.key, model.stamp.most)
  end
  known(handle, call)
  if renamed then
    rename(handle, wanted)
  end
  if model.adapters then
    choose(handle, adapter and model.adapters[adapter])
    route = "+" .. target
  end
  local headers = handle:headers() -- waiting for a body ends the life of those before
  headers:replace("x-slm-target", target)
  headers:replace("x-slm-route", route)
  handle:clearRouteCache()
end

-- Why a target that a route declares answers nobody.
local function closed(lead)
  if lead.why == "forbidden" then
    return "SmallModel " .. lead.target .. " does not let this route in: its spec.access.namespaces has to name the"
      .. " route's namespace."
  end
  return "there is no SmallModel " .. lead.target .. "."
end

-- False after a refusal. Which adapters there are is told to those who may use the model.
function has_adapter(handle, call, target, model, adapter)
  if not (model.adapters and model.adapters[adapter]) then
    refuse(handle, call, {
      status = 404,
      cause = "unknown-adapter",
      code = "model_not_found",
      param = "model",
      message = "Model " .. target .. " has no adapter '" .. shown(adapter) .. "' that all its pods have loaded."
        .. " GET /v1/models lists those it has.",
    })
    return false
  end
  return true
end

-- To a target of a route, which the caller may use: true; or it says why that answers nobody.
function lead_on(handle, call, path, where, lead, adapter)
  call.route = where .. "/" .. lead.name
  local model = MODELS[lead.target]
  if lead.why ~= "ok" or not model then
    return refuse(handle, call, {
      status = 503,
      cause = "target-" .. (lead.why ~= "ok" and lead.why or "missing"),
      type = "server_error",
      code = "target_unavailable",
      message = "Target '" .. lead.name .. "' of route " .. where .. " cannot answer: "
        .. closed(lead),
    })
  end
  call.target = lead.target
  local bytes = size(handle, handle:headers())
  if not answering(handle, call, lead.target, model) or not suits(handle, call, lead.target, model, path, bytes) then
    return
  end
  if adapter and not has_adapter(handle, call, lead.target, model, adapter) then
    return
  end
  call.adapter = adapter
  send(handle, call, lead.target, model, lead.target:match("/(.+)$"), adapter, true)
  return true
end
