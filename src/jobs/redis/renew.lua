-- Makes leases as long again. ARGV: the worker's name; then of each attempt its job's id and which attempt it is.
-- Answers how many of them still held their job.
local entries = {}
for i = 2, #ARGV, 2 do
    local it = call('HMGET', job(ARGV[i]), 'status', 'attempts', 'entry')
    if it[1] == 'processing' and it[2] == ARGV[i + 1] then entries[#entries + 1] = it[3] end
end
local count = #entries
if count > 0 then
    entries[count + 1] = 'JUSTID'
    all(entries, 'XCLAIM', stream, group, ARGV[1], 0)
end
return {count}
