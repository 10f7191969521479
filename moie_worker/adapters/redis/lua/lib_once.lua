-- What somebody asks for is done once: a client that got no answer asks again with the same last key, and gets the
-- answer that was lost. What changed nothing is not kept.
local ONCE = KEYS[#KEYS]
local told = redis.call('GET', ONCE)
local lost = told and cjson.decode(told)[1]

local function once(answer)
  redis.call('SET', ONCE, cjson.encode({answer}), 'PX', LIMITS.ONCE_MS)
  return answer
end
