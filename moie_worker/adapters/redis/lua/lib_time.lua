-- Redis' own time in milliseconds, and numbers as text without loss of digits.
local function now_ms()
  local t = redis.call('TIME')
  return tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
end

local function text(number)
  return string.format('%d', number) -- a 64-bit integer; '%.0f' costs three times as much
end
