-- What subscribers are sent: crates/protocol/src/envelope.rs, byte for byte.

-- The mark, an array of eight, version 1, `event`.
local HEAD = '\193\152\1\165event'
local NIL = '\192'

local function text_or_nil(text)
    return text and cmsgpack.pack(text) or NIL
end

-- MessagePack has text and bytes; cmsgpack makes text of every string.
local function pack_bytes(bytes)
    local size = #bytes
    if size < 256 then return struct.pack('>BB', 196, size) .. bytes end
    if size < 65536 then return struct.pack('>BI2', 197, size) .. bytes end
    return struct.pack('>BI4', 198, size) .. bytes
end

-- An event as it travels, stamped with Redis' clock. `epoch` and `offset` are nothing for a live one.
local function envelope(epoch, offset, from, key, payload)
    local time = redis.call('TIME')
    return HEAD .. cmsgpack.pack(time[1] * 1000000 + time[2]) .. text_or_nil(epoch)
        .. (offset and cmsgpack.pack(offset) or NIL) .. text_or_nil(from) .. text_or_nil(key) .. pack_bytes(payload)
end
