-- RENEW: the holder's new nonce, while the record is still its own and not released.
--
-- ARGV  1 run_id  2 me  3 epoch  4 nonce  5 meta
-- code  ok    written
--       run   another server process than the trusted one
--       lost  another owner or epoch, or released
if run ~= ARGV[1] then return reply('run') end
if owner ~= ARGV[2] or epoch ~= ARGV[3] or released == '1' then return reply('lost') end
write(ARGV[2], ARGV[3], ARGV[4], '0', '', ARGV[5])
return reply('ok')
