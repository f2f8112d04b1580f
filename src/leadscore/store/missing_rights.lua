-- missing_rights: which commands of the store this user may not run (docs/permissions.md). Nothing is written.
--
-- KEYS
--   1    the fence of a shard; commands are asked about with it, because rights may differ by key
-- ARGV
--   1    the key of the prefix's owner
--   2    what the keys of the shard's leads begin with
-- Reply
--   the names of the commands, none where all may be run; nil where Redis cannot be asked (Redis 6)

local fence_key = KEYS[1]
local owner_key, lead_prefix = ARGV[1], ARGV[2]

if not redis.acl_check_cmd then
  return false
end

local commands = {
  {"info"},
  {"get", owner_key},
  {"set", owner_key, ""},
  {"get", fence_key},
  {"set", fence_key, ""},
  {"mget", lead_prefix},
  {"del", lead_prefix},
  {"hgetall", fence_key},
  {"hlen", fence_key},
  {"hset", fence_key, "", ""},
  {"hdel", fence_key, ""},
  {"zcard", fence_key},
  {"zadd", fence_key, "0", ""},
  {"zrem", fence_key, ""},
  {"zrangebyscore", fence_key, "0", "0"},
  {"zscan", fence_key, "0"},
  {"scan", "0"},
  {"evalsha", "", "1", fence_key},
}

local missing, is_listed = {}, {}
for _, command in ipairs(commands) do
  local name = command[1]
  if not is_listed[name] and not redis.acl_check_cmd(unpack(command)) then
    is_listed[name] = true
    missing[#missing + 1] = name
  end
end
return missing
