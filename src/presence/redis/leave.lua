-- Removes a device.
-- KEYS: announcement, devices. ARGV: NODE/DEVICE.
-- Returns the absence's number if it was the last one, 0 if others are left, and -1 if nothing is
-- known of the device or the user.
if redis.call('SREM', KEYS[2], ARGV[1]) == 0 then
  return -1
end
local last = redis.call('HGET', KEYS[1], 't')
if not last then
  return -1
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
-- Clocks are set back; numbers of absences are not.
now = string.format('%.0f', math.max(now, tonumber(last) + 1))
redis.call('HSET', KEYS[1], 't', now)
if redis.call('SCARD', KEYS[2]) > 0 then
  return 0
end
return tonumber(now)
