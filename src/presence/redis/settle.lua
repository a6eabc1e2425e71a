-- Ends the announcement of a user whose absence lasts.
-- KEYS: announcement, devices. ARGV: the absence's number.
-- Returns 1 if it ended now.
if redis.call('SCARD', KEYS[2]) > 0 or redis.call('HGET', KEYS[1], 't') ~= ARGV[1] then
  return 0
end
return redis.call('DEL', KEYS[1])
