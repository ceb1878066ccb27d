-- Out of the cluster, for a request that may leave: to the egress's way, with the pass that the agent has signed over
-- these very bytes (decide/passes.py renames the model as `rename` does). back: where it fails it comes back in.
function leave(handle, call, where, lead, back)
  local headers = handle:headers()
  if not headers:get("x-slm-pass") or not headers:get("x-slm-model-at") then
    return refuse(handle, call, {
      status = 503,
      cause = "undecided",
      type = "server_error",
      code = "unavailable",
      message = "Nobody has let this request leave.",
    })
  end
  call.route = where .. "/" .. lead.name
  known(handle, call)
  remember(handle, "left", lead.target)
  rename(handle, lead.outside)
  headers = handle:headers() -- waiting for a body ends the life of those before
  headers:replace("x-slm-target", lead.target)
  headers:replace("x-slm-route", (back and ">?" or ">") .. lead.target)
  handle:clearRouteCache()
end
