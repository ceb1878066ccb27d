-- The decision: from the target that the agent has named (a header that only its answer sets) to that model's route, or
-- to the way out. The target before has asked whether the caller may, and whether the route takes such a request.

-- To the door where its answers are judged: who answers it, and that it is counted, is decided there.
local function to_be_judged(handle, call, where)
  call.route = where
  known(handle, call)
  local headers = handle:headers()
  for _, name in ipairs({ "x-slm-judged", "x-slm-target", "x-slm-chosen", "x-slm-decision" }) do
    headers:remove(name)
  end
  headers:replace("x-slm-route", "?")
  handle:clearRouteCache()
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local said = headers:get("x-slm-model-said")
  if said then
    restore(handle, said)
    headers = handle:headers() -- waiting for a body ends the life of those before
  end
  local path = headers:get(":path") or ""
  if not OPERATIONS[path] then
    path = path:match("^[^?]*")
  end
  local where = (headers:get("x-slm-route") or ""):match("^%+(.+)$") or ""
  local call = {
    caller = headers:get("x-slm-caller"),
    caller_namespace = headers:get("x-slm-caller-namespace"),
    operation = OPERATIONS[path],
    route = where,
    model = where:match("/(.+)$"),
  }
  local adapter = headers:get("x-slm-adapter")
  if adapter then
    call.model = shown(call.model .. ":" .. adapter)
  end
  local route = ROUTES[where]
  if route and headers:get("x-slm-judged") then
    return to_be_judged(handle, call, where)
  end
  local judge, ask = headers:get("x-slm-judge"), headers:get("x-slm-ask")
  if judge then
    remember(handle, "judge", judge)
    headers:remove("x-slm-judge")
    headers:remove("x-slm-ask")
  end
  local lead = route and route.named[headers:get("x-slm-target") or ""]
  headers:remove("x-slm-decision")
  headers:remove("x-slm-chosen")
  if not lead then
    return refuse(handle, call, {
      status = 503,
      cause = "undecided",
      type = "server_error",
      code = "unavailable",
      message = "The targets of this route are being changed.",
      headers = { ["retry-after"] = "1" },
    })
  end
  local back = headers:get("x-slm-instead") ~= nil
  headers:remove("x-slm-instead")
  if lead.outside then
    return leave(handle, call, where, lead, back)
  end
  headers:remove("x-slm-pass")
  if lead_on(handle, call, path, where, lead, adapter) and ask then
    add(handle, ask)
  end
end
