-- Tables from DATA, a line for each fact (see data.py), read once when the route's text is loaded. Not from the route's
-- metadata: Envoy copies those whole for every request.
KEYS, MODELS, ROUTES, LISTS = {}, {}, {}, {}

local function words(text, separator)
  local found = {}
  for word in text:gmatch("[^" .. separator .. "]+") do
    found[word] = true
  end
  return found
end

local function listed(namespace, identity, name)
  local key = namespace .. "|" .. identity
  local names = LISTS[key] or {}
  LISTS[key] = names
  names[#names + 1] = name
end

for kind, rest in DATA:gmatch("(%a) ([^\n]+)\n") do
  if kind == "k" then
    local sha, namespace, identity = rest:match("^(%S+) (%S+) (%S+)$")
    KEYS[sha] = { namespace == "-" and "" or namespace, identity }
  elseif kind == "r" then
    local path, cap, closed, asks, allow, leads = rest:match("^(%S+) (%d+) (%d) (%d) (%S+) (%S+)$")
    local route = { cap = tonumber(cap), stopped = closed == "2", lacks = {}, total = 0, leads = {}, named = {} }
    route.asks, route.counts = asks == "1" or asks == "3", asks == "2" or asks == "3"
    route.allow = words(allow, ",")
    for name, share, target, why in leads:gmatch("([^,=]+)=(%d+)=([^,=]+)=(%a+)") do
      local lead = { name = name, share = tonumber(share), target = target, why = why }
      route.leads[#route.leads + 1], route.named[name] = lead, lead
      route.total = route.total + lead.share
    end
    ROUTES[path] = route
    local namespace, name = path:match("^([^/]+)/(.+)$")
    for identity in pairs(route.allow) do
      listed(namespace, identity, name)
    end
  elseif kind == "a" then
    local path, adapters = rest:match("^(%S+) (%S+)$")
    local route = ROUTES[path]
    route.adapters, route.adapter_names = words(adapters, ","), {}
    for adapter in adapters:gmatch("[^,]+") do
      route.adapter_names[#route.adapter_names + 1] = adapter
    end
  elseif kind == "o" then
    local path, name, model = rest:match("^(%S+) (%S+) (%S+)$")
    ROUTES[path].named[name].outside = model
  elseif kind == "h" then
    local target, name, key, most = rest:match("^(%S+) (%S+) (%x+) (%d+)$")
    MODELS[target].stamp = { name = name, key = key, most = tonumber(most) }
  else
    local target, cap, closed, limited, lacks, allow, lora = rest:match("^(%S+) (%d+) (%d) (%d) (%S+) (%S+) ?(%S*)$")
    local model = { cap = tonumber(cap), off = closed == "1", stopped = closed == "2", limited = limited == "1" }
    model.spent = closed == "3"
    model.lacks, model.allow = words(lacks, ","), words(allow, ",")
    if lora ~= "" then
      model.adapters, model.adapter_names = {}, {}
      for adapter, number in lora:gmatch("([^+,=]+)=(%d+)") do
        model.adapters[adapter] = number
        model.adapter_names[#model.adapter_names + 1] = adapter
      end
    end
    MODELS[target] = model
    local namespace, name = target:match("^([^/]+)/(.+)$")
    for identity in pairs(model.off and {} or model.allow) do
      listed(namespace, identity, name)
    end
  end
end
DATA = nil
