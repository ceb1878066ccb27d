-- HMAC-SHA-256 (RFC 2104) of a request's body, the bytes as the caller sent them, for the access log. It runs for models
-- that want it and for no other. Its worker does nothing else meanwhile, so there is a largest body.
local bit = require("bit")
local band, bxor, rshift = bit.band, bit.bxor, bit.rshift

-- By key, what comes of its own block inside and outside: hashed once, not with every request.
local READY, READY_COUNT, MOST_READY = {}, 0, 1000

local function masked(key, mask)
  local bytes = {}
  for i = 1, 64 do
    bytes[i] = string.char(bxor(key:byte(i) or 0, mask))
  end
  return table.concat(bytes)
end

-- key: at most 64 bytes, in hex.
local function ready(key)
  local known = READY[key]
  if known then
    return known[1], known[2]
  end
  local bytes = key:gsub("%x%x", function(digits)
    return string.char(tonumber(digits, 16))
  end)
  local inside = sha256_blocks(SHA256_BEGIN, masked(bytes, 0x36), 1)
  local outside = sha256_blocks(SHA256_BEGIN, masked(bytes, 0x5c), 1)
  if READY_COUNT == MOST_READY then
    READY, READY_COUNT = {}, 0
  end
  READY[key], READY_COUNT = { inside, outside }, READY_COUNT + 1
  return inside, outside
end

local function bytes_of(state)
  local bytes = {}
  for i = 1, 8 do
    local word = state[i]
    bytes[i] = string.char(rshift(word, 24), band(rshift(word, 16), 255), band(rshift(word, 8), 255), band(word, 255))
  end
  return table.concat(bytes)
end

-- 64 hex digits.
function hmac_sha256(key, text)
  local inside, outside = ready(key)
  return sha256_hex(sha256_end(outside, bytes_of(sha256_end(inside, text, 64)), 64))
end

-- name and key: of the key, in hex; most: bytes of the largest body that is hashed.
function stamp(handle, name, key, most)
  local found = "too-large"
  if (tonumber(handle:headers():get("content-length") or "") or 0) <= most then
    local body = handle:body(true)
    local length = body:length()
    if length <= most then
      found = hmac_sha256(key, length > 0 and body:getBytes(0, length) or "")
    end
  end
  remember(handle, "hmac", name .. ":" .. found)
end
