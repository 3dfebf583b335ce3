-- The channel's last position, and who gave it.

-- Former epochs that are known, at most.
local CHAIN = 16

-- Epoch and offset of a log's id.
local function position_of(id)
    local epoch, offset = match(id, '^(%d+)-(%d+)$')
    return epoch, tonumber(offset)
end

local function link(epoch, offset)
    return epoch .. ':' .. digits(offset)
end

-- What the log says of itself. Entries before the first and after the last are none; `last_given` stays
-- when entries go.
local function log_state(log)
    local answer = call('XINFO', 'STREAM', log)
    local state = {}
    for at = 1, #answer, 2 do
        local name, value = answer[at], answer[at + 1]
        if name == 'length' then state.length = value
        elseif name == 'last-generated-id' then state.last_given = value
        elseif name == 'first-entry' then state.first = value and value[1]
        elseif name == 'last-entry' then state.last = value and value[1] end
    end
    return state
end

-- What the log alone knows, when the top was evicted. Nobody continues it.
local function top_of_log(log)
    local epoch, offset = position_of(log_state(log).last_given)
    local ends, before = {}, epoch
    while #ends < CHAIN do
        local entry = call('XREVRANGE', log, '(' .. before .. '-0', '-', 'COUNT', 1)[1]
        if not entry then break end
        local former, last = position_of(entry[1])
        table.insert(ends, 1, link(former, last))
        before = former
    end
    return {epoch = epoch, offset = offset, library = '', line = '', chain = table.concat(ends, ',')}
end

-- The top of a channel; nothing if it has no epoch.
local function top_of(key)
    local held = call('HMGET', key, 'epoch', 'offset', 'library', 'line', 'chain')
    if held[1] and held[2] then
        return {
            epoch = held[1], offset = tonumber(held[2]), library = held[3] or '', line = held[4] or '',
            chain = held[5] or '',
        }
    end
    local log = key .. ':log'
    if call('EXISTS', log) == 1 then
        return top_of_log(log)
    end
end

-- The top that the next event of this server continues: a new epoch where the history changed hands.
local function numbered(key)
    local top = top_of(key)
    if not top then
        return {epoch = new_epoch('0'), offset = 0, library = library_id(), line = (replication()), chain = ''}
    end
    local is_ours, line = continues(top)
    if not is_ours then
        local chain = link(top.epoch, top.offset)
        chain = top.chain == '' and chain or top.chain .. ',' .. chain
        local _, links = string.gsub(chain, ',', ',')
        for _ = CHAIN, links do
            chain = string.gsub(chain, '^[^,]*,', '', 1)
        end
        top.chain = chain
        top.epoch = new_epoch(top.epoch)
    end
    top.library = library_id()
    top.line = line or top.line
    return top
end

-- Epoch and offset where this load of the library numbered the last event, too. Nothing but the offset can be
-- other then, so that the rest is neither read nor written.
local function continued(key)
    local held = call('HMGET', key, 'epoch', 'offset', 'library')
    if library and held[3] == library then
        return held[1], number(held[2])
    end
end

local function store(key, top)
    call('HSET', key, 'epoch', top.epoch, 'offset', digits(top.offset), 'library', top.library,
        'line', top.line, 'chain', top.chain)
end

-- `now` in microseconds.
local function renew(key, log, rules, now)
    call('PEXPIRE', key, rules.top_life)
    call('PEXPIRE', log, rules.log_life)
    renewed_at[key] = now
end
