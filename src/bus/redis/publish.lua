local count = redis.call('PUBSUB', 'NUMSUB', ARGV[2], unpack(ARGV, 4))
local sure = count[2] > 0
for i = 4, #ARGV do
  local others = count[2 * (i - 2)]
  if sure and ARGV[3]:byte(i - 3) == 49 then others = others - 1 end
  if others > 0 then redis.call('PUBLISH', ARGV[i], ARGV[1]) end
end
