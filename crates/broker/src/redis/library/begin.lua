-- FCALL tg_begin 1 tg:{channel}  ->  OK
-- A channel without an epoch gets one; the life of a position is renewed.

local function tg_begin(keys, arguments)
    local key, rules = channel_of(keys)
    if not key then return rules end
    if #arguments > 0 or not rules.size then
        return refuse('TGARG', #arguments > 0 and 'no argument is expected' or "the channel's namespace has no history")
    end
    local refused = whole(key, key .. ':log')
    if refused then return refused end
    if not top_of(key) then store(key, numbered(key)) end
    call('PEXPIRE', key, rules.top_life) -- nothing happens if it is the log that knows it
    return redis.status_reply('OK')
end
