// docs/examples/tidegate.js against a server that misbehaves on purpose. EXAMPLE is the file's URL.
import assert from "node:assert/strict";
import { once } from "node:events";
import { WebSocket, main, require } from "./tools.mjs";

const { connect } = await import(process.env.EXAMPLE);
const { WebSocketServer } = require("ws");

/** A native door: answers everything, keeps what it was sent, and lets the check act on the sockets. */
async function door(answers = {}) {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0, handleProtocols: () => "tidegate.v1.json" });
  await once(server, "listening");
  const heard = [];
  server.on("connection", (socket) => socket.on("message", (data) => {
    const frame = JSON.parse(data);
    heard.push(frame);
    const standard = { connect: { type: "connected", session: `s${heard.length}`, client: "c1", ping_ms: 25_000 }, subscribe: { type: "subscribed" }, ping: { type: "pong" } };
    const answer = answers[frame.type]?.(frame, socket, heard) ?? { ...(standard[frame.type] ?? { type: "ok" }), id: frame.id };
    if (answer !== "none") socket.send(JSON.stringify(answer));
    server.emit("heard");
  }));
  return {
    server,
    heard,
    url: `ws://127.0.0.1:${server.address().port}/ws`,
    sockets: () => [...server.clients].filter((socket) => socket.readyState === WebSocket.OPEN),
    count: (type) => heard.filter((frame) => frame.type === type).length,
  };
}

function client(url, options = {}) {
  const states = [];
  let changed = () => {};
  const gate = connect(url, { WebSocket, onstate: (state, detail) => { states.push([state, detail]); changed(); }, ...options });
  const until = async (what) => {
    const deadline = Date.now() + 10_000;
    while (!what()) {
      assert.ok(Date.now() < deadline, `not within 10 s: ${what}`);
      await Promise.race([new Promise((resolve) => { changed = resolve; }), new Promise((resolve) => setTimeout(resolve, 10))]);
    }
  };
  return { gate, states, until, count: (state) => states.filter(([name]) => name === state).length };
}

await main({
  "connect is first, and says token and client": async () => {
    const here = await door();
    const { gate } = client(here.url, { token: async () => "jwt" });
    await gate.subscribe("a", () => {});
    assert.deepEqual(here.heard, [{ type: "connect", token: "jwt", id: 1 }, { type: "subscribe", channel: "a", id: 2 }]);
    gate.close();
  },

  "events reach their channel's callback; bytes come as Uint8Array; several objects may share a frame": async () => {
    const here = await door();
    const got = [];
    const { gate, until } = client(here.url);
    await gate.subscribe("a", (data, event) => got.push([data, event.from]));
    here.sockets()[0].send('{"type":"event","channel":"a","data":{"x":1},"from":"s9"}\n{"type":"event","channel":"a","data_base64":"AP8="}\n{"type":"event","channel":"b","data":0}');
    await until(() => got.length === 2);
    assert.deepEqual(got, [[{ x: 1 }, "s9"], [new Uint8Array([0, 255]), undefined]]);
    gate.close();
  },

  "after a broken connection it comes back with the same client and subscribes again": async () => {
    const here = await door();
    const { gate, until, count, states } = client(here.url);
    await gate.subscribe("a", () => {});
    await gate.subscribe("b", () => {});
    here.sockets()[0].terminate();
    await until(() => here.count("subscribe") === 4);
    assert.equal(here.heard.filter(({ type }) => type === "connect")[1].client, "c1");
    assert.deepEqual(states.map(([state]) => state), ["connecting", "connected", "waiting", "connecting", "connected"]);
    assert.ok(states[2][1].retry_ms <= 500);
    assert.equal(count("closed"), 0);
    gate.close();
  },

  "an unsubscribed channel is not subscribed again": async () => {
    const here = await door();
    const { gate, until, count } = client(here.url);
    await gate.subscribe("a", () => {});
    await gate.unsubscribe("a");
    here.sockets()[0].terminate();
    await until(() => count("connected") === 2);
    await gate.publish("x", 1); // answered after anything that reconnecting sent
    assert.equal(here.count("subscribe"), 1);
    gate.close();
  },

  "4000 to 4099 never come back": async () => {
    const here = await door({ subscribe: (frame, socket) => { socket.close(4003, "forbidden"); return "none"; } });
    const { gate, until, count, states } = client(here.url);
    await assert.rejects(gate.subscribe("a", () => {}), { code: "lost" });
    await until(() => count("closed") === 1);
    assert.deepEqual(states.at(-1), ["closed", { code: 4003, reason: "forbidden" }]);
    await assert.rejects(gate.publish("a", 1), { code: "not_connected" });
    await new Promise((resolve) => setTimeout(resolve, 700)); // longer than the first wait: nobody came
    assert.equal(here.count("connect"), 1);
  },

  "4200 comes back soon, 4100 with patience": async () => {
    const here = await door();
    const { gate, until, count, states } = client(here.url);
    const random = Math.random;
    Math.random = () => 1;
    try {
      for (const [code, most] of [[4200, 500], [4200, 500], [4100, 4000]]) {
        const before = count("connected");
        await until(() => count("connected") > before || before > 0 && here.sockets().length === 1);
        here.sockets()[0].close(code, "because");
        await until(() => states.at(-1)[0] === "waiting");
        assert.equal(states.at(-1)[1].retry_ms, most, String(code));
        if (code === 4200) await until(() => states.at(-1)[0] === "connected");
      }
    } finally {
      Math.random = random;
    }
    gate.close();
  },

  "reconnect is honoured": async () => {
    const here = await door();
    const { gate, until } = client(here.url);
    await gate.subscribe("a", () => {});
    here.sockets()[0].send('{"type":"reconnect","after_ms":50}');
    await until(() => here.count("subscribe") === 2);
    gate.close();
  },

  "a subscription that may be tried again is; one that may not is refused": async () => {
    const here = await door({
      subscribe: ({ id, channel }, socket, heard) => {
        const error = { type: "error", id, message: "because" };
        if (channel === "no") return { ...error, code: "forbidden", retry: false };
        if (heard.filter((frame) => frame.type === "subscribe").length === 1) return { ...error, code: "unavailable", retry: true, retry_after_ms: 20 };
      },
    });
    const { gate } = client(here.url);
    await gate.subscribe("a", () => {});
    assert.equal(here.count("subscribe"), 2);
    await assert.rejects(gate.subscribe("no", () => {}), { code: "forbidden", message: "because", retry: false });
    gate.close();
  },

  "an answer that never comes rejects with lost": async () => {
    const here = await door({ publish: (frame, socket) => { socket.terminate(); return "none"; } });
    const { gate } = client(here.url);
    await gate.subscribe("a", () => {});
    await assert.rejects(gate.publish("a", 1), { code: "lost", retry: true });
    gate.close();
  },

  "a silent server is left": async () => {
    const here = await door({
      connect: ({ id }) => ({ type: "connected", id, session: "s", client: "c", ping_ms: 60 }),
      ping: () => "none",
    });
    const { gate, until, states } = client(here.url);
    await until(() => states.some(([state]) => state === "waiting"));
    assert.equal(states.find(([state]) => state === "waiting")[1].reason, "nothing heard");
    gate.close();
  },
});
