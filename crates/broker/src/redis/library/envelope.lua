-- What subscribers are sent: crates/protocol/src/envelope.rs, byte for byte.

-- The mark, an array of eight, version 1, `event`.
local HEAD = '\193\152\1\165event'
local NEITHER = '\192\192'

-- How bytes of this number begin: MessagePack has text and bytes, and cmsgpack makes text of every string.
local function bytes_head(size)
    if size < 256 then return '\196' .. char(size) end
    if size < 65536 then return struct.pack('>BI2', 197, size) end
    return struct.pack('>BI4', 198, size)
end

-- An event as it travels, stamped with Redis' clock, in microseconds. `epoch` and `offset` are nothing for a live
-- one.
local function envelope(now, epoch, offset, options, payload)
    local said = options == NO_OPTIONS and NEITHER or pack(options.from, options.key)
    return HEAD .. pack(now, epoch, offset) .. said .. bytes_head(#payload) .. payload
end
