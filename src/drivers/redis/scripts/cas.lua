-- CAS: replaces exactly the record that the caller observed, on exactly the server process it observed.
--
-- ARGV  1 run_id  2 o  3 e  4 n (as observed)  5 me  6 epoch  7 nonce  8 meta  9 mode: claim | adopt
-- code  ok       written
--       run      another server process than the observed one
--       changed  another record than the observed one
--       epoch    a claim must exceed every epoch ever written here; an adoption brings back a lease still held
if run ~= ARGV[1] then return reply('run') end
if owner ~= ARGV[2] or epoch ~= ARGV[3] or nonce ~= ARGV[4] then return reply('changed') end
if ARGV[9] == 'claim' and highest ~= '' and tonumber(ARGV[6]) <= tonumber(highest) then return reply('epoch') end
write(ARGV[5], ARGV[6], ARGV[7], '0', '', ARGV[8])
return reply('ok')
