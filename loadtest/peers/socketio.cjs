// Socket.IO with its Redis adapter, as its documentation sets it up. `node socketio.cjs PORT REDIS`.
// A client's room is the `channel` of its handshake; events come as the Redis emitter publishes them, or from a
// client, to its room.
const { createServer } = require("node:http");
const { createAdapter } = require("@socket.io/redis-adapter");
const { createClient } = require("redis");
const { Server } = require("socket.io");

async function main() {
  const [port, url] = process.argv.slice(2);
  const [publisher, listener] = [createClient({ url }), createClient({ url })];
  await Promise.all([publisher.connect(), listener.connect()]);
  const http = createServer();
  const io = new Server(http, { adapter: createAdapter(publisher, listener), transports: ["websocket"] });
  io.on("connection", (socket) => {
    const room = socket.handshake.query.channel;
    socket.join(room);
    socket.on("event", (text) => io.to(room).emit("event", text));
  });
  http.listen({ port: Number(port), host: "127.0.0.1", backlog: 4096 }, () => console.log("listening"));
}

main();
