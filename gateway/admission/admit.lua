-- The book of gateway/admission/rules.py in Redis: one call of this script is one round trip for all that a gateway
-- has to ask and to tell. tests/gateway/admission holds both against each other.
--
-- KEYS[1]: prefix of all keys. ARGV: what (batch or join), gateway, epoch, lease in ms, then the packed (msgpack) input.
-- Below the prefix:
--   :epoch      made by the first gateway that finds none; when it is gone, Redis has lost everything
--   :live       sorted set of gateways by when they were last heard of
--   :awaited    gateways that lived before a new epoch and have not told yet what they hold
--   :told       gateways that have told so in this epoch
--   :h:GATEWAY  hash of its open calls: hold id -> packed list of {kind, id, amount, step_ms, step}
--   :w:ID       hash of a window: step -> amount, and 'sum'    :s:ID  count of calls in flight
--   :m:ID       hash of a budget: base, pending, held, version (of the base), begun_at, based_at
--   :u:ID       hash of a budget's events that are not in its base: event id -> amount
-- Numbers in Lua are doubles: exact to 2^53, which is 9007 dollars in pico-dollars. So amounts of money are decimal
-- text everywhere and are reckoned in two parts, whole dollars and pico-dollars below one.

local P, what, gateway, epoch, lease = KEYS[1], ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local input = cmsgpack.unpack(ARGV[5])
local call = redis.call
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local STEPS, SLOT_RETRY, KEEP = 120, 1000, 172800000
local PICO = 1000000000000

local function money(text)
  if not text then return {0, 0} end
  if #text <= 12 then return {0, tonumber(text)} end
  return {tonumber(text:sub(1, -13)), tonumber(text:sub(-12))}
end

local function text(amount)
  if amount[1] == 0 then return string.format('%.0f', amount[2]) end
  return string.format('%.0f%012.0f', amount[1], amount[2])
end

local function add(a, b)
  local d, p = a[1] + b[1], a[2] + b[2]
  if p >= PICO then d, p = d + 1, p - PICO end
  return {d, p}
end

-- Never below zero: whatever is taken away was added before.
local function minus(a, b)
  local d, p = a[1] - b[1], a[2] - b[2]
  if p < 0 then d, p = d - 1, p + PICO end
  if d < 0 then return {0, 0} end
  return {d, p}
end

local function most(a, b) -- a <= b
  return a[1] < b[1] or (a[1] == b[1] and a[2] <= b[2])
end

local function change(key, field, amount, how)
  call('HSET', key, field, text(how(money(call('HGET', key, field)), money(amount))))
end

local sums = {} -- of windows that have been slid to now

local function slide(key, now_step)
  if sums[key] then return sums[key] end
  local found = call('HMGET', key, 'sum', 'oldest')
  sums[key] = tonumber(found[1] or 0)
  if not found[1] then return 0 end
  local sum, oldest, from = sums[key], tonumber(found[2]), now_step - STEPS
  if oldest >= from then return sum end
  for step = oldest, math.min(from - 1, oldest + STEPS * 2) do
    local amount = call('HGET', key, step)
    if amount then
      sum = sum - tonumber(amount)
      call('HDEL', key, step)
    end
  end
  call('HSET', key, 'sum', string.format('%.0f', sum), 'oldest', string.format('%.0f', from))
  sums[key] = sum
  return sum
end

local function put(key, step, amount, step_ms)
  step = string.format('%.0f', step)
  call('HINCRBY', key, step, amount)
  local sum = call('HINCRBY', key, 'sum', amount)
  if sums[key] then sums[key] = sum end
  local oldest = call('HGET', key, 'oldest')
  if not oldest or tonumber(step) < tonumber(oldest) then call('HSET', key, 'oldest', step) end
  call('PEXPIRE', key, step_ms * (STEPS + 2))
end

local function retry(key, now_step, step_ms, missing)
  for step = now_step - STEPS, now_step do
    missing = missing - tonumber(call('HGET', key, string.format('%.0f', step)) or 0)
    if missing <= 0 then return (step + STEPS + 1) * step_ms - now end
  end
  return STEPS * step_ms
end

local function charge(id, event, amount)
  if call('HSETNX', P .. ':u:' .. id, event, amount) == 1 then
    change(P .. ':m:' .. id, 'pending', amount, add)
    call('PEXPIRE', P .. ':u:' .. id, KEEP)
    call('PEXPIRE', P .. ':m:' .. id, KEEP)
  end
end

local function take(taken)
  if taken[1] == 'slot' then
    call('INCR', P .. ':s:' .. taken[2])
  elseif taken[1] == 'money' then
    change(P .. ':m:' .. taken[2], 'held', taken[3], add)
  end
end

local function give_back(list)
  for _, taken in ipairs(list) do
    if taken[1] == 'slot' then
      local key = P .. ':s:' .. taken[2]
      if call('DECR', key) <= 0 then call('DEL', key) end
    elseif taken[1] == 'money' then
      change(P .. ':m:' .. taken[2], 'held', taken[3], minus)
    end
  end
end

local function correct(taken, actual)
  local key, step = P .. ':w:' .. taken[2], math.floor(now / taken[4])
  slide(key, step)
  if actual > taken[3] then
    put(key, step, actual - taken[3], taken[4])
  elseif actual < taken[3] and call('HEXISTS', key, string.format('%.0f', taken[5])) == 1 then
    put(key, taken[5], actual - taken[3], taken[4])
  end
end

-- Nobody knows what these calls have used: no limit keeps its callers out for it.
local function void(name)
  for _, packed in ipairs(call('HVALS', P .. ':h:' .. name)) do
    local list = cmsgpack.unpack(packed)
    give_back(list)
    for _, taken in ipairs(list) do
      if taken[1] == 'window' then correct(taken, 0) end
    end
  end
  call('DEL', P .. ':h:' .. name)
end

local function beat()
  call('ZADD', P .. ':live', now, gateway)
  for _, name in ipairs(call('ZRANGEBYSCORE', P .. ':live', '-inf', '(' .. string.format('%.0f', now - lease))) do
    void(name)
    call('ZREM', P .. ':live', name)
  end
end

-- Lines: {'w', id, capacity, step_ms, amount, corrected}, {'s', id, capacity}, {'m', id, capacity, hold, least}.
local function check(line)
  local kind, id = line[1], line[2]
  if kind == 'w' then
    local key, step = P .. ':w:' .. id, math.floor(now / line[4])
    local missing = slide(key, step) + line[5] - line[3]
    if missing <= 0 then return 'ok', 0 end
    return 'rate', retry(key, step, line[4], missing)
  elseif kind == 's' then
    if tonumber(call('GET', P .. ':s:' .. id) or 0) >= line[3] then return 'slots', SLOT_RETRY end
    return 'ok', 0
  end
  local found = call('HMGET', P .. ':m:' .. id, 'base', 'pending', 'held')
  if not found[1] then return 'unknown', 0 end
  local spent, held, capacity = add(money(found[1]), money(found[2])), money(found[3]), money(line[3])
  if not most(add(spent, money(line[5])), capacity) then return 'spent', 0 end
  if (held[1] == 0 and held[2] == 0) or most(add(add(spent, held), money(line[4])), capacity) then return 'ok', 0 end
  return 'holds', 0
end

-- Take a line for a call; gives back what its end has to undo or correct.
local function enter(line)
  local kind, id = line[1], line[2]
  if kind == 'w' then
    local step = math.floor(now / line[4])
    put(P .. ':w:' .. id, step, line[5], line[4])
    if line[6] then return {'window', id, line[5], line[4], step} end
    return nil
  end
  local taken = {'slot', id}
  if kind == 'm' then
    local found = call('HMGET', P .. ':m:' .. id, 'base', 'pending', 'held')
    local left = minus(money(line[3]), add(add(money(found[1]), money(found[2])), money(found[3])))
    local hold = money(line[4])
    taken = {'money', id, text(most(hold, left) and hold or left)}
  end
  take(taken)
  return taken
end

local function reading(line, granted)
  local kind, id = line[1], line[2]
  if kind == 'w' then
    return math.max(0, line[3] - slide(P .. ':w:' .. id, math.floor(now / line[4])))
  elseif kind == 's' then
    return math.max(0, line[3] - tonumber(call('GET', P .. ':s:' .. id) or 0))
  end
  local found = call('HMGET', P .. ':m:' .. id, 'base', 'pending', 'held')
  return {text(add(money(found[1]), money(found[2]))), found[3] or '0', granted or '0'}
end

local RANK = {ok = 0, holds = 1, slots = 2, rate = 2, spent = 3, unknown = 4}

local function admit(hold_id, lines)
  local code, worst, wait, readings, granted, kept = 'ok', 0, 0, {}, {}, {}
  local there = call('HGET', P .. ':h:' .. gateway, hold_id)
  if not there then
    for i, line in ipairs(lines) do
      local found, ms = check(line)
      if RANK[found] > RANK[code] or (RANK[found] == RANK[code] and ms > wait) then
        code, worst, wait = found, i - 1, ms
      end
    end
    if code == 'ok' then
      for i, line in ipairs(lines) do
        local taken = enter(line)
        if taken then
          kept[#kept + 1] = taken
          granted[i] = taken[3]
        end
      end
      if #kept > 0 then call('HSET', P .. ':h:' .. gateway, hold_id, cmsgpack.pack(kept)) end
    end
  end
  for i, line in ipairs(lines) do readings[i] = reading(line, granted[i]) end
  return {code, worst, wait, readings}
end

-- `part`: the ids of those lines that are given back; without it all are. False: the call is not held here.
local function leave(hold_id, used, part)
  local packed = call('HGET', P .. ':h:' .. gateway, hold_id)
  if not packed then return false end
  local gone, stays, named, at = {}, {}, {}, 0
  for _, id in ipairs(part or {}) do named[id] = true end
  for _, taken in ipairs(cmsgpack.unpack(packed)) do
    table.insert((named[taken[2]] or not part) and gone or stays, taken)
  end
  if #stays > 0 then
    call('HSET', P .. ':h:' .. gateway, hold_id, cmsgpack.pack(stays))
  else
    call('HDEL', P .. ':h:' .. gateway, hold_id)
  end
  give_back(gone)
  for _, taken in ipairs(gone) do
    if taken[1] == 'window' then
      at = at + 1
      if used[at] then correct(taken, used[at]) end
    end
  end
  return true
end

local function finish(hold_id, used, charges, part)
  leave(hold_id, used, part)
  for _, each in ipairs(charges) do charge(each[1], each[2], each[3]) end
  return true
end

-- The version of its base: whoever comes back first from the ledger may replace it. 0: it is younger than `min_age` ms,
-- or somebody else is asking the ledger just now.
local function begin(id, min_age)
  local key = P .. ':m:' .. id
  local found = call('HMGET', key, 'base', 'based_at', 'begun_at')
  if found[1] and now - tonumber(found[2]) < min_age then return 0 end
  if found[3] and now - tonumber(found[3]) < 2000 then return 0 end
  call('HSET', key, 'begun_at', string.format('%.0f', now))
  -- It begins with a number that no one has from before Redis was emptied.
  call('HSETNX', key, 'version', string.format('%.0f', now))
  call('PEXPIRE', key, KEEP)
  return tonumber(call('HGET', key, 'version'))
end

local function rebase(id, version, base, stored)
  local key = P .. ':m:' .. id
  if call('HGET', key, 'version') ~= string.format('%.0f', version) then return false end
  for _, event in ipairs(stored) do
    local amount = call('HGET', P .. ':u:' .. id, event)
    if amount then
      call('HDEL', P .. ':u:' .. id, event)
      change(key, 'pending', amount, minus)
    end
  end
  call('HSET', key, 'base', base, 'based_at', string.format('%.0f', now))
  call('HINCRBY', key, 'version', 1)
  call('HDEL', key, 'begun_at')
  call('PEXPIRE', key, KEEP)
  return true
end

local function rebuilding()
  if call('EXISTS', P .. ':awaited') == 0 then return false end
  call('ZREMRANGEBYSCORE', P .. ':awaited', '-inf', string.format('%.0f', now - lease))
  return call('ZCARD', P .. ':awaited') > 0
end

local OPERATIONS = {a = admit, f = finish, b = begin, r = rebase,
  u = function(id) return call('HKEYS', P .. ':u:' .. id) end,
  l = function() return call('ZRANGE', P .. ':live', 0, -1) end}

if what == 'batch' then
  if call('GET', P .. ':epoch') ~= epoch or not call('ZSCORE', P .. ':live', gateway) then
    return cmsgpack.pack({'join', now, {}})
  end
  beat()
  if rebuilding() then return cmsgpack.pack({'rebuilding', now, {}}) end
  local answers = {}
  for i, each in ipairs(input) do answers[i] = OPERATIONS[each[1]](each[2], each[3], each[4], each[5]) end
  return cmsgpack.pack({'ok', now, answers})
end

-- join: input is {new epoch, peers, holds, charges, windows, charges not told yet, windows of calls that were let in and
-- have ended without Redis, ends not told yet}. All charges and windows are for an epoch that has not heard of this
-- gateway: what it has heard may be in a base already. An end is {hold id, used, part or false, what it has used of
-- windows}; the last only counts if others have taken this gateway for dead and given its calls back.
local known = call('GET', P .. ':epoch')
if not known then
  known = input[1]
  call('SET', P .. ':epoch', known)
  for _, peer in ipairs(input[2]) do call('ZADD', P .. ':awaited', now, peer) end
end
call('ZREM', P .. ':awaited', gateway)
local first, lived = call('SADD', P .. ':told', gateway) == 1, call('ZSCORE', P .. ':live', gateway)
for _, each in ipairs(input[8]) do
  if not leave(each[1], each[2], each[3]) and not lived and not first then
    for _, used in ipairs(each[4]) do put(P .. ':w:' .. used[1], used[2], used[3], used[4]) end
  end
end
void(gateway)
beat()
for _, each in ipairs(input[3]) do
  call('HSET', P .. ':h:' .. gateway, each[1], cmsgpack.pack(each[2]))
  for _, taken in ipairs(each[2]) do
    take(taken)
    if taken[1] == 'window' and not first then put(P .. ':w:' .. taken[2], taken[5], taken[3], taken[4]) end
  end
end
for _, each in ipairs(first and input[4] or input[6]) do charge(each[1], each[2], each[3]) end
for _, each in ipairs(first and input[5] or input[7]) do put(P .. ':w:' .. each[1], each[2], each[3], each[4]) end
return cmsgpack.pack({rebuilding() and 'rebuilding' or 'ok', now, {known}})
