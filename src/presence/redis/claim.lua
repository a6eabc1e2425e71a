-- Claims the users of a node for one who takes them over, or goes on claiming them.
-- KEYS: alive, reaper, gone. ARGV: who claims, for how many milliseconds, for how many it is known.
-- Returns 1 if the node is dead and nobody else is at it.
if redis.call('EXISTS', KEYS[1]) == 1 then
  return 0
end
local reaper = redis.call('GET', KEYS[2])
if reaper and reaper ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
redis.call('SET', KEYS[3], ARGV[1], 'PX', ARGV[3])
return 1
