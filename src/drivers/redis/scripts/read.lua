-- READ: the record as it is. A record without a nonce gets one (a tombstone): only what has an identity can be
-- seen to stay unchanged.
--
-- ARGV  1 nonce, never used before
-- code  ok
if nonce == '' then write('', '0', ARGV[1], '0', '', '') end
return reply('ok')
