// hear.mjs URL CHANNEL COUNT: subscribes with npm `ws`, says "subscribed", prints COUNT event frames as they came.
import { connect } from "./tools.mjs";

const [url, channel, count] = process.argv.slice(2);
const socket = await connect(url);
socket.say({ type: "subscribe", id: 2, channel });
const answer = await socket.frame();
if (answer.type !== "subscribed") throw new Error(JSON.stringify(answer));
console.log("subscribed");
for (let n = 0; n < Number(count); n += 1) console.log(await socket.next());
socket.close(1000);
const [code] = await socket.closed;
process.exit(code === 1000 ? 0 : 1);
