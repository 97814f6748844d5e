-- Stores jobs. ARGV: how many may wait; then of each its id, kind, key (may be empty), text.
-- Answers of each: what became of it; of one that was there its id and status.
local most = tonumber(ARGV[1])
local waiting = call('ZCARD', set.queued)
-- As text, here and elsewhere: each time that a number becomes text costs as much as a small command.
local time, queued, reply = text_of(now()), {}, {}
-- More than are stored, if some are known: numbers may be missing.
local number = call('INCRBY', numbers, (#ARGV - 1) / 4) - (#ARGV - 1) / 4

for i = 2, #ARGV, 4 do
    local id, kind, name, text = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
    local known = name ~= '' and call('GET', key(name))
    local there = known and call('HMGET', job(known), 'kind', 'text', 'status')
    local became, other, status = 'stored', false, false
    number = number + 1
    if there and there[3] then
        became = 'reused'
        if there[1] == kind and there[2] == text then became, other, status = 'known', known, there[3] end
    elseif waiting >= most then
        became = 'full'
    else
        local place = text_of(number)
        local entry = call('XADD', stream, '*', 'id', id)
        local fields = {'HSET', job(id), 'status', 'queued', 'number', place, 'entry', entry, 'created', time,
            'kind', kind, 'text', text}
        if name ~= '' then
            fields[15], fields[16] = 'key', name
            call('SET', key(name), id)
        end
        call(unpack(fields))
        queued[#queued + 1] = place
        queued[#queued + 1] = id
        waiting = waiting + 1
    end
    local last = #reply
    reply[last + 1], reply[last + 2], reply[last + 3] = became, other, status
end
all(queued, 'ZADD', set.queued)
return reply
