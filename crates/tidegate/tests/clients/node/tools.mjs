// What the Node scripts share. In the environment: NPM (a folder with node_modules).
import { createRequire } from "node:module";
import { once } from "node:events";

export const require = createRequire(`${process.env.NPM}/package.json`);
export const WebSocket = require("ws");

/** A socket of npm `ws` whose messages wait in a list; `next()` takes the oldest, `closed` is `[code, reason]`. */
export async function open(url, protocols = [], options = {}) {
  const socket = new WebSocket(url, protocols, options);
  const messages = [];
  socket.on("message", (data, binary) => { messages.push(binary ? data : data.toString()); socket.emit("kept"); });
  socket.pings = 0;
  socket.on("ping", () => { socket.pings += 1; });
  socket.closed = new Promise((resolve) => socket.on("close", (code, reason) => resolve([code, reason.toString()])));
  socket.next = async () => {
    while (messages.length === 0) await once(socket, "kept", { signal: AbortSignal.timeout(15_000) });
    return messages.shift();
  };
  socket.frame = async () => JSON.parse(await socket.next());
  socket.say = (frame) => socket.send(JSON.stringify(frame));
  await once(socket, "open");
  return socket;
}

/** A native JSON connection that has said who it is. */
export async function connect(url, options) {
  const socket = await open(url, "tidegate.v1.json", options);
  socket.say({ type: "connect", id: 1 });
  socket.connected = await socket.frame();
  return socket;
}

/** Runs named checks one after the other; exits with 1 if one failed. */
export async function main(checks) {
  let failed = 0;
  for (const [name, body] of Object.entries(checks)) {
    try {
      await body();
      console.log(`ok      ${name}`);
    } catch (error) {
      failed += 1;
      console.log(`FAILED  ${name}\n${error.stack ?? error}`);
    }
  }
  process.exit(failed > 0 ? 1 : 0);
}
