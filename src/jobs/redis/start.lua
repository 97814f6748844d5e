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
        local some = call('XAUTOCLAIM', stream, group, worker, lease, from, 'COUNT', most - #entries / 2)
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
    for _, other in ipairs(call('XINFO', 'CONSUMERS', stream, group)) do
        local it = {}
        for i = 1, #other, 2 do it[other[i]] = other[i + 1] end
        if it.pending == 0 and it.idle > 60000 + 3 * lease and it.name ~= worker then
            call('XGROUP', 'DELCONSUMER', stream, group, it.name)
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
local started = text_of(time)
local settled, left, begun, failed = {}, {queued = {}, processing = {}}, {}, {}
for i = 1, #entries, 2 do
    local entry, id = entries[i], entries[i + 1]
    local it = call('HMGET', job(id), 'status', 'number', 'entry', 'attempts', 'created', 'kind', 'text')
    local status, number = it[1], it[2]
    local attempt = it[4] and tonumber(it[4]) + 1 or 1
    if it[3] ~= entry or not left[status] then
        settled[#settled + 1] = entry
    elseif status == 'processing' and lease == 0 then
        -- Begun already. If by a call whose answer was lost, then its lease ends; else somebody holds it.
    elseif attempt > attempts then
        call('HSET', job(id), 'status', 'failed', 'finished', started, 'error', given_up)
        settled[#settled + 1] = entry
        left[status][#left[status] + 1] = id
        failed[#failed + 1] = number
        failed[#failed + 1] = id
    else
        attempt = text_of(attempt)
        call('HSET', job(id), 'status', 'processing', 'attempts', attempt, 'started', started)
        if status == 'queued' then
            left.queued[#left.queued + 1] = id
            begun[#begun + 1] = number
            begun[#begun + 1] = id
        end
        local last = #reply
        reply[last + 1], reply[last + 2], reply[last + 3] = id, attempt, it[6]
        reply[last + 4], reply[last + 5] = it[7], time - it[5]
    end
end
settle(settled)
all(left.queued, 'ZREM', set.queued)
all(left.processing, 'ZREM', set.processing)
all(begun, 'ZADD', set.processing)
all(failed, 'ZADD', set.failed)
return reply
