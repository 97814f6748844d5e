-- The layout: what every script below begins with. One hash tag keeps all of it in one slot of a cluster.
local stream, group = KEYS[1], 'workers'
local numbers = '{ounce}:number'
local set = {
    queued = '{ounce}:queued',
    processing = '{ounce}:processing',
    done = '{ounce}:done',
    failed = '{ounce}:failed',
}

local function job(id) return '{ounce}:job:' .. id end

local function key(name) return '{ounce}:key:' .. name end

-- In milliseconds since 1970, by Redis' clock: those of its clients may differ.
local function now()
    local time = redis.call('TIME')
    return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Calls a command with all that is in `list`, if anything is.
local function all(list, ...)
    if #list == 0 then return end
    local command = {...}
    for i = 1, #list do command[#command + 1] = list[i] end
    return redis.call(unpack(command))
end

-- Takes entries off the stream.
local function settle(entries)
    all(entries, 'XACK', stream, group)
    all(entries, 'XDEL', stream)
end

-- Queues a job again, as if its last attempt had not been.
local function give_back(id, number, attempts)
    local entry = redis.call('XADD', stream, '*', 'id', id)
    redis.call('HSET', job(id), 'status', 'queued', 'attempts', attempts, 'entry', entry)
    redis.call('HDEL', job(id), 'started')
    redis.call('ZREM', set.processing, id)
    redis.call('ZADD', set.queued, number, id)
end
