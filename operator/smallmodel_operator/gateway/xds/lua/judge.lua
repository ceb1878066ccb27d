-- What an inner door does with the answer of an attempt: who decides has named in `judge` whether it is judged, or only
-- whether it fails. What is doubted gets a header by which the way to this door tries once more (judged.py).

-- Keeps an answer back until it is judged; where nobody judges it goes on as it is, and says so.
local function judged(handle, token)
  local kind = handle:headers():get("content-type") or ""
  local body = handle:body(true)
  local asked = {
    [":method"] = "POST",
    [":path"] = "/answer/" .. token,
    [":authority"] = "decide",
    ["content-type"] = kind,
  }
  local found, text = handle:httpCall("decide", asked, body:getBytes(0, body:length()), 6000)
  local headers = handle:headers() -- waiting ends the life of those before
  if found[":status"] ~= "200" then
    headers:replace("x-slm-degraded", "unjudged")
    return
  end
  for _, name in ipairs({ "x-slm-doubt", "x-slm-degraded" }) do
    if found[name] then
      headers:replace(name, found[name])
    end
  end
  local length = handle:body(true):setBytes(text or "")
  if headers:get("content-length") then
    headers:replace("content-length", tostring(length))
  end
end

function envoy_on_response(handle)
  local known = handle:streamInfo():dynamicMetadata():get("smallmodel")
  local how, token = ((known and known.judge) or ""):match("^(%a+) (%x+)$")
  local status = handle:headers():get(":status") or ""
  if (how == "answer" or how == "both") and status == "200" then
    judged(handle, token)
  elseif (how == "error" and (status >= "500" or status == "429")) or (how == "both" and status >= "400") then
    handle:headers():replace("x-slm-doubt", "failed")
  end
end
