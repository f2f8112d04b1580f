-- KEYS: the lead's hash, the key of the event id. ARGV: occurred_at, then pairs of rule and points.
-- Returns {direction, score} where the lead crosses. The rules are those of tests/bench/peers_workload.py.

if not redis.call('SET', KEYS[2], 1, 'NX', 'EX', 86400) then
  return nil
end

local DECAY = math.log(2) / 86400000
local HALF_LIFE_DAYS = {30, 14, 30, 30, 30, 30, 30, 60, 30, 30, 30, 30}
local GROUP = {1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 1}
local GROUP_MAX = {40, 30, 50}
local ENTER, LEAVE = 50, 35

local points, as_of, is_in, latest = {}, {}, 0, 0
local stored = redis.call('HGETALL', KEYS[1])
for i = 1, #stored, 2 do
  local name, value = stored[i], tonumber(stored[i + 1])
  if name == 't' then
    latest = value
  elseif name == 'in' then
    is_in = value
  else
    local rule = tonumber(string.sub(name, 2))
    if string.sub(name, 1, 1) == 'v' then points[rule] = value else as_of[rule] = value end
  end
end

local at = tonumber(ARGV[1])
if at > latest then latest = at end

local function decay(rule, age_ms)
  return math.exp(-DECAY / HALF_LIFE_DAYS[rule + 1] * age_ms)
end

local function score()
  local groups = {0, 0, 0}
  for rule, value in pairs(points) do
    local group = GROUP[rule + 1]
    groups[group] = groups[group] + value * decay(rule, latest - as_of[rule])
  end
  local total = 0
  for group = 1, 3 do total = total + math.min(groups[group], GROUP_MAX[group]) end
  return math.max(0, math.min(100, total))
end

local crossing
local before = score()
if is_in == 1 and before < LEAVE then
  is_in = 0
  crossing = {'leave', tostring(before)}
end

local changes = {'t', string.format('%d', latest)}
for i = 2, #ARGV, 2 do
  local rule, more = tonumber(ARGV[i]), tonumber(ARGV[i + 1])
  if not points[rule] then
    points[rule], as_of[rule] = more, at
  elseif at >= as_of[rule] then
    points[rule], as_of[rule] = points[rule] * decay(rule, at - as_of[rule]) + more, at
  else
    points[rule] = points[rule] + more * decay(rule, as_of[rule] - at)
  end
  changes[#changes + 1] = 'v' .. rule
  changes[#changes + 1] = string.format('%.17g', points[rule])
  changes[#changes + 1] = 'r' .. rule
  changes[#changes + 1] = string.format('%d', as_of[rule])
end

local after = score()
if is_in == 0 and after > before and after >= ENTER then
  is_in = 1
  crossing = {'enter', tostring(after)}
elseif is_in == 1 and after < LEAVE then
  is_in = 0
  crossing = {'leave', tostring(after)}
end
changes[#changes + 1] = 'in'
changes[#changes + 1] = is_in
redis.call('HSET', KEYS[1], unpack(changes))
return crossing
