-- Begins jobs that the stream has handed to a worker, or that others have held for too long. ARGV: the worker's name;
-- how many; a lease in milliseconds, or 0; the most attempts; what a job says that had them; then of each entry that was
-- handed to it the entry and the job's id, unless there is a lease.
-- Answers of each job that was begun: its id, attempt, kind, text, and milliseconds since it came.
local worker, most, lease = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local attempts, given_up = tonumber(ARGV[4]), ARGV[5]
local entries = {}

-- What others have held for too long.
local function claim()
    local from, rounds = '0-0', 0
    repeat
        local some = redis.call('XAUTOCLAIM', stream, group, worker, lease, from, 'COUNT', most - #entries / 2)
        from, rounds = some[1], rounds + 1
        for _, entry in ipairs(some[2]) do
            if entry then
                entries[#entries + 1] = entry[1]
                entries[#entries + 1] = entry[2][2]
            end
        end
    until from == '0-0' or #entries >= 2 * most or rounds == 1000
end

-- Workers that are gone leave their names behind.
local function sweep()
    for _, other in ipairs(redis.call('XINFO', 'CONSUMERS', stream, group)) do
        local it = {}
        for i = 1, #other, 2 do it[other[i]] = other[i + 1] end
        if it.pending == 0 and it.idle > 60000 + 3 * lease and it.name ~= worker then
            redis.call('XGROUP', 'DELCONSUMER', stream, group, it.name)
        end
    end
end

if lease > 0 then
    claim()
    sweep()
else
    for i = 6, #ARGV do entries[#entries + 1] = ARGV[i] end
end

local time, reply = now(), {}
local settled, left, begun, failed = {}, {queued = {}, processing = {}}, {}, {}
for i = 1, #entries, 2 do
    local entry, id = entries[i], entries[i + 1]
    local it = redis.call('HMGET', job(id), 'status', 'attempts', 'kind', 'text', 'created', 'number', 'entry')
    local status, attempt, number = it[1], tonumber(it[2] or 0) + 1, it[6]
    if not (status and left[status]) or it[7] ~= entry then
        settled[#settled + 1] = entry
    elseif status == 'processing' and lease == 0 then
        -- Begun already. If by a call whose answer was lost, then its lease ends; else somebody holds it.
    elseif attempt > attempts then
        redis.call('HSET', job(id), 'status', 'failed', 'finished', time, 'error', given_up)
        settled[#settled + 1] = entry
        table.insert(left[status], id)
        failed[#failed + 1] = number
        failed[#failed + 1] = id
    else
        redis.call('HSET', job(id), 'status', 'processing', 'attempts', attempt, 'started', time)
        if status == 'queued' then
            table.insert(left.queued, id)
            begun[#begun + 1] = number
            begun[#begun + 1] = id
        end
        for _, part in ipairs({id, attempt, it[3], it[4], time - it[5]}) do reply[#reply + 1] = part end
    end
end
settle(settled)
all(left.queued, 'ZREM', set.queued)
all(left.processing, 'ZREM', set.processing)
all(begun, 'ZADD', set.processing)
all(failed, 'ZADD', set.failed)
return reply
