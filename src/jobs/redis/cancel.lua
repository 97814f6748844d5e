-- Forgets a job that is queued or failed. ARGV: its id. Answers the status that it had, if it was there.
local it = redis.call('HMGET', job(ARGV[1]), 'status', 'entry', 'key')
local status, entry, name = it[1], it[2], it[3]
if status == 'queued' or status == 'failed' then
    if entry then settle({entry}) end
    redis.call('ZREM', set[status], ARGV[1])
    redis.call('DEL', job(ARGV[1]))
    if name and name ~= '' and redis.call('GET', key(name)) == ARGV[1] then redis.call('DEL', key(name)) end
end
return {status}
