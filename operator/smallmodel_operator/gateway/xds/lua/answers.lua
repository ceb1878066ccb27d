-- Refusals as OpenAI error objects. Every one names its cause in a header and in the access log.
local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

-- A JSON string. Bytes that are not ASCII become "?": what a caller sent need not be UTF-8, the answer must be.
function quoted(text)
  local safe = text:gsub('[%c"\\\127-\255]', function(c)
    return ESCAPES[c] or (c:byte() < 32 and string.format("\\u%04x", c:byte())) or "?"
  end)
  return '"' .. safe .. '"'
end

-- What a caller sent, fit for a sentence: at most 64 characters.
function shown(text)
  return #text > 64 and text:sub(1, 64) .. "..." or text
end

-- For the access log and for local_reply_config, see words.py.
function remember(handle, key, value)
  handle:streamInfo():dynamicMetadata():set("smallmodel", key, value)
end

-- What is known of the request so far, for the access log, see format.py: caller, caller_namespace, operation, target,
-- adapter, route; names of Kubernetes, which have no bar, no colon and no @. And model, where the body names another than the target.
-- One text, not a table: to set a table takes three times as long.
function told(call)
  local own = call.caller .. "|" .. (call.caller_namespace or "") .. "|" .. (call.operation or "") .. "|"
  local adapter = call.adapter and ":" .. call.adapter or ""
  return own .. (call.target or "") .. adapter .. (call.route and "@" .. call.route or "")
end

function known(handle, call)
  if call.caller then
    remember(handle, "call", told(call))
  end
  if call.model then
    remember(handle, "model", call.model)
  end
end

-- call: see above
-- error: status, cause, message, type, code, param, headers
function refuse(handle, call, error)
  remember(handle, "own", error.cause)
  remember(handle, "error", error.cause)
  known(handle, call)
  local headers = {
    [":status"] = tostring(error.status),
    ["content-type"] = "application/json",
    ["x-slm-cause"] = error.cause,
  }
  for name, value in pairs(error.headers or {}) do
    headers[name] = value
  end
  if error.status >= 500 and not headers["retry-after"] then
    headers["x-should-retry"] = "false" -- OpenAI's clients would send it twice more
  end
  local param = error.param and quoted(error.param) or "null"
  local code = error.code and quoted(error.code) or "null"
  handle:respond(
    headers,
    '{"error":{"message":' .. quoted(error.message) .. ',"type":' .. quoted(error.type or "invalid_request_error")
      .. ',"param":' .. param .. ',"code":' .. code .. "}}"
  )
end
