// npm `ws` against a node that pings every second: WS, PLAIN and ADMIN are its URLs.
import assert from "node:assert/strict";
import { once } from "node:events";
import { WebSocket, connect, main, open } from "./tools.mjs";

const { WS, PLAIN, ADMIN } = process.env;
const BYTES = Buffer.from([0, 255, 193, 1, 128]);

async function publish(body) {
  const answer = await fetch(`${ADMIN}/api/v1/publish`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  assert.equal(answer.status, 200, await answer.text());
}

async function refused(url, protocols) {
  const socket = new WebSocket(url, protocols);
  socket.on("error", () => {}); // ws reports the aborted handshake once more
  const [, response] = await once(socket, "unexpected-response");
  socket.terminate();
  return response.statusCode;
}

await main({
  "native JSON: subscribe, hear, publish, unsubscribe": async () => {
    const socket = await connect(WS);
    assert.equal(socket.protocol, "tidegate.v1.json");
    assert.equal(socket.connected.type, "connected");
    assert.equal(socket.connected.id, 1);
    assert.equal(socket.connected.ping_ms, 1000);
    socket.say({ type: "subscribe", id: 2, channel: "ws:native" });
    assert.deepEqual(await socket.frame(), { type: "subscribed", id: 2, channel: "ws:native" });
    await publish({ channel: "ws:native", data: { text: "hello" } });
    assert.deepEqual(await socket.frame(), { type: "event", channel: "ws:native", data: { text: "hello" } });
    socket.say({ type: "publish", id: 3, channel: "ws:native", data: "mine" });
    const answers = [await socket.frame(), await socket.frame()];
    assert.deepEqual(answers.find(({ type }) => type === "ok"), { type: "ok", id: 3 });
    assert.deepEqual(answers.find(({ type }) => type === "event"), { type: "event", channel: "ws:native", data: "mine", from: socket.connected.session });
    socket.say({ type: "unsubscribe", id: 4, channel: "ws:native" });
    assert.deepEqual(await socket.frame(), { type: "ok", id: 4 });
    socket.close(1000, "done");
    assert.equal((await socket.closed)[0], 1000);
  },

  "plain: text and binary, in both directions": async () => {
    const [one, two] = [await open(`${PLAIN}ws:plain`), await open(`${PLAIN}ws:plain`)];
    await publish({ channel: "ws:plain", data_base64: Buffer.from("from a backend").toString("base64") });
    for (const socket of [one, two]) assert.equal(await socket.next(), "from a backend");
    one.send("text");
    for (const socket of [one, two]) assert.equal(await socket.next(), "text");
    one.send(BYTES);
    for (const socket of [one, two]) assert.deepEqual(await socket.next(), BYTES);
    await publish({ channel: "ws:plain", data_base64: BYTES.toString("base64") });
    for (const socket of [one, two]) assert.deepEqual(await socket.next(), BYTES);
    for (const socket of [one, two]) {
      socket.close(1000);
      assert.equal((await socket.closed)[0], 1000);
    }
  },

  "pings are answered, and the connection lives on": async () => {
    const socket = await connect(WS);
    while (socket.pings < 3) await once(socket, "ping", { signal: AbortSignal.timeout(15_000) });
    socket.say({ type: "ping", id: 5 });
    assert.deepEqual(await socket.frame(), { type: "pong", id: 5 });
    socket.close(1000);
    assert.equal((await socket.closed)[0], 1000);
  },

  "who does not answer pings is closed with 4201": async () => {
    const socket = await connect(WS, { autoPong: false });
    const [code, reason] = await socket.closed;
    assert.equal(code, 4201);
    assert.equal(reason, "no_pong");
  },

  "a request before connect is refused, and connect still works": async () => {
    const socket = await open(WS, "tidegate.v1.json");
    socket.send('{"type":"subscribe","id":1,"channel":"a"}');
    const refused = JSON.parse(await socket.next());
    assert.deepEqual([refused.type, refused.id, refused.code], ["error", 1, "not_connected"]);
    socket.send('{"type":"connect","id":2}');
    assert.equal(JSON.parse(await socket.next()).type, "connected");
    socket.close(1000);
    assert.equal((await socket.closed)[0], 1000);
  },

  "a first frame of another protocol is closed with 4000 and a reason": async () => {
    for (const first of ["not JSON", "[]", '{"type":"dance"}']) {
      const socket = await open(WS, "tidegate.v1.json");
      socket.send(first);
      const [code, reason] = await socket.closed;
      assert.equal(code, 4000, first);
      assert.notEqual(reason, "", first);
    }
  },

  "a bad channel is an error, not the end": async () => {
    const socket = await connect(WS);
    for (const channel of ["", "two words", "{a}", "~own", "x".repeat(256)]) {
      socket.say({ type: "subscribe", id: 6, channel });
      const frame = await socket.frame();
      assert.deepEqual([frame.type, frame.id, frame.code, frame.retry], ["error", 6, "bad_channel", false], channel);
    }
    socket.close(1000);
    assert.equal((await socket.closed)[0], 1000);
  },

  "refusals before the upgrade are HTTP": async () => {
    assert.equal(await refused(WS, ["something.else"]), 400);
    assert.equal(await refused(`${PLAIN}two%20words`), 400);
    assert.equal(await refused(PLAIN.replace("/plain?channel=", "/nowhere")), 404);
  },
});
