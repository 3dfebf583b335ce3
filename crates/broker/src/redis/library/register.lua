-- The functions' names.

-- FCALL tg_version 0  ->  [code version, settings revision, settings]
local function tg_version()
    return {CODE_VERSION, SETTINGS_REVISION, SETTINGS}
end

redis.register_function(PREFIX .. '_publish', tg_publish)
redis.register_function(PREFIX .. '_begin', tg_begin)
redis.register_function{function_name = PREFIX .. '_read', callback = tg_read, flags = {'no-writes'}}
redis.register_function{function_name = PREFIX .. '_version', callback = tg_version, flags = {'no-writes'}}
