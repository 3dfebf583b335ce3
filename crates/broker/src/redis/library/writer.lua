-- Who writes here, and which epoch is next.

-- Made once for each load, at the first call. It is lost with a restart, a full resync and another load, and
-- kept by a partial resync: while it is the same, nothing but this server has numbered what it holds.
local library
-- The time of the last epoch made here, in milliseconds.
local latest = 0

-- Redis' clock in microseconds.
local function clock()
    local time = call('TIME')
    return time[1] * 1000000 + time[2]
end

local function library_id()
    if not library then
        local time = call('TIME')
        local run_id = match(call('INFO', 'server'), 'run_id:(%x+)')
        library = run_id .. '-' .. time[1] .. format('%06d', time[2])
    end
    return library
end

-- The replication id, which changes with a restart and a promotion, and whether this is a master.
local function replication()
    local told = call('INFO', 'replication')
    return match(told, 'master_replid:(%x+)'), match(told, 'role:(%a+)') == 'master'
end

-- Whether this server goes on with the history that numbered `top`. `line` is the replication id where it is
-- known already; the one that was looked at comes back.
local function continues(top, line)
    if not FOLLOWS_LINEAGE or top.library == library_id() then
        return true, line
    end
    line = line or replication()
    return top.line == line, line
end

-- Later than the former epoch whatever the clock says, and never made by anybody else. A string: it exceeds a
-- double.
local function new_epoch(former)
    local time = call('TIME')
    local now = time[1] * 1000 + math.floor(time[2] / 1000)
    latest = math.max(now, tonumber(sub(former, 1, 13)) + 1, latest + 1)
    local nonce = tonumber(sub(redis.sha1hex(library_id()), 1, 8), 16) % 1000000
    return format('%013.0f%06.0f', latest, nonce)
end

-- Tells subscribers. `pcall`: an event that is in the log is published, whoever hears it.
local function publish(channel, envelope)
    return try(in_cluster and 'SPUBLISH' or 'PUBLISH', channel, envelope)
end
