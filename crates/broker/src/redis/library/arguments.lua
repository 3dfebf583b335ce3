-- What callers say: the channel, and arguments by name. Each function answers a value, or nothing and an error.

local function refuse(code, why)
    return redis.error_reply(code .. ' ' .. why)
end

-- A number as Redis writes it. Lua's own way makes 1e+15 of large ones.
local function digits(number)
    return string.format('%.0f', number)
end

-- The text of a number from 0 to `most`, which a double holds.
local function number_of(text, most)
    local number = #text <= 16 and string.find(text, '^%d+$') and tonumber(text)
    return number and number <= most and number
end

-- The rules of a channel: `tg:{chat:42}` takes those of `chat`.
local function rules_of(keys)
    local name = #keys == 1 and string.match(keys[1], '^' .. PREFIX .. ':{(.+)}$')
    if not name then
        return nil, refuse('TGARG', 'one key is expected, ' .. PREFIX .. ':{channel}')
    end
    if #name > 255 or string.find(name, '[%c%s{}*]') or string.sub(name, 1, 1) == '~' then
        return nil, refuse('TGARG', 'this is no name of a channel')
    end
    return NAMESPACES[string.match(name, '^([^:]*):') or 'default'] or DEFAULT
end

-- RFC 3629, section 4: what an envelope holds as text must be text.
local SEQUENCES = {
    '^[%z\1-\127]+()', '^[\194-\223][\128-\191]()', '^\224[\160-\191][\128-\191]()',
    '^[\225-\236\238\239][\128-\191][\128-\191]()', '^\237[\128-\159][\128-\191]()',
    '^\240[\144-\191][\128-\191][\128-\191]()', '^[\241-\243][\128-\191][\128-\191][\128-\191]()',
    '^\244[\128-\143][\128-\191][\128-\191]()',
}

local function is_text(bytes)
    local at = 1
    while at <= #bytes do
        local after
        for _, sequence in ipairs(SEQUENCES) do
            after = string.match(bytes, sequence, at)
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
            return nil, refuse('TGARG', 'no argument is called ' .. string.format('%q', string.sub(name, 1, 32)))
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

-- Whether this is a node of a Cluster, once it was asked.
local cluster

local function in_cluster()
    if cluster == nil then
        cluster = string.find(redis.call('INFO', 'cluster'), 'cluster_enabled:1', 1, true) ~= nil
    end
    return cluster
end

-- Are all keys of the channel here? While its slot moves Redis refuses a command about several keys of which
-- one is missing: it may be on the other side. So nobody is told "empty", and nothing is written that is not
-- where the rest is. Where there are no slots, none moves.
local function whole(...)
    if not in_cluster() then return end
    local answer = redis.pcall('EXISTS', ...)
    if type(answer) == 'table' and answer.err then
        return refuse('TRYAGAIN', "the channel's keys are on their way to another node")
    end
end
