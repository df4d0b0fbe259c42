-- Put in front of every script by the loader: reads the record once, defines its reply and its only write.
--
-- KEYS[1]  the lease record, a hash: o owner, e epoch, n nonce, rel released, heir, hi highest epoch written, meta
-- reply    { code, run_id, o, e, n, rel, heir, hi, meta }, the record as the script leaves it; an absent field is ''
--
-- run_id comes with every reply because a restarted server may hold lost or older data: it counts as a new server.
local key = KEYS[1]
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local record = redis.call('HMGET', key, 'o', 'e', 'n', 'rel', 'heir', 'hi', 'meta')
for i = 1, 7 do record[i] = record[i] or '' end
local owner, epoch, nonce, released, highest, meta = record[1], record[2], record[3], record[4], record[6], record[7]

local function reply(code)
  return { code, run, record[1], record[2], record[3], record[4], record[5], record[6], record[7] }
end

-- `hi` never falls: it outlives owners, so that a claim can be refused by it.
local function write(o, e, n, rel, heir, text)
  local hi = highest
  if hi == '' or tonumber(e) > tonumber(hi) then hi = e end
  redis.call('HSET', key, 'o', o, 'e', e, 'n', n, 'rel', rel, 'heir', heir, 'hi', hi, 'meta', text)
  record = { o, e, n, rel, heir, hi, text }
end
