-- FCALL tg_begin 1 tg:{channel}  ->  OK
-- A channel without an epoch gets one; the life of a position is renewed.

local function tg_begin(keys, arguments)
    local rules, refused = rules_of(keys)
    if not rules then return refused end
    if #arguments > 0 or not rules.size then
        return refuse('TGARG', #arguments > 0 and 'no argument is expected' or "the channel's namespace has no history")
    end
    local key = keys[1]
    refused = whole(key, key .. ':log')
    if refused then return refused end
    if top_of(key) then
        redis.call('PEXPIRE', key, rules.top_ttl) -- if it is not the log that knows it
    else
        store(key, numbered(key), rules.top_ttl)
    end
    return redis.status_reply('OK')
end
