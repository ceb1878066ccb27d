-- What the outside, or the egress, said of a request that comes back in: for the access log, see accesslog/format.py. What
-- comes from inside names why it is given in place of another, so it is not the outside's; an error by which nobody is
-- there to give one (decide/answer.py) is in nobody's place.
function envoy_on_response(handle)
  local headers = handle:headers()
  local status, cause = headers:get(":status") or "", headers:get("x-slm-cause")
  if headers:get("x-slm-degraded") then
    if cause == "outside-unreachable" then
      headers:remove("x-slm-degraded")
    end
  elseif status >= "500" or status == "429" then
    handle:streamInfo():dynamicMetadata():set("smallmodel", "failure", status .. (cause and " " .. cause or ""))
  end
end
