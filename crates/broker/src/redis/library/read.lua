-- FCALL tg_read 1 tg:{channel} <count> [since <epoch> <offset> | last <n>]
--   ->  [epoch, offset, start, end, lost, ahead, [[offset, payload, key, from], ...]], or MISSING
-- Writes nothing, so it works without replicas and when memory is full.

local MAX_PAGE = 10000
-- Bytes of payloads after which a page ends.
local PAGE_BYTES = 1048576
-- Entries that are looked at in one go.
local STEP = 32
-- Entries that the usual answer has at most: it is one look, so this times the largest event is what Redis may
-- hold twice for a moment.
local STRAIGHT = 128

-- The smallest offset after `start` from which the log holds all up to the top, entry by entry. One more than
-- the top if it does not hold the last.
local function held_by_looking(log, top, start)
    local expected, before = top.offset, '+'
    while expected > start do
        local entries = call('XREVRANGE', log, before, '-', 'COUNT', STEP)
        if #entries == 0 then return expected + 1 end
        for _, entry in ipairs(entries) do
            local _, offset = position_of(entry[1])
            if offset ~= expected then return expected + 1 end
            expected = expected - 1
            if expected == start then break end
            before = '(' .. entry[1]
        end
    end
    return expected + 1
end

-- The same, by counting: offsets only grow along a log, so as many entries as offsets leave no hole.
local function held_from(log, top, start)
    if start >= top.offset then return top.offset + 1 end
    if call('EXISTS', log) == 0 then return top.offset + 1 end
    local state = log_state(log)
    if state.last ~= top.epoch .. '-' .. digits(top.offset) then return top.offset + 1 end
    local _, first = position_of(state.first)
    if state.length == top.offset - first + 1 then return math.max(first, start + 1) end
    return held_by_looking(log, top, start)
end

-- The id to read from. Offsets go on through all epochs, so the chain tells whose `offset` is.
local function id_of(log, top, offset)
    local whose = top.epoch
    for epoch, last in string.gmatch(top.chain, '(%d+):(%d+)') do
        if tonumber(last) >= offset then
            whose = epoch
            break
        end
    end
    local id = whose .. '-' .. digits(offset)
    -- Of an epoch that the chain has forgotten: it is found by going along the log.
    return call('XRANGE', log, id, id)[1] and id or '-'
end

-- An entry as it is answered.
local function event_of(offset, fields)
    local event = {offset, false, false, false}
    for at = 1, #fields, 2 do
        local name, value = fields[at], fields[at + 1]
        if name == 'd' then event[2] = value
        elseif name == 'k' then event[3] = value
        elseif name == 'm' then event[4] = value end
    end
    return event
end

-- Events after `start`. Whatever is not the one that must follow ends the page.
local function page(log, top, start, count)
    local events, bytes, expected = {}, 0, start + 1
    if start >= top.offset or count == 0 then return events end
    local from = id_of(log, top, expected)
    while true do
        local entries = call('XRANGE', log, from, '+', 'COUNT', STEP)
        for _, entry in ipairs(entries) do
            local _, offset = position_of(entry[1])
            if offset >= expected then
                if offset > expected or #events == count or bytes >= PAGE_BYTES then return events end
                local event = event_of(offset, entry[2])
                bytes = bytes + #(event[2] or '')
                events[#events + 1] = event
                expected = expected + 1
            end
        end
        if #entries < STEP then return events end
        from = '(' .. entries[STEP][1]
    end
end

-- The usual answer, in one look: few events, without a hole up to the top, all of its epoch. Nothing: it is
-- not that simple.
local function straight(log, top, start, count)
    local missing = top.offset - start
    if missing <= 0 then return {} end
    if missing > count or missing > STRAIGHT then return nil end
    local from = top.epoch .. '-' .. digits(start + 1)
    local entries = call('XRANGE', log, from, '+', 'COUNT', missing)
    if #entries < missing then return nil end
    local events, bytes = {}, 0
    for nth, entry in ipairs(entries) do
        local epoch, offset = position_of(entry[1])
        if epoch ~= top.epoch or offset ~= start + nth or bytes >= PAGE_BYTES then return nil end
        events[nth] = event_of(offset, entry[2])
        bytes = bytes + #(events[nth][2] or '')
    end
    return events
end

-- Where a reader goes on: start, end, lost, ahead.
local function place(top, line, epoch, offset)
    if epoch == top.epoch then
        if offset <= top.offset then return offset, top.offset, false, false end
        if not continues(top, line) then return offset, top.offset, false, true end
        return top.offset, false, true, false
    end
    for former, last in string.gmatch(top.chain, '(%d+):(%d+)') do
        if former == epoch then
            last = tonumber(last)
            return math.min(offset, last), last, false, false
        end
    end
    return top.offset, false, true, false
end

-- count, since {epoch, offset}, last
local function what_to_read(arguments)
    local count = arguments[1] and number_of(arguments[1], MAX_PAGE)
    if not count then
        return nil, refuse('TGARG', 'a count from 0 to ' .. MAX_PAGE .. ' is expected after the key')
    end
    local query = {count = count}
    if #arguments == 4 and arguments[2] == 'since' then
        local epoch, offset = arguments[3], arguments[4]
        if not (find(epoch, '^%d+$') and #epoch == 19 or epoch == '') or not find(offset, '^%d+$') then
            return nil, refuse('TGARG', 'since is an epoch of 19 digits and an offset')
        end
        -- Nobody was ever given what exceeds a double; it is unknown, like an epoch that is none of ours.
        local number = number_of(offset, MAX_OFFSET)
        query.epoch, query.offset = number and epoch or '', number or 0
    elseif #arguments == 3 and arguments[2] == 'last' then
        query.last = number_of(arguments[3], 4294967295)
        if not query.last then return nil, refuse('TGARG', 'last is a number from 0 to 4294967295') end
    elseif #arguments > 1 then
        return nil, refuse('TGARG', 'after the count, since <epoch> <offset> or last <n> is expected')
    end
    return query
end

local function tg_read(keys, arguments)
    local key, rules = channel_of(keys)
    if not key then return rules end
    local query, refused = what_to_read(arguments)
    if not query then return refused end
    if not rules.size then return refuse('TGARG', "the channel's namespace has no history") end

    local log = key .. ':log'
    refused = whole(key, log)
    if refused then return refused end
    local top = top_of(key)
    local line, is_master
    if not top or top.library ~= library_id() then
        line, is_master = replication()
        if not is_master then return refuse('READONLY', 'a replica is not asked for history') end
    end
    if not top then return redis.status_reply('MISSING') end

    local start, ending, lost, ahead = top.offset, top.offset, false, false
    if query.epoch then
        start, ending, lost, ahead = place(top, line, query.epoch, query.offset)
    elseif query.last then
        start = math.max(0, top.offset - query.last)
    end
    local events = not ahead and straight(log, top, start, query.count)
    if not events then
        if query.last then start = math.max(start, held_from(log, top, start) - 1) end
        local first = held_from(log, top, start)
        if not ahead and first > start + 1 then
            lost, start = true, first - 1
        end
        events = page(log, top, start, query.count)
    end
    return {
        top.epoch, top.offset, start, ending, lost and 1 or 0, ahead and 1 or 0, events,
    }
end
