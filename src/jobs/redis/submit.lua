-- Stores jobs. ARGV: how many may wait; then of each its id, kind, key (may be empty), text.
-- Answers of each: what became of it; of one that was there its id and status.
local most = tonumber(ARGV[1])
local waiting = redis.call('ZCARD', set.queued)
local time, queued, reply = now(), {}, {}

local function answer(became, id, status)
    reply[#reply + 1] = became
    reply[#reply + 1] = id or false
    reply[#reply + 1] = status or false
end

for i = 2, #ARGV, 4 do
    local id, kind, name, text = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
    local known = name ~= '' and redis.call('GET', key(name))
    local there = known and redis.call('HMGET', job(known), 'kind', 'text', 'status')
    if there and there[3] then
        if there[1] == kind and there[2] == text then
            answer('known', known, there[3])
        else
            answer('reused')
        end
    elseif waiting >= most then
        answer('full')
    else
        local number = redis.call('INCR', numbers)
        local entry = redis.call('XADD', stream, '*', 'id', id)
        redis.call('HSET', job(id), 'kind', kind, 'text', text, 'key', name, 'status', 'queued',
            'attempts', 0, 'created', time, 'entry', entry, 'number', number)
        if name ~= '' then redis.call('SET', key(name), id) end
        queued[#queued + 1] = number
        queued[#queued + 1] = id
        waiting = waiting + 1
        answer('stored')
    end
end
all(queued, 'ZADD', set.queued)
return reply
