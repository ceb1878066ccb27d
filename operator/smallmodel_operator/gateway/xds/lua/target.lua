-- The target: from the body's model (a header made by the filter before) to a route; what is not allowed stops here.
-- On the way back: Server-Timing, and tokens counted from bytes that pass through unchanged and undelayed.

local function unknown(handle, wanted, namespace)
  refuse(handle, {
    status = 404,
    cause = "unknown-model",
    code = "model_not_found",
    param = "model",
    message = "There is no model '" .. shown(wanted) .. "' in namespace " .. namespace .. ". GET /v1/models lists those"
      .. " you may use; those of another namespace are at /<namespace>/v1.",
  })
end

local function unreadable(handle)
  refuse(handle, {
    status = 400,
    cause = "no-model",
    code = "invalid_body",
    param = "model",
    message = "The body must be a JSON object with the key `model` exactly once, a string.",
  })
end

-- Bytes of the body; only a body of unknown length (chunked) has to be asked.
local function size(handle, headers)
  local length = tonumber(headers:get("content-length") or "")
  if length then
    return length
  end
  local body = handle:body(true)
  return body and body:length() or 0
end

-- True when the model may be asked; refuses otherwise.
local function allowed(handle, headers, target, model)
  local data, who = handle:metadata(), headers:get("x-slm-caller")
  local from = headers:get("x-slm-caller-namespace") or ""
  local open = data:get("a:" .. target .. "|" .. who) or (from ~= "" and data:get("a:" .. target .. "|ns:" .. from))
  if not open then
    refuse(handle, {
      status = 403,
      cause = "not-allowed",
      type = "permission_error",
      code = "model_access_denied",
      param = "model",
      message = who .. " may not use model " .. target .. ": its spec.access does not name this caller"
        .. (from ~= "" and " or namespace " .. from or "") .. ".",
    })
    return false
  end
  if model.off then
    refuse(handle, {
      status = 503,
      cause = "off",
      type = "server_error",
      code = "model_off",
      message = "Model " .. target .. " is switched off (spec.suspend or spec.replicas: 0). It is not woken by requests.",
    })
    return false
  end
  return true
end

local function suits(handle, headers, target, model)
  local path = (headers:get(":path") or ""):match("^[^?]*")
  if model.lacks and (" " .. model.lacks .. " "):find(" " .. path .. " ", 1, true) then
    refuse(handle, {
      status = 501,
      cause = "engine-lacks-it",
      code = "not_implemented",
      message = "The engine of model " .. target .. " has no " .. path .. ".",
    })
    return false
  end
  if size(handle, headers) > model.cap then
    refuse(handle, {
      status = 413,
      cause = "body-too-large",
      code = "request_too_large",
      message = "The body is larger than the " .. model.cap .. " bytes model " .. target
        .. " takes (spec.access.limits.maxBodyBytes).",
    })
    return false
  end
  return true
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local wanted = headers:get("x-slm-body-model")
  -- At once: it may hold any byte a JSON string can, and such a header must reach nobody.
  headers:remove("x-slm-body-model")
  local namespace, name = (headers:get("x-slm-address") or "/"):match("^([^/]*)/(.*)$")
  headers:remove("x-slm-address")
  if not wanted or wanted == "" then
    return unreadable(handle)
  end
  if not wanted:match("^[%w.:_/-]+$") or (name ~= "" and wanted ~= name) then
    return unknown(handle, wanted, namespace)
  end
  remember(handle, "model", shown(wanted))
  local target = namespace .. "/" .. wanted
  local model = handle:metadata():get("m:" .. target)
  if not model then
    return unknown(handle, wanted, namespace)
  end
  remember(handle, "target", target)
  if not allowed(handle, headers, target, model) or not suits(handle, headers, target, model) then
    return
  end
  handle:headers():replace("x-slm-target", target) -- asked for again: waiting for a body ends the life of the one above
  handle:clearRouteCache()
end

-- "<receiving> <until passed on> <until first byte> <attempts>" in microseconds, see routes.py.
function server_timing(text)
  local received, passed, engine, attempts = text:match("^(%S+) (%S+) (%S+) (%S+)$")
  if not received then
    return nil
  end
  received, passed, engine = tonumber(received) or 0, tonumber(passed) or 0, tonumber(engine) or 0
  local own, hold = received + passed, 0
  if attempts ~= "1" and attempts ~= "-" then
    own, hold = received, passed
  end
  return string.format("gateway;dur=%.3f, hold;dur=%.3f, engine;dur=%.3f", own / 1000, hold / 1000, engine / 1000)
end

local COUNTS = {
  { "input_tokens", '"prompt_tokens"%s*:%s*(%d+)' },
  { "output_tokens", '"completion_tokens"%s*:%s*(%d+)' },
  { "engine_input", '"prompt_n"%s*:%s*(%d+)' },
  { "engine_output", '"predicted_n"%s*:%s*(%d+)' },
  { "engine_cached", '"cache_n"%s*:%s*(%d+)' },
}
local KEPT = 768

-- Finds the last of each count in text; inside a JSON string its quotes would be escaped, so text cannot forge one.
function count(text, counts)
  local changed = false
  if not text:find('_tokens"', 1, true) and not text:find('_n"', 1, true) then
    return false
  end
  for _, rule in ipairs(COUNTS) do
    for value in text:gmatch(rule[2]) do
      value = tonumber(value)
      if counts[rule[1]] ~= value then
        counts[rule[1]] = value
        changed = true
      end
    end
  end
  return changed
end

function envoy_on_response(handle)
  local headers = handle:headers()
  local timing = headers:get("x-slm-timing")
  if not timing then
    return -- the gateway's own answer
  end
  headers:remove("x-slm-timing")
  local shown_timing = server_timing(timing)
  if shown_timing then
    headers:replace("server-timing", shown_timing)
  end
  local kind = headers:get("content-type") or ""
  if not kind:find("json", 1, true) and not kind:find("event-stream", 1, true) then
    return
  end
  local counts, tail = {}, ""
  for chunk in handle:bodyChunks() do
    local length = chunk:length()
    if length > 0 then
      local text = tail .. chunk:getBytes(0, length)
      if count(text, counts) then
        for key, value in pairs(counts) do
          remember(handle, key, value)
        end
      end
      tail = text:sub(-KEPT)
    end
  end
end
