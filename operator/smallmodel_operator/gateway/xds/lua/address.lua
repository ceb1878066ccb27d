-- Which model or namespace an address means. Pure functions of Host and path.

-- Returns namespace and name of a per-model address. Name "" is the gateway's own address; namespace "" is a bare
-- <name>: that of the caller.
function addressed(host, domain)
  host = host:lower():gsub(":%d+$", ""):gsub("%.$", "")
  if host:sub(1, 1) == "[" or host:match("^[%d.]+$") or host == "localhost" then
    return "", ""
  end
  local first, rest = host:match("^([^.]+)%.?(.*)$")
  -- No SmallModel may have these names (RESERVED_NAMES in api/names.py).
  if not first or first == "smallmodel-gateway" or first == "smallmodel-gateway-pods" then
    return "", ""
  end
  if rest == "" then
    return "", first
  end
  local namespace, tail = rest:match("^([^.]+)(.*)$")
  if tail == "" or tail == ".svc" or tail == ".svc." .. domain then
    return namespace, first
  end
  return "", "" -- a name of the company's own in front of the gateway
end

-- Splits /<namespace>/v1/... Returns namespace ("" if there is none) and the rest.
function split_path(path)
  local namespace, rest = path:match("^/([a-z0-9-]+)(/v1/.*)$")
  if namespace then
    return namespace, rest
  end
  return "", path
end
