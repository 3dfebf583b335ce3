// publish.mjs URL CHANNEL: publishes with node-redis.
import { require } from "./tools.mjs";

const { createClient } = require("redis");
const [url, channel] = process.argv.slice(2);
const client = await createClient({ url }).connect();
await client.publish(channel, "grüße, 世界");
await client.publish(channel, '{"n": 1.0, "list": [1, 2]}');
await client.publish(channel, Buffer.from([0xff, 0xc1, 0x80]));
await client.close();
