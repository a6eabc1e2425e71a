-- Sets the status of a user who is announced.
-- KEYS: announcement. ARGV: status.
-- Returns when it was set, in microseconds; 0 if it is the one before.
local before = redis.call('HGET', KEYS[1], 's')
if not before or before == ARGV[1] then
  return 0
end
local time = redis.call('TIME')
local now = time[1] .. string.format('%06d', time[2])
redis.call('HSET', KEYS[1], 's', ARGV[1], 'v', now)
return tonumber(now)
