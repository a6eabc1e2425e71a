-- Adds devices and announces the user online.
-- KEYS: announcement, devices. ARGV: a status and when it was set, NODE/DEVICE...
-- Returns whether the user was not announced before, the status, when it was set, and how many
-- devices there are. Of two statuses the one that was set later counts.
for i = 3, #ARGV do
  redis.call('SADD', KEYS[2], ARGV[i])
end
local devices = redis.call('SCARD', KEYS[2])
local known = redis.call('HMGET', KEYS[1], 's', 'v')
if known[1] and tonumber(known[2]) >= tonumber(ARGV[2]) then
  return { 0, known[1], tonumber(known[2]), devices }
end
redis.call('HSET', KEYS[1], 's', ARGV[1], 'v', ARGV[2])
if not known[1] then
  local time = redis.call('TIME')
  redis.call('HSET', KEYS[1], 't', time[1] .. string.format('%06d', time[2]))
end
return { known[1] and 0 or 1, ARGV[1], tonumber(ARGV[2]), devices }
