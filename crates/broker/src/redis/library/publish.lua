-- FCALL tg_publish 1 tg:{channel} <payload> [key <id>] [from <text>]  ->  [epoch, offset, fresh]

-- The largest offset: what a double, and every client, counts exactly.
local MAX_OFFSET = 9007199254740991

local OPTIONS = {key = {1, 128}, from = {0, 255}}

-- Takes a key for a position (`-` for a live event) and the payload's hash, unless it is taken: then the first
-- answer comes back. One command for both, since Redis 7.0.
local function take(id, position, hash, life)
    local held = call('SET', id, position .. ' ' .. hash, 'NX', 'GET', 'PX', life)
    if not held then return nil end
    local first, known_hash = match(held, '^(%S+) (%x+)$')
    if known_hash ~= hash then
        return refuse('TGKEY', 'the key was used for another payload')
    end
    local epoch, offset = position_of(first)
    return {epoch or false, offset or false, 0}
end

-- Gives it back: the event was not written. No command that the documented rights do not have already.
local function give_back(id)
    if id then call('PEXPIRE', id, 0) end
end

-- A live event, which is nowhere if it is not published.
local function pass_on(key, rules, payload, options, id)
    local before = id and take(id, '-', redis.sha1hex(payload), rules.key_life)
    if before then return before end
    local answer = publish(key, envelope(clock(), nil, nil, options, payload))
    if kind(answer) == 'table' and answer.err then
        give_back(id)
        return answer
    end
    return {false, false, 1}
end

-- What an entry has beside its payload.
local function further(options)
    if options == NO_OPTIONS then return end
    if options.key and options.from then return 'k', options.key, 'm', options.from end
    if options.key then return 'k', options.key end
    if options.from then return 'm', options.from end
end

-- Writes the entry. A log that is made anew is given its life: nobody else would, until it is renewed.
local function log_entry(log, rules, position, payload, options)
    local answer = try('XADD', log, 'NOMKSTREAM', 'MAXLEN', '~', rules.size, position, 'd', payload,
        further(options))
    if not answer then
        answer = try('XADD', log, position, 'd', payload, further(options))
        call('PEXPIRE', log, rules.log_life)
    end
    return answer
end

local function append(key, log, rules, payload, options, id)
    local now = clock()
    local epoch, offset = continued(key)
    local top
    if not epoch then
        top = numbered(key)
        epoch, offset = top.epoch, top.offset
    end
    if offset >= MAX_OFFSET then
        return refuse('ERR', 'the channel has no offsets left')
    end
    offset = offset + 1
    local last = digits(offset)
    local position = epoch .. '-' .. last
    local before = id and take(id, position, redis.sha1hex(payload), rules.key_life)
    if before then return before end
    -- First: nothing else that is written can fail, and what was taken is given back.
    local answer = log_entry(log, rules, position, payload, options)
    if kind(answer) == 'table' and answer.err then
        give_back(id)
        return answer
    end
    if top then
        top.offset = offset
        store(key, top)
        renew(key, log, rules, now)
    else
        call('HSET', key, 'offset', last)
        local at = renewed_at[key]
        -- A clock that was set back renews, too.
        if not at or now - at >= rules.renewal or now < at then renew(key, log, rules, now) end
    end
    publish(key, envelope(now, epoch, offset, options, payload))
    return {epoch, offset, 1}
end

local function tg_publish(keys, arguments)
    local key, rules = channel_of(keys)
    if not key then return rules end
    local payload = arguments[1]
    if not payload then
        return refuse('TGARG', 'a payload is expected after the key')
    end
    if #payload > EVENT_BYTES then
        return refuse('TGARG', 'an event has at most ' .. EVENT_BYTES .. ' bytes, this one has ' .. #payload)
    end
    local options, refused = NO_OPTIONS, nil
    if #arguments > 1 then
        options, refused = named(arguments, 2, OPTIONS)
        if not options then return refused end
    end
    local log = key .. ':log'
    local id = options.key and key .. ':id:' .. options.key
    refused = whole(key, log, id)
    if refused then return refused end
    if rules.size then return append(key, log, rules, payload, options, id) end
    return pass_on(key, rules, payload, options, id)
end
