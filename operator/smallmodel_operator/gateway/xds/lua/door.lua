-- The door: address, credential, path and size from headers alone, before any byte of a body is kept.
-- DOMAIN and LARGEST are set in front of this text, KEYS, MODELS and LISTS made by data.lua.

local POSTS = {
  ["/v1/chat/completions"] = true,
  ["/v1/completions"] = true,
  ["/v1/embeddings"] = true,
  ["/v1/responses"] = true,
  ["/v1/rerank"] = true,
}

-- Keys that opened something since this text was loaded: hashed once, not with every request.
local RECENT = {}

-- What headers meant that were read before, by all of them that decide anything but the size (x-slm-asked, see
-- listener.py): nothing else is asked of them again. Callers may send any number of them.
local MEANT, MEANT_COUNT, MOST_MEANT, LONGEST_KEPT = {}, 0, 1000, 1024

local function keep(rest, way)
  -- A bar in a value would let two requests look the same; the values that decide have none. And a caller's long ones
  -- would fill memory that Envoy does not count.
  if #rest > LONGEST_KEPT or select(2, rest:gsub("|", "")) ~= 5 then
    return
  end
  if MEANT_COUNT == MOST_MEANT then
    MEANT, MEANT_COUNT = {}, 0
  end
  MEANT[rest], MEANT_COUNT = way, MEANT_COUNT + 1
end

-- A request may pass. way: target where address and key say all, address where the body has to; call for the access
-- log; caller and namespace of who asks.
local function pass(handle, headers, way)
  headers:replace("x-slm-caller-namespace", way.namespace)
  if way.caller then
    headers:replace("x-slm-caller", way.caller)
  end
  if way.address then
    headers:replace("x-slm-address", way.address)
  else
    remember(handle, "call", way.call)
    headers:replace("x-slm-target", way.target) -- a route only once the body has said the same
  end
end

-- Bytes of the longest Authorization header read: a credential is hashed here, on a worker all callers share.
local LONGEST = 16384

local function unauthorized(handle, cause, problem, namespace, name)
  local where = namespace ~= "" and namespace or "<namespace>"
  local model = name ~= "" and name or "<model>"
  refuse(handle, {}, {
    status = 401,
    cause = cause,
    code = "invalid_api_key",
    message = problem .. " Give the app the model's key: kubectl -n " .. where
      .. " set env deployment/<app> --from=secret/" .. model .. "-client --keys=OPENAI_BASE_URL,OPENAI_API_KEY,MODEL"
      .. " (or send a ServiceAccount token with audience smallmodel-gateway).",
    headers = { ["www-authenticate"] = "Bearer" },
  })
end

-- Returns the caller's namespace and name, and whether that is so as long as this text is; nil after a refusal.
local function caller(handle, headers, namespace, name)
  local sent = headers:getAtIndex("authorization", 0)
  local known = sent and sent:sub(1, 7) == "Bearer " and RECENT[sent:sub(8)]
  if known then
    return known[1], known[2], true
  end
  if not sent or sent == "" then
    unauthorized(handle, "no-credential", "This request carries no credential.", namespace, name)
    return nil
  end
  if #sent > LONGEST then
    local why = "The Authorization header is longer than " .. LONGEST .. " bytes."
    unauthorized(handle, "bad-credential", why, namespace, name)
    return nil
  end
  local token = sent:match("^[Bb][Ee][Aa][Rr][Ee][Rr] +(%S+) *$")
  if not token then
    unauthorized(handle, "bad-credential", "The Authorization header is not 'Bearer <key>'.", namespace, name)
    return nil
  end
  local jwt = handle:streamInfo():dynamicMetadata():get("envoy.filters.http.jwt_authn")
  if jwt and jwt.token then
    local place, account = tostring(jwt.token.sub):match("^system:serviceaccount:([^:]+):([^:]+)$")
    if place then
      return place, "sa:" .. place .. "/" .. account, false -- it expires
    end
    unauthorized(handle, "not-a-service-account", "The token is not one of a ServiceAccount.", namespace, name)
    return nil
  end
  local found = KEYS[sha256(token)]
  if found then
    RECENT[token] = found
    return found[1], found[2], true
  end
  if jwt and jwt.failed and token:match("^[%w_-]+%.[%w_-]+%.[%w_-]+$") then
    local why = "The token is refused: " .. tostring(jwt.failed.message) .. "."
    unauthorized(handle, "bad-token", why, namespace, name)
  else
    unauthorized(handle, "unknown-key", "This key opens no model (any more).", namespace, name)
  end
  return nil
end

-- Names of a namespace's models the caller may use, sorted.
local function usable(namespace, caller_namespace, caller_name)
  local seen, names = {}, {}
  local identities = { caller_name }
  if caller_namespace ~= "" then
    identities[2] = "ns:" .. caller_namespace
  end
  for _, identity in ipairs(identities) do
    for _, name in ipairs(LISTS[namespace .. "|" .. identity] or {}) do
      if not seen[name] then
        seen[name] = true
        names[#names + 1] = name
      end
    end
  end
  table.sort(names)
  return names
end

local function model_object(name, namespace)
  return '{"id":' .. quoted(name) .. ',"object":"model","created":0,"owned_by":' .. quoted(namespace) .. "}"
end

local function list(handle, call, asked, namespace, name)
  local caller_namespace, caller_name = call.caller_namespace, call.caller
  local objects = {}
  for _, found in ipairs(usable(namespace, caller_namespace, caller_name)) do
    local model = MODELS[namespace .. "/" .. found] or ROUTES[namespace .. "/" .. found]
    if name == "" or name == found then
      if asked == "" or asked == found then
        objects[#objects + 1] = model_object(found, namespace)
      end
      for _, adapter in ipairs(model and model.adapter_names or {}) do
        local both = found .. ":" .. adapter
        if asked == "" or asked == both then
          objects[#objects + 1] = model_object(both, namespace)
        end
      end
    end
  end
  local headers = { [":status"] = "200", ["content-type"] = "application/json" }
  remember(handle, "own", "models")
  known(handle, call)
  if asked == "" then
    handle:respond(headers, '{"object":"list","data":[' .. table.concat(objects, ",") .. "]}")
  elseif objects[1] then
    handle:respond(headers, objects[1])
  else
    refuse(handle, call, {
      status = 404,
      cause = "unknown-model",
      code = "model_not_found",
      param = "model",
      message = "There is no model '" .. shown(asked) .. "' for this caller in namespace " .. namespace .. ".",
    })
  end
end

local function wrong_path(handle, call, path)
  refuse(handle, call, {
    status = 404,
    cause = "unknown-path",
    code = "unknown_url",
    message = "There is nothing at " .. shown(path) .. ". The gateway serves /v1/chat/completions, /v1/completions, "
      .. "/v1/embeddings, /v1/responses, /v1/rerank and /v1/models.",
  })
end

local function wrong_method(handle, call, path, method, right)
  refuse(handle, call, {
    status = 405,
    cause = "wrong-method",
    code = "method_not_allowed",
    message = path .. " takes " .. right .. ", not " .. shown(method) .. ".",
    headers = { allow = right },
  })
end

-- True when a body may follow. model: that the address names, if it names one. length: of the body, if it is said.
local function fit(handle, call, headers, target, model, length)
  local kind = (headers:getAtIndex("content-type", 0) or ""):lower()
  if kind ~= "application/json" and not kind:match("^application/json *$") and not kind:match("^application/json *;") then
    local sent = kind == "" and "no content type" or "content type " .. shown(kind)
    refuse(handle, call, {
      status = 415,
      cause = "not-json",
      code = "unsupported_media_type",
      message = "The body has " .. sent .. "; send Content-Type: application/json.",
    })
    return false
  end
  if (headers:getAtIndex("content-encoding", 0) or "") ~= "" then
    refuse(handle, call, {
      status = 415,
      cause = "compressed",
      code = "unsupported_media_type",
      message = "Compressed request bodies are not read; send the JSON as it is.",
    })
    return false
  end
  local most = model and model.cap or LARGEST
  if (length or 0) > most then
    refuse(handle, call, {
      status = 413,
      cause = "body-too-large",
      code = "request_too_large",
      message = "The body is larger than " .. most .. " bytes, the most "
        .. (model and "model " .. target .. " takes (spec.access.limits.maxBodyBytes)." or "any model takes."),
    })
    return false
  end
  return true
end

-- What headers mean: a way, and whether it holds for the same headers again; nil after a refusal or an own answer.
local function decide(handle, headers, length)
  local namespace, name = addressed(headers:get(":authority") or "", DOMAIN)
  local path, query = (headers:get(":path") or "/"):match("^([^?]*)(.*)$")
  local prefix = ""
  if name == "" then
    prefix, path = split_path(path)
    namespace = prefix
  end
  local caller_namespace, caller_name, lasting = caller(handle, headers, namespace, name)
  if not caller_name then
    return nil
  end
  if namespace == "" then
    -- A key of one model only has no namespace of its own: it means that of its model.
    namespace = caller_namespace ~= "" and caller_namespace or caller_name:match("^key:([^/]+)/") or ""
  end
  local call = { caller = caller_name, caller_namespace = caller_namespace }
  local method = headers:get(":method")
  local asked = path == "/v1/models" and "" or path:match("^/v1/models/([^/]+)$")
  if asked then
    if method ~= "GET" then
      return wrong_method(handle, call, "/v1/models", method, "GET")
    end
    return list(handle, call, asked, namespace, name)
  end
  if not POSTS[path] then
    return wrong_path(handle, call, path)
  end
  if method ~= "POST" then
    return wrong_method(handle, call, path, method, "POST")
  end
  local target = namespace .. "/" .. name
  local model = MODELS[target]
  if not fit(handle, call, headers, target, model, length) then
    return nil
  end
  if prefix ~= "" then
    headers:replace(":path", path .. query)
  end
  if not model or not length then
    -- The target says: the body names the model, or its size is not known yet, or nobody knows the model.
    local way = { caller = caller_name, namespace = caller_namespace, address = target, most = LARGEST }
    return way, lasting and length and prefix == "" and query == ""
  end
  call.operation, call.target = OPERATIONS[path], target
  if not allowed(handle, call, target, model) or not suits(handle, call, target, model, path, length) then
    return nil
  end
  local counted = model.limited or model.adapters -- who asks matters to the limit and to the target
  local way = { caller = counted and caller_name, namespace = caller_namespace, target = target, most = model.cap }
  way.call = told(call)
  return way, lasting and prefix == "" and query == ""
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local length, rest = (headers:get("x-slm-asked") or "|"):match("^(%d*)|(.*)$")
  length = tonumber(length)
  local way, lasting = MEANT[rest], false
  if not way or not length or length > way.most then
    way, lasting = decide(handle, headers, length)
  end
  if lasting then
    keep(rest, way)
  end
  if way then
    pass(handle, headers, way)
  end
end
