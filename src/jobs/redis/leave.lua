-- A worker is gone for good: what it was handed is to be others' at once. ARGV: its name.
-- Answers how many jobs that were.
local count = 0
repeat
    local pending = call('XPENDING', stream, group, '-', '+', 100, ARGV[1])
    local entries = {}
    for _, one in ipairs(pending) do
        entries[#entries + 1] = one[1]
        local entry = call('XRANGE', stream, one[1], one[1])[1]
        local id = entry and entry[2][2] or ''
        local it = call('HMGET', job(id), 'status', 'attempts', 'number', 'entry')
        if it[4] == one[1] and (it[1] == 'queued' or it[1] == 'processing') then
            give_back(id, it[3], it[1] == 'queued' and (it[2] or 0) or it[2] - 1)
            count = count + 1
        end
    end
    settle(entries)
until #pending == 0
call('XGROUP', 'DELCONSUMER', stream, group, ARGV[1])
return {count}
