"""What a Redis does for locks, each script in one step.  Times are the server's own, in milliseconds.

``HOLDERS``  sorted set: who holds the lock, by the end of the lease; of somebody who holds it alone the token begins with ``!``
``WAITING``  hash: who waits for it, ``!`` where it is to be alone, with the time of coming and the one by which it will have asked again
``FENCING``  the last number given, of all locks that share it: at least the time in microseconds, so that it grows although it was lost
"""

from __future__ import annotations

from greenimi.pool.redis.scripts import Script

_NOW = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
"""

ACQUIRE = Script(
    _NOW
    + """
local holders, waiting, fencing, token = KEYS[1], KEYS[2], KEYS[3], ARGV[1]
local lease, limit, waited, wait = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local alone = limit == 1
local me = (alone and '!' or '') .. token

redis.call('ZREMRANGEBYSCORE', holders, '-inf', now)
local again = 0
if not redis.call('ZSCORE', holders, me) then
    local first = redis.call('ZRANGE', holders, 0, 0, 'WITHSCORES')
    if first[1] and (redis.call('ZCARD', holders) >= limit or string.sub(first[1], 1, 1) == '!') then
        again = tonumber(first[2])
    elseif not alone then
        for _, other in ipairs(redis.call('HVALS', waiting)) do
            local came, stays = string.match(other, '^!(%d+) (%d+)$')
            if came and tonumber(came) < now - waited and tonumber(stays) > now then
                again = math.max(again, tonumber(stays))
            end
        end
    end
end

if again == 0 then
    redis.call('ZADD', holders, now + lease, me)
    redis.call('PEXPIREAT', holders, redis.call('ZRANGE', holders, -1, -1, 'WITHSCORES')[2])
    redis.call('HDEL', waiting, token)
    local number = math.max((tonumber(redis.call('GET', fencing)) or 0) + 1, clock[1] * 1000000 + clock[2])
    local text = string.format('%.0f', number)
    redis.call('SET', fencing, text)
    return text
end

local pause = again - now
if wait > 0 then
    pause = math.min(pause, wait)
    local stays = now + pause + 1000
    redis.call('HSET', waiting, token, string.format('%s%.0f %.0f', alone and '!' or '', now - waited, stays))
    if redis.call('PTTL', waiting) < pause + 1000 then
        redis.call('PEXPIREAT', waiting, string.format('%.0f', stays))
    end
end
return -math.max(1, math.ceil(pause))
"""
)
"""The fencing number as text; or, negative, the milliseconds after which to ask again unless something is heard before."""

RELEASE = Script(
    _NOW
    + """
local holders, waiting, token = KEYS[1], KEYS[2], ARGV[1]
local till = redis.call('ZSCORE', holders, token) or redis.call('ZSCORE', holders, '!' .. token)
redis.call('ZREM', holders, token, '!' .. token)
redis.call('HDEL', waiting, token)
if redis.call('EXISTS', waiting) == 1 then
    redis.call('PUBLISH', ARGV[2], ARGV[3])
end
return till and tonumber(till) > now and 1 or 0
"""
)
"""For who holds it and for who waits no more: 1 when it was held."""

RENEW = Script(
    _NOW
    + """
local holders, token, lease = KEYS[1], ARGV[1], tonumber(ARGV[2])
for _, me in ipairs({token, '!' .. token}) do
    local till = redis.call('ZSCORE', holders, me)
    if till and tonumber(till) > now then
        redis.call('ZADD', holders, now + lease, me)
        redis.call('PEXPIREAT', holders, redis.call('ZRANGE', holders, -1, -1, 'WITHSCORES')[2])
        return 1
    end
end
return 0
"""
)

HELD = Script(
    _NOW
    + """
return redis.call('ZCOUNT', KEYS[1], '(' .. now, '+inf')
"""
)
