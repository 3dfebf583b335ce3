-- FCALL tg_publish 1 tg:{channel} <payload> [key <id>] [from <text>]  ->  [epoch, offset, fresh]

-- The largest offset: what a double, and every client, counts exactly.
local MAX_OFFSET = 9007199254740991

-- What a key was used for: the position of its event (`-` for a live one) and the payload's hash.
local function used(id, hash)
    local held = redis.call('GET', id)
    if not held then return nil end
    local position, known = string.match(held, '^(%S+) (%x+)$')
    if known ~= hash then
        return refuse('TGKEY', 'the key was used for another payload')
    end
    local epoch, offset = position_of(position)
    return {epoch or false, offset or false, 0}
end

local function append(key, rules, payload, options)
    local top = numbered(key)
    if top.offset >= MAX_OFFSET then
        return nil, refuse('ERR', 'the channel has no offsets left')
    end
    top.offset = top.offset + 1
    local entry = {
        'XADD', key .. ':log', 'MAXLEN', '~', rules.size, top.epoch .. '-' .. digits(top.offset), 'd', payload,
    }
    if options.key then entry[#entry + 1] = 'k'; entry[#entry + 1] = options.key end
    if options.from then entry[#entry + 1] = 'm'; entry[#entry + 1] = options.from end
    -- First: nothing else that is written can fail, and nothing is taken back.
    redis.call(unpack(entry))
    redis.call('PEXPIRE', key .. ':log', rules.log_ttl)
    store(key, top, rules.top_ttl)
    return top
end

local function tg_publish(keys, arguments)
    local rules, refused = rules_of(keys)
    if not rules then return refused end
    local payload = arguments[1]
    if not payload then
        return refuse('TGARG', 'a payload is expected after the key')
    end
    if #payload > EVENT_BYTES then
        return refuse('TGARG', 'an event has at most ' .. EVENT_BYTES .. ' bytes, this one has ' .. #payload)
    end
    local options
    options, refused = named(arguments, 2, {key = {1, 128}, from = {0, 255}})
    if not options then return refused end

    local key = keys[1]
    local id = options.key and key .. ':id:' .. options.key
    if id then
        refused = whole(key, key .. ':log', id)
    else
        refused = whole(key, key .. ':log')
    end
    if refused then return refused end
    local hash = id and redis.sha1hex(payload)
    local before = id and used(id, hash)
    if before then return before end

    if not rules.size then
        -- A live event, which is nowhere if it is not published.
        local answer = publish(key, envelope(nil, nil, options.from, options.key, payload))
        if type(answer) == 'table' and answer.err then return answer end
        if id then redis.call('SET', id, '- ' .. hash, 'PX', rules.key_ttl) end
        return {false, false, 1}
    end
    local top
    top, refused = append(key, rules, payload, options)
    if not top then return refused end
    if id then
        redis.call('SET', id, top.epoch .. '-' .. digits(top.offset) .. ' ' .. hash, 'PX', rules.key_ttl)
    end
    publish(key, envelope(top.epoch, top.offset, options.from, options.key, payload))
    return {top.epoch, top.offset, 1}
end
