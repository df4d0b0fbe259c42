-- RELEASE: the owner says that it will never act again under this epoch.
-- No run_id is asked for: the pair (me, epoch) is unique for ever, so a late release can only free what it means.
--
-- ARGV  1 me  2 epoch  3 nonce  4 heir: node that may claim at once, '' = anyone
-- code  ok    written
--       lost  another owner or epoch
if owner ~= ARGV[1] or epoch ~= ARGV[2] then return reply('lost') end
write(ARGV[1], ARGV[2], ARGV[3], '1', ARGV[4], meta)
return reply('ok')
