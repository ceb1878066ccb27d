-- The target: from the body's model (a header made by the filter before) to a route; what is not allowed stops here.

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
  local who, from = headers:get("x-slm-caller"), headers:get("x-slm-caller-namespace") or ""
  local open = model.allow[who] or (from ~= "" and model.allow["ns:" .. from])
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
  if model.lacks[path] then
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
  local model = MODELS[target]
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
