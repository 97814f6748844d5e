-- The layout: what every script begins with. One hash tag keeps all of it in one slot of a cluster.
local call = redis.call
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
    local time = call('TIME')
    return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- A whole number; what Lua makes of a large one by itself has an exponent.
local function text_of(number) return string.format('%d', number) end

-- Calls a command with all that is in `list`, if anything is.
local function all(list, ...)
    if #list == 0 then return end
    local command = {...}
    for i = 1, #list do command[#command + 1] = list[i] end
    return call(unpack(command))
end

-- Takes entries off the stream.
local function settle(entries)
    all(entries, 'XACK', stream, group)
    all(entries, 'XDEL', stream)
end

-- Queues a job again, as if its last attempt had not been.
local function give_back(id, number, attempts)
    local entry = call('XADD', stream, '*', 'id', id)
    call('HSET', job(id), 'status', 'queued', 'attempts', attempts, 'entry', entry)
    call('HDEL', job(id), 'started')
    call('ZREM', set.processing, id)
    call('ZADD', set.queued, number, id)
end
