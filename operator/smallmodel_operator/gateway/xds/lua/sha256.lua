-- SHA-256 (FIPS 180-4) in LuaJIT. A caller's key is compared by its hash, so no key stands in any file of Envoy's; and
-- HMACs of requests are made of it. A state is a list of eight numbers of 32 bits.
local bit = require("bit")
local band, bor, bxor, lshift, ror, rshift, tobit, tohex =
  bit.band, bit.bor, bit.bxor, bit.lshift, bit.ror, bit.rshift, bit.tobit, bit.tohex
local byte = string.byte

local K = {
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
  0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
  0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
  0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
  0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
  0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
  0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
  0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
}

SHA256_BEGIN = {
  0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
}

local w = {}
for i = 1, 64 do
  K[i], w[i] = tobit(K[i]), 0
end

-- The state after so many blocks of 64 bytes more, from the beginning of the text. A sum of two in each `tobit`: LuaJIT
-- adds integers then, and floating-point numbers otherwise, for a third of the time more.
function sha256_blocks(state, text, blocks)
  local h0, h1, h2, h3 = tobit(state[1]), tobit(state[2]), tobit(state[3]), tobit(state[4])
  local h4, h5, h6, h7 = tobit(state[5]), tobit(state[6]), tobit(state[7]), tobit(state[8])
  for start = 1, blocks * 64, 64 do
    for i = 1, 16 do
      local b1, b2, b3, b4 = byte(text, start + i * 4 - 4, start + i * 4 - 1)
      w[i] = bor(lshift(b1, 24), lshift(b2, 16), lshift(b3, 8), b4)
    end
    for i = 17, 64 do
      local x, y = w[i - 15], w[i - 2]
      local s0 = bxor(ror(x, 7), ror(x, 18), rshift(x, 3))
      local s1 = bxor(ror(y, 17), ror(y, 19), rshift(y, 10))
      w[i] = tobit(tobit(w[i - 16] + s0) + tobit(w[i - 7] + s1))
    end
    local a, b, c, d, e, f, g, h = h0, h1, h2, h3, h4, h5, h6, h7
    for i = 1, 64 do
      local s1 = bxor(ror(e, 6), ror(e, 11), ror(e, 25))
      local choice = bxor(g, band(e, bxor(f, g)))
      local t1 = tobit(tobit(tobit(h + s1) + tobit(choice + K[i])) + w[i])
      local s0 = bxor(ror(a, 2), ror(a, 13), ror(a, 22))
      local majority = bxor(band(a, bxor(b, c)), band(b, c))
      h, g, f, e, d, c, b, a = g, f, e, tobit(d + t1), c, b, a, tobit(t1 + tobit(s0 + majority))
    end
    h0, h1, h2, h3 = tobit(h0 + a), tobit(h1 + b), tobit(h2 + c), tobit(h3 + d)
    h4, h5, h6, h7 = tobit(h4 + e), tobit(h5 + f), tobit(h6 + g), tobit(h7 + h)
  end
  return { h0, h1, h2, h3, h4, h5, h6, h7 }
end

-- What ends a message of so many bytes, to whole blocks: 1 to 64 bytes and its length in bits.
local function ending(length)
  local high, low = math.floor(length / 0x20000000), (length * 8) % 0x100000000
  local size = {}
  for shift = 24, 0, -8 do
    size[#size + 1] = string.char(band(rshift(high, shift), 255))
  end
  for shift = 24, 0, -8 do
    size[#size + 1] = string.char(band(rshift(low, shift), 255))
  end
  return "\128" .. string.rep("\0", (55 - length) % 64) .. table.concat(size)
end

-- The last state of a message: this text, after so many bytes (whole blocks) that gave the state.
function sha256_end(state, text, before)
  local blocks = math.floor(#text / 64)
  local rest = text:sub(blocks * 64 + 1) .. ending(before + #text)
  return sha256_blocks(sha256_blocks(state, text, blocks), rest, #rest / 64)
end

function sha256_hex(state)
  local words = {}
  for i = 1, 8 do
    words[i] = tohex(state[i])
  end
  return table.concat(words)
end

function sha256(text)
  return sha256_hex(sha256_end(SHA256_BEGIN, text, 0))
end
