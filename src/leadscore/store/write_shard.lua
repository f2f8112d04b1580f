-- write_shard: everything one batch changed in one shard, or nothing (design 2.4).
--
-- If the stored fence is the one the batch was folded from, store states, outbox, due times, erasures and the new
-- fence, else change nothing; say which fence is stored. So a repeated call changes nothing more, nor does the call of
-- a worker that lost the shard: each of them meets a newer fence.
--
-- KEYS (one slot)
--   1    fence   string
--   2    outbox  hash: causing log offset -> crossings
--   3    due     sorted set: lead id by instant, ms
--   4    erased  hash: erased lead -> what is remembered
--   5..  leads   string each
-- ARGV
--   1    the expected fence; empty: none is stored
--   2    the new fence
--   3-8  the lengths of the six last lists below
--   9..  per lead key, in its order: time to live, ms (0: for good, -1: delete), state
--        then six lists: outbox offset, crossings, ...; outbox offsets to drop; due instant, lead id, ...;
--        lead ids no longer due; erased lead, what is remembered, ...; erased leads to forget
-- Reply
--   the fence stored after the call; nil where no fence is stored
--
-- Numbers come as whole numbers in text and go on as they came: Lua never computes with them.

local fence_key, outbox_key, due_key, erased_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local FIRST_LEAD = 5
local expected_fence, new_fence = ARGV[1], ARGV[2]
local outbox_length, outbox_drop_length = tonumber(ARGV[3]), tonumber(ARGV[4])
local due_length, due_drop_length = tonumber(ARGV[5]), tonumber(ARGV[6])
local erased_length, erased_drop_length = tonumber(ARGV[7]), tonumber(ARGV[8])
local next_argument = 9

-- Ask. A command that the user may not run ends the call here, before anything has changed. What is sure to fail
-- before the first change needs no question. Redis 6 cannot be asked.
local function lacks(calls, command, ...)
  return calls > 0 and not redis.acl_check_cmd(command, ...) and command
end

local lacking = redis.acl_check_cmd and (
  lacks(#KEYS - FIRST_LEAD + 1, "del", fence_key)
  or lacks(outbox_length + erased_length, "hset", outbox_key, "", "")
  or lacks(outbox_drop_length + erased_drop_length, "hdel", outbox_key, "")
  or lacks(due_length, "zadd", due_key, "0", "")
  or lacks(due_drop_length, "zrem", due_key, "")
)
if lacking then
  return redis.error_reply("NOPERM this user has no permissions to run the '" .. lacking .. "' command")
end

-- Read. A key of another type ends the call here, before anything has changed: Redis undoes nothing.
local stored_fence = redis.call("GET", fence_key)
redis.call("HLEN", outbox_key)
redis.call("ZCARD", due_key)
redis.call("HLEN", erased_key)

-- Decide.
if (stored_fence or "") ~= expected_fence then
  return stored_fence
end

-- Write. The fence first: SET is a command that Redis refuses when it is full, read-only or lacks replicas, and it
-- refuses no later command of a script that has written.
redis.call("SET", fence_key, new_fence)

for index = FIRST_LEAD, #KEYS do
  local ttl_ms, state = ARGV[next_argument], ARGV[next_argument + 1]
  next_argument = next_argument + 2
  if ttl_ms == "0" then
    redis.call("SET", KEYS[index], state)
  elseif ttl_ms == "-1" then
    redis.call("DEL", KEYS[index])
  else
    redis.call("SET", KEYS[index], state, "PX", ttl_ms)
  end
end

local MOST_AT_ONCE = 4000 -- Lua unpacks fewer than 8,000 values; even, so that pairs stay together

local function apply_list(command, key, length)
  local last = next_argument + length - 1
  for first = next_argument, last, MOST_AT_ONCE do
    redis.call(command, key, unpack(ARGV, first, math.min(first + MOST_AT_ONCE - 1, last)))
  end
  next_argument = last + 1
end

apply_list("HSET", outbox_key, outbox_length)
apply_list("HDEL", outbox_key, outbox_drop_length)
apply_list("ZADD", due_key, due_length)
apply_list("ZREM", due_key, due_drop_length)
apply_list("HSET", erased_key, erased_length)
apply_list("HDEL", erased_key, erased_drop_length)

return new_fence
