-- A page of jobs, latest first. ARGV: how many; the number before which they were stored (may be empty); a status
-- (may be empty). Answers the number before which the next page is, if there may be one; then of each job its id and
-- what clients may see, without its result.
local most, before = tonumber(ARGV[1]), ARGV[2]
local sets = ARGV[3] ~= '' and {set[ARGV[3]]} or {set.queued, set.processing, set.done, set.failed}
local reply, shown, rounds = {false}, 0, 0

-- The next ones of all these sets: {number, id, set}; nothing but the numbers and ids is read.
local function candidates()
    local found = {}
    for _, name in ipairs(sets) do
        local below = before == '' and '+inf' or '(' .. before
        local part = call('ZREVRANGEBYSCORE', name, below, '-inf', 'WITHSCORES', 'LIMIT', 0, most + 1)
        for i = 1, #part, 2 do found[#found + 1] = {tonumber(part[i + 1]), part[i], name} end
    end
    table.sort(found, function(one, other) return one[1] > other[1] end)
    return found
end

-- Jobs that were done expire without leaving their set, so a page may take several rounds; not too many.
local more
repeat
    local found = candidates()
    more = #found > most
    for i = 1, math.min(#found, most + 1) do
        local number, id, name = unpack(found[i])
        if shown == most then break end
        local it = call('HMGET', job(id),
            'kind', 'status', 'attempts', 'created', 'started', 'finished', 'error')
        if it[2] then
            shown = shown + 1
            reply[#reply + 1] = id
            for part = 1, 7 do reply[#reply + 1] = it[part] end
        else
            call('ZREM', name, id)
        end
        before = text_of(number)
    end
    rounds = rounds + 1
until shown == most or not more or rounds == 20
reply[1] = more and before
return reply
