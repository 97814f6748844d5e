-- Forgets a job that is queued or failed. ARGV: its id. Answers the status that it had, if it was there.
local it = call('HMGET', job(ARGV[1]), 'status', 'entry', 'key')
local status, entry, name = it[1], it[2], it[3]
if status == 'queued' or status == 'failed' then
    if entry then settle({entry}) end
    call('ZREM', set[status], ARGV[1])
    call('DEL', job(ARGV[1]))
    if name and call('GET', key(name)) == ARGV[1] then call('DEL', key(name)) end
end
return {status}
