-- What callers say: the channel, and arguments by name. Each function answers a value, or nothing and an error.

-- What each call uses, as locals: a global is looked for in several tables, which cost a publish a fifth. None is
-- there while the library is loaded, so the first call sets them (`awake`).
local call, try, kind, number, find, match, sub, format, char, pack

local function refuse(code, why)
    return redis.error_reply(code .. ' ' .. why)
end

-- A number as Redis writes it. Lua's own way makes 1e+15 of large ones.
local function digits(value)
    return format('%d', value)
end

-- The text of a number from 0 to `most`, which a double holds.
local function number_of(text, most)
    local value = #text <= 16 and find(text, '^%d+$') and number(text)
    return value and value <= most and value
end

-- While a life lasts it is renewed so many times at most, not with each event. It is so much longer that the
-- last event, too, has all of it.
local RENEWALS = 64

local function life(millis)
    return digits(math.ceil(millis + millis / RENEWALS))
end

-- Said by who says nothing beside the payload.
local NO_OPTIONS = {}

-- The rules of a namespace, ready for use: texts, which Redis would make of the numbers with each command.
local function prepared(rules)
    local log_ttl = rules.log_ttl or rules.top_ttl
    return {
        size = rules.size and digits(rules.size), log_life = life(log_ttl), top_life = life(rules.top_ttl),
        key_life = digits(rules.key_ttl),
        -- Microseconds until the lives of log and top are renewed.
        renewal = math.min(log_ttl, rules.top_ttl) * 1000 / RENEWALS,
    }
end

-- Whether this is a node of a Cluster.
local in_cluster

local function awake()
    -- The one line that may fail, for want of rights: nothing has been set then, and the next caller tries.
    local told = redis.call('INFO', 'cluster')
    try, kind, number = redis.pcall, type, tonumber
    find, match, sub, format, char = string.find, string.match, string.sub, string.format, string.char
    pack = cmsgpack.pack
    in_cluster = find(told, 'cluster_enabled:1', 1, true) ~= nil
    for name, rules in pairs(NAMESPACES) do
        NAMESPACES[name] = prepared(rules)
    end
    DEFAULT = NAMESPACES.default
    call = redis.call
end

-- Channels that were looked at: their rules, and when their lives are renewed, in microseconds of Redis' clock.
-- Some 200 bytes each; above `MOST_KNOWN` all are forgotten, and looked at again.
local MOST_KNOWN = 8192
local known, renewed_at, number_known = {}, {}, 0

-- The key of the channel that is meant, and its rules: `tg:{chat:42}` has those of `chat`.
local function channel_of(keys)
    local key = keys[1]
    local rules = #keys == 1 and known[key]
    if rules then return key, rules end
    if not call then awake() end
    local name = #keys == 1 and match(key, '^' .. PREFIX .. ':{(.+)}$')
    if not name then
        return nil, refuse('TGARG', 'one key is expected, ' .. PREFIX .. ':{channel}')
    end
    if #name > 255 or find(name, '[%c%s{}*]') or sub(name, 1, 1) == '~' then
        return nil, refuse('TGARG', 'this is no name of a channel')
    end
    rules = NAMESPACES[match(name, '^([^:]*):') or 'default'] or DEFAULT
    if number_known == MOST_KNOWN then known, renewed_at, number_known = {}, {}, 0 end
    known[key], number_known = rules, number_known + 1
    return key, rules
end

-- RFC 3629, section 4: what an envelope holds as text must be text.
local SEQUENCES = {
    '^[%z\1-\127]+()', '^[\194-\223][\128-\191]()', '^\224[\160-\191][\128-\191]()',
    '^[\225-\236\238\239][\128-\191][\128-\191]()', '^\237[\128-\159][\128-\191]()',
    '^\240[\144-\191][\128-\191][\128-\191]()', '^[\241-\243][\128-\191][\128-\191][\128-\191]()',
    '^\244[\128-\143][\128-\191][\128-\191]()',
}

local function is_text(bytes)
    -- Most are ASCII: one look.
    if not find(bytes, '[^\1-\127]') then return true end
    local at = 1
    while at <= #bytes do
        local after
        for _, sequence in ipairs(SEQUENCES) do
            after = match(bytes, sequence, at)
            if after then break end
        end
        if not after then return false end
        at = after
    end
    return true
end

-- `name value` pairs from `first` on. `limits` has for each name the fewest and the most bytes.
local function named(arguments, first, limits)
    local values = {}
    for at = first, #arguments, 2 do
        local name, value = arguments[at], arguments[at + 1]
        local limit = limits[name]
        if not limit then
            return nil, refuse('TGARG', 'no argument is called ' .. format('%q', sub(name, 1, 32)))
        end
        if not value or values[name] then
            return nil, refuse('TGARG', 'one value is expected after ' .. name)
        end
        if #value < limit[1] or #value > limit[2] then
            return nil, refuse('TGARG', name .. ' has ' .. limit[1] .. ' to ' .. limit[2]
                .. ' bytes, this one has ' .. #value)
        end
        if not is_text(value) then
            return nil, refuse('TGARG', name .. ' is not UTF-8')
        end
        values[name] = value
    end
    return values
end

-- Are all keys of the channel here? While its slot moves Redis refuses a command about several keys of which
-- one is missing: it may be on the other side. So nobody is told "empty", and nothing is written that is not
-- where the rest is. Where there are no slots, none moves.
local function whole(key, log, id)
    if not in_cluster then return end
    local answer = try('EXISTS', key, log, id or key)
    if kind(answer) == 'table' and answer.err then
        return refuse('TRYAGAIN', "the channel's keys are on their way to another node")
    end
end
