// durable.mjs URL CHANNEL NUMBER...: publishes durable events with node-redis, and prints the position of each.
import { require } from "./tools.mjs";

const { createClient } = require("redis");
const [url, channel, ...numbers] = process.argv.slice(2);
const client = await createClient({ url }).connect();
for (const number of numbers) {
  const event = { keys: [`tg:{${channel}}`], arguments: [`{"n":${number}}`] };
  const [epoch, offset] = await client.fCall("tg_publish", event);
  console.log(`${number} ${epoch}-${offset}`);
}
await client.close();
