// docs/examples/tidegate.js against a server that misbehaves on purpose. EXAMPLE is the file's URL.
import assert from "node:assert/strict";
import { once } from "node:events";
import { WebSocket, main, require } from "./tools.mjs";

const { connect } = await import(process.env.EXAMPLE);
const { WebSocketServer } = require("ws");
const [E1, E2] = ["1763700000000000001", "1763700000000000002"];

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

  "in a channel with history each event comes once, in order, over connections": async () => {
    const log = (from, to) => Array.from({ length: to - from }, (_, n) => ({ offset: from + n + 1, data: from + n + 1 }));
    const top = [5, 9, 12]; // where the channel is at each `subscribe`
    const here = await door({
      subscribe: ({ id, since }, socket, heard) => {
        const offset = top[heard.filter(({ type }) => type === "subscribe").length - 1];
        return { type: "subscribed", id, epoch: E1, offset, ...(since ? { recovered: true, events: log(since.offset, offset) } : { events: [] }) };
      },
    });
    const got = [];
    const { gate, until } = client(here.url);
    await gate.subscribe("a", (data) => got.push(data));
    assert.deepEqual(gate.position("a"), { epoch: E1, offset: 5 });
    const event = (offset) => JSON.stringify({ type: "event", channel: "a", offset, data: offset });
    here.sockets()[0].send([event(5), event(6), event(6), event(7)].join("\n"));
    await until(() => got.length === 2);
    here.sockets()[0].terminate();
    await until(() => got.length === 4);
    assert.deepEqual(here.heard.filter(({ type }) => type === "subscribe")[1].since, { epoch: E1, offset: 7 });
    here.sockets()[0].send(event(11)); // 10 is missing: a fault of the node
    await until(() => got.length === 7);
    assert.deepEqual(got, [6, 7, 8, 9, 10, 11, 12]);
    assert.deepEqual(here.heard.at(-1), { type: "subscribe", channel: "a", since: { epoch: E1, offset: 9 }, id: here.heard.at(-1).id });
    here.sockets()[0].send('{"type":"event","channel":"a","data":"live"}');
    await until(() => got.at(-1) === "live");
    gate.close();
  },

  "what is missing is told, and an event that died and is published again comes once": async () => {
    const answers = [{ recovered: false, epoch: E1, offset: 50, events: [{ offset: 50, data: 50 }] }];
    const here = await door({ subscribe: ({ id }) => ({ type: "subscribed", id, ...(answers.shift() ?? {}) }) });
    const [got, gaps] = [[], []];
    const { gate, until } = client(here.url);
    await gate.subscribe("a", (data) => got.push(data), undefined, { since: { epoch: E1, offset: 7 }, ongap: (reason) => gaps.push(reason) });
    assert.deepEqual(here.heard[1].since, { epoch: E1, offset: 7 });
    assert.equal(gaps.length, 1);
    const say = (frame) => here.sockets()[0].send(JSON.stringify({ channel: "a", ...frame }));
    say({ type: "event", offset: 51, data: 51, key: "k51" });
    say({ type: "event", offset: 52, data: 52, key: "k52" });
    say({ type: "position", epoch: E2, offset: 50 });
    say({ type: "event", offset: 51, data: "another" });
    say({ type: "event", offset: 52, data: 52, key: "k52" }); // its publisher tried again
    say({ type: "gap", epoch: E2, offset: 90, reason: "because" });
    say({ type: "event", offset: 91, data: 91 });
    await until(() => got.at(-1) === 91);
    assert.deepEqual(got, [50, 51, 52, "another", 91]);
    assert.deepEqual(gaps.slice(1), ["because"]);
    assert.deepEqual(gate.position("a"), { epoch: E2, offset: 91 });
    here.sockets()[0].terminate(); // and the history is gone
    await until(() => gaps.length === 3);
    assert.equal(gate.position("a"), undefined);
    gate.close();
  },

  "`last` asks for the latest, and a key goes with a publish": async () => {
    const here = await door({ subscribe: ({ id, last }) => ({ type: "subscribed", id, epoch: E1, offset: last, events: [{ offset: 1, data: 1 }, { offset: 2, data_base64: "AP8=" }] }) });
    const got = [];
    const { gate } = client(here.url);
    await gate.subscribe("a", (data) => got.push(data), undefined, { last: 2 });
    await gate.publish("a", 1, "k1");
    assert.deepEqual(here.heard.slice(1), [{ type: "subscribe", channel: "a", last: 2, id: 2 }, { type: "publish", channel: "a", data: 1, key: "k1", id: 3 }]);
    assert.deepEqual(got, [1, new Uint8Array([0, 255])]);
    gate.close();
  },

  "behind comes back with the same position": async () => {
    const since = { epoch: E2, offset: 3 };
    const here = await door({
      subscribe: ({ id }, socket, heard) => heard.filter(({ type }) => type === "subscribe").length === 1
        ? { type: "error", id, code: "behind", message: "old", retry: true, retry_after_ms: 20 }
        : { type: "subscribed", id, ...since, recovered: true, events: [] },
    });
    const { gate } = client(here.url);
    await gate.subscribe("a", () => {}, undefined, { since, ongap: () => assert.fail("nothing is missing") });
    assert.deepEqual(here.heard.slice(1).map((frame) => frame.since), [since, since]);
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
