-- The target: from the body's model (a header made by the filter before) to a route; what is not allowed stops here.
-- Requests whose address names the model and whose body agrees have their route already and never come here.

local function unknown(handle, call, wanted, namespace)
  refuse(handle, call, {
    status = 404,
    cause = "unknown-model",
    code = "model_not_found",
    param = "model",
    message = "There is no model '" .. shown(wanted) .. "' in namespace " .. namespace .. ". GET /v1/models lists those"
      .. " you may use; the gateway's own address has those of another namespace at /<namespace>/v1.",
  })
end

-- Bytes of a bad body that are looked at to say what is wrong with it; nothing of a good one is.
local LOOKED_AT = 65536

-- Returns cause and message for a body in which no model was found. The filter does not say why: this is what a look at
-- the bytes can tell.
local function without_model(text, length)
  if length == 0 then
    return "no-body", "The request has no body. Send a JSON object with the key `model`."
  end
  if not text:find("^%s*{") then
    return "bad-body", "The body is not a JSON object: it does not begin with {. Send one, with the key `model`."
  end
  if #text == length and not text:find("model[\"']?%s*:") then
    return "no-model", 'The body has no key `model`. Add "model": "<name>"; GET /v1/models lists the names you may use.'
  end
  return "bad-body",
    "No model can be read from the body. Either it has no `model` at its top level, or an empty one, or it is not JSON"
      .. " the gateway takes: cut off, a comma missing, not UTF-8, a key twice in one object, NaN or too big a number,"
      .. " more than 100 levels or 100,000 keys. Send what a JSON library writes, with `model` at the top."
end

local function unreadable(handle, call)
  local body = handle:body(true)
  local length = body and body:length() or 0
  local text = length > 0 and body:getBytes(0, math.min(length, LOOKED_AT)) or ""
  local cause, message = without_model(text, length)
  refuse(handle, call, { status = 400, cause = cause, code = "invalid_body", param = "model", message = message })
end

-- What an adapter changes: what is computed from a whole text at once does not read the choice.
local GENERATES = { chat = true, text_completion = true }

-- False after a refusal. target: the model's, or a route's.
local function generates(handle, call, target)
  if not GENERATES[call.operation] then
    refuse(handle, call, {
      status = 501,
      cause = "engine-lacks-it",
      code = "not_implemented",
      message = "Adapters change what is generated; ask model " .. target .. " without one here.",
    })
    return false
  end
  return true
end

-- Does a rule of a route name this adapter, and a target that it chooses have it? False after a refusal.
local function chooses(handle, call, where, route, adapter)
  if not (route.adapters and route.adapters[adapter]) then
    refuse(handle, call, {
      status = 404,
      cause = "unknown-adapter",
      code = "model_not_found",
      param = "model",
      message = "Route " .. where .. " has no adapter '" .. shown(adapter) .. "': none of its rules names it in"
        .. " match.adapter, or no target of such a rule has loaded it. GET /v1/models lists those it has.",
    })
    return false
  end
  return generates(handle, call, where)
end

local seeded = false

-- One of a route's targets, each as often as its share says. Every worker begins somewhere else.
local function drawn(handle, route)
  if not seeded then
    local seed = 0
    for letter in (handle:headers():get("x-request-id") or ""):gmatch("%w") do
      seed = (seed * 33 + letter:byte()) % 2147483648
    end
    math.randomseed(seed)
    seeded = true
  end
  local left = math.random(math.max(route.total, 1))
  for _, lead in ipairs(route.leads) do
    left = left - lead.share
    if left <= 0 then
      return lead
    end
  end
  return nil
end

-- May this request use a route; false after a refusal.
local function open_to(handle, call, path, where, route)
  call.route = where
  return allowed(handle, call, where, route) and suits(handle, call, where, route, path, size(handle, handle:headers()))
end

-- The target that a request names (chosen), or one by lot; nil after a refusal.
local function led(handle, call, where, route, chosen)
  local lead
  if chosen then
    lead = route.named[chosen]
  else
    lead = drawn(handle, route)
  end
  if not lead then
    refuse(handle, call, {
      status = 404,
      cause = "unknown-target",
      code = "model_not_found",
      param = "model",
      message = "Route " .. where .. " has no target '" .. shown(chosen or "") .. "' (spec.targets names those it has).",
    })
  end
  return lead
end

-- Who asks, of a request whose address named the model: the door has written it for the access log only.
local function admitted(handle)
  local known = handle:streamInfo():dynamicMetadata():get("smallmodel")
  return known and known.call and known.call:match("^[^|]*")
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local path = headers:get(":path") or ""
  if not OPERATIONS[path] then
    path = path:match("^[^?]*")
  end
  local call = {
    caller = headers:get("x-slm-caller") or admitted(handle),
    caller_namespace = headers:get("x-slm-caller-namespace"),
    operation = OPERATIONS[path],
  }
  -- "<what the address names>|<what the body names>", each empty if it names nothing.
  local address, wanted = (headers:get("x-slm-route") or "|"):match("^([^|]*)|(.*)$")
  -- At once: it holds what a caller wrote, and must reach nobody.
  headers:remove("x-slm-route")
  if address == "" then
    address = headers:get("x-slm-address") or "/"
    headers:remove("x-slm-address")
  end
  local namespace, name = address:match("^([^/]*)/(.*)$")
  if wanted == "" then
    return unreadable(handle, call)
  end
  local base, adapter = wanted:match("^([^:]+):(.+)$")
  base = base or wanted
  local first, chosen = base:match("^([^/]+)/?(.*)$")
  local where = namespace .. "/" .. (first or "")
  if first and (not adapter or base == first) and ROUTES[where] and (name == "" or first == name)
    and wanted:match("^[%w.:/-]+$") then
    call.model = shown(wanted)
    local route, named = ROUTES[where], base ~= first
    if not open_to(handle, call, path, where, route) then
      return
    end
    if adapter and not chooses(handle, call, where, route, adapter) then
      return
    end
    local decided, lead = route.asks and not named, nil
    if not decided then
      lead = led(handle, call, where, route, named and chosen or nil)
      if not lead then
        return
      end
    end
    if decided or route.counts or lead.outside then
      known(handle, call)
      headers = handle:headers() -- waiting for a body ends the life of those before
      if lead then
        headers:replace("x-slm-chosen", (named and "Named/" or "Share/") .. lead.name)
      end
      if adapter then
        headers:replace("x-slm-adapter", adapter)
      end
      headers:replace("x-slm-route", "+" .. where) -- where it waits for a decision
      return handle:clearRouteCache()
    end
    lead_on(handle, call, path, where, lead)
    return
  end
  if not wanted:match("^[%w.:_/-]+$") or (name ~= "" and base ~= name) then
    return unknown(handle, call, wanted, namespace)
  end
  call.model = shown(wanted)
  local target = namespace .. "/" .. base
  local model = MODELS[target]
  if not model then
    return unknown(handle, call, wanted, namespace)
  end
  call.target = target
  if not allowed(handle, call, target, model) or not suits(handle, call, target, model, path, size(handle, headers)) then
    return
  end
  if adapter and not (has_adapter(handle, call, target, model, adapter) and generates(handle, call, target)) then
    return
  end
  call.adapter = adapter
  send(handle, call, target, model, wanted, adapter, false)
end
