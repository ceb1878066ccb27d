-- On the way in of requests that have found their model's route without Lua's help.
function envoy_on_request(handle)
  local said = handle:filterContext()
  stamp(handle, said:get("name"), said:get("key"), said:get("most"))
end
