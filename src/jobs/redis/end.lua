-- Ends attempts. ARGV: how long jobs that are done are kept, in milliseconds; then of each its job's id, the attempt,
-- how it ended (done, failed, returned), and the result or the error.
-- Answers of each whether it still held its job (1) or not (0): the ends of the others do not count.
local keep, time, held = ARGV[1], text_of(now()), {}
local settled, left, ended = {}, {}, {done = {}, failed = {}}
for i = 2, #ARGV, 4 do
    local id, attempt, how, value = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
    local it = call('HMGET', job(id), 'status', 'attempts', 'entry', 'number', 'key')
    held[#held + 1] = 0
    if it[1] == 'processing' and it[2] == attempt then
        held[#held] = 1
        settled[#settled + 1] = it[3]
        if how == 'returned' then
            give_back(id, it[4], attempt - 1)
        else
            local field = how == 'done' and 'result' or 'error'
            call('HSET', job(id), 'status', how, 'finished', time, field, value)
            left[#left + 1] = id
            local list = ended[how]
            list[#list + 1] = it[4]
            list[#list + 1] = id
        end
        if how == 'done' then
            call('PEXPIRE', job(id), keep)
            if it[5] then call('PEXPIRE', key(it[5]), keep) end
        end
    end
end
settle(settled)
all(left, 'ZREM', set.processing)
all(ended.done, 'ZADD', set.done)
all(ended.failed, 'ZADD', set.failed)

-- Those that have expired leave their set here, oldest first, and more of them than come.
local gone = {}
if #settled > 0 then
    for _, id in ipairs(call('ZRANGE', set.done, 0, 2 * #settled + 10)) do
        if call('EXISTS', job(id)) == 1 then break end
        gone[#gone + 1] = id
    end
end
all(gone, 'ZREM', set.done)
return held
