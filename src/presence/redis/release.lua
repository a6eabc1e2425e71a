-- Removes devices that are gone for longer than the grace, and ends the announcement of a user who
-- has no others.
-- KEYS: announcement, devices. ARGV: the grace in microseconds, the prefix of all devices of a dead
-- node or '', NODE/DEVICE...
-- Returns -1 if the announcement ended now, 0 if there is nothing to end, and otherwise how long the
-- user's latest absence has to last yet, in microseconds.
for i = 3, #ARGV do
  redis.call('SREM', KEYS[2], ARGV[i])
end
local prefix = ARGV[2]
if prefix ~= '' then
  for _, device in ipairs(redis.call('SMEMBERS', KEYS[2])) do
    if string.sub(device, 1, #prefix) == prefix then
      redis.call('SREM', KEYS[2], device)
    end
  end
end
local last = redis.call('HGET', KEYS[1], 't')
if not last or redis.call('SCARD', KEYS[2]) > 0 then
  return 0
end
local time = redis.call('TIME')
local left = tonumber(last) + tonumber(ARGV[1]) - tonumber(time[1]) * 1000000 - tonumber(time[2])
if left > 0 then
  return left
end
redis.call('DEL', KEYS[1])
return -1
