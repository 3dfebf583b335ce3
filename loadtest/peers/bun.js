// Bun's built-in server (uWebSockets): one bare topic for each channel, fed by Redis. `bun bun.js PORT REDIS`.
// It speaks what Tidegate's plain door speaks: /plain?channel=NAME, payloads as frames. What a client says goes
// to its channel the same way as everything, through Redis.
const [port, redis] = process.argv.slice(2);
const [listener, publisher] = [new Bun.RedisClient(redis), new Bun.RedisClient(redis)];
await Promise.all([listener.connect(), publisher.connect()]);

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: Number(port),
  async fetch(request, server) {
    const channel = new URL(request.url).searchParams.get("channel");
    await listen(channel);
    if (!server.upgrade(request, { data: { channel } })) return new Response("no upgrade", { status: 400 });
  },
  websocket: {
    open: (socket) => socket.subscribe(socket.data.channel),
    message: (socket, text) => publisher.publish(`tg:{${socket.data.channel}}`, text),
    backpressureLimit: 64 * 1024 * 1024,
    idleTimeout: 30,
  },
});

// Channel → the promise that Redis has confirmed it.
const channels = new Map();

function listen(channel) {
  let confirmed = channels.get(channel);
  if (!confirmed) {
    confirmed = listener.subscribe(`tg:{${channel}}`, (payload) => server.publish(channel, payload));
    channels.set(channel, confirmed);
  }
  return confirmed;
}

console.log("listening");
