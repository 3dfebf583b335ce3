/**
 * Tidegate for browsers in one file without dependencies: copy it into your project.
 *
 * @example
 * import { connect } from "./tidegate.js";
 * const gate = connect("wss://example.com/ws", {
 *   token: () => fetch("/token").then((r) => r.text()), // or a string; leave it out for anonymous
 *   onstate: (state, detail) => console.log(state, detail), // connecting, connected, waiting, closed
 * });
 * await gate.subscribe("chat:1", (data, event) => console.log(data, event.from));
 * await gate.publish("chat:1", { text: "hello" }); // any JSON; with a key as third argument it is safe to repeat
 * await gate.unsubscribe("chat:1"); gate.close();
 *
 * It comes back by itself and subscribes again, except after `close()` and the close codes 4000-4099.
 * Promises reject with an Error that has `code` and `retry`; `lost` means the connection ended before the
 * answer. `subscribe` waits for a connection, `publish` does not. What is published while away comes afterwards
 * in channels with history, each event once and in order; in others it is not seen. Where something cannot be had
 * any more `ongap` is called: load your state anew. To go on after the page was closed keep `gate.position(channel)`:
 * gate.subscribe("chat:1", onevent, onend, { since: position, ongap: (reason) => reload() }); // or `last: 20`
 */
const [WINDOW, KEYS] = [300_000, 1000]; // how long, in ms, servers remember keys (`dedupe_ttl`); how many we do

export function connect(url, { token, onstate = () => {}, WebSocket = globalThis.WebSocket } = {}) {
  const channels = new Map(); // channel -> { onevent, onend, ongap, resolve, reject, joined, at, last, done, dead }
  const asked = new Map(); // id -> { resolve, reject, channel }
  let [up, heard, ended, id, failures, since] = [false, true, false, 0, 0, 0];
  let socket, client, timer, watch;
  const failure = (code, message = code, more = {}) => Object.assign(new Error(message), { retry: false }, more, { code });
  const ask = (frame) => new Promise((resolve, reject) => {
    asked.set(++id, { resolve, reject, channel: frame.channel });
    socket.send(JSON.stringify({ ...frame, id }));
  });
  async function open() {
    onstate("connecting");
    let jwt;
    try { jwt = typeof token === "function" ? await token() : token; }
    catch (error) { return ended || lost({ code: 0, reason: `no token: ${error}` }); }
    if (ended) return;
    const ws = (socket = new WebSocket(url, "tidegate.v1.json"));
    ws.onopen = () => ask({ type: "connect", token: jwt, client }).then(connected, () => ws.close());
    ws.onmessage = ({ data }) => data.split("\n").filter(Boolean).forEach((line) => receive(JSON.parse(line)));
    ws.onclose = lost;
    watch = setTimeout(drop, 10_000, { code: 0, reason: "no answer" });
  }
  function connected(frame) {
    clearTimeout(watch);
    [up, heard, since, client] = [true, true, Date.now(), frame.client]; // the same client id when it comes back
    watch = setInterval(() => { // scripts do not see WebSocket pings, so ask for a sign of life
      if (!heard) return drop({ code: 0, reason: "nothing heard" });
      heard = false;
      socket.send('{"type":"ping"}');
    }, frame.ping_ms);
    onstate("connected", frame);
    for (const channel of channels.keys()) join(channel);
  }
  function receive(frame) {
    heard = true;
    const channel = frame.channel ?? asked.get(frame.id)?.channel, sub = channels.get(channel);
    if (frame.type === "subscribed" && sub) subscribed(channel, sub, frame);
    if (frame.type === "event") sub && handle(channel, sub, frame);
    else if (frame.type === "position") sub?.joined && go(sub, frame.epoch, frame.offset);
    else if (frame.type === "gap") sub?.joined && go(sub, frame.epoch, frame.offset, frame.reason ?? "");
    else if (frame.type === "reconnect") { // this node stops; the next one is ready
      const ws = socket;
      setTimeout(() => ws === socket && up && drop({ code: 4200, reason: "asked to reconnect" }), frame.after_ms);
    } else if (frame.type === "unsubscribed") end(frame.channel, failure(frame.code));
    else if (frame.type === "error") asked.get(frame.id)?.reject(failure(frame.code, frame.message, frame));
    else asked.get(frame.id)?.resolve(frame);
    asked.delete(frame.id);
  }
  function subscribed(channel, sub, { epoch, offset, recovered, events = [] }) {
    sub.joined = true;
    go(sub, epoch, offset - events.length, sub.at && !recovered ? "the history no longer holds what followed" : undefined);
    for (const event of events) handle(channel, sub, { channel, ...event });
  }
  function go(sub, epoch, offset, gap) { // where the channel goes on, which may be below where we are
    const died = gap === undefined && sub.at?.epoch !== epoch ? sub.done.filter((event) => event.offset > offset) : [];
    const keys = [...sub.dead, ...died.map(({ key, until }) => [key, until])]; // their publishers may try again
    sub.dead = new Map(keys.filter(([, until]) => until > Date.now()).slice(-KEYS));
    sub.done = gap === undefined ? sub.done.filter((event) => event.offset <= offset) : [];
    sub.at = epoch && { epoch, offset }; // none without history
    if (gap !== undefined) sub.ongap?.(gap);
  }
  function handle(channel, sub, event) {
    const { offset, key } = event;
    const placed = sub.at && offset !== undefined; // others are live: they have no place
    if (placed && (!sub.joined || offset <= sub.at.offset)) return; // handled already
    if (placed && offset > sub.at.offset + 1) { // a fault of the node: subscribe again from where we are
      sub.joined = false;
      return ask({ type: "unsubscribe", channel }).then(() => again(channel, sub), () => {});
    }
    if ("data_base64" in event) event.data = Uint8Array.from(atob(event.data_base64), (c) => c.charCodeAt(0));
    const twice = placed && sub.dead.get(key) > Date.now();
    try { if (!twice) sub.onevent(event.data, event); } catch (error) { queueMicrotask(() => { throw error; }); }
    if (placed) sub.at = { ...sub.at, offset };
    if (placed && key && sub.done.push({ offset, key, until: Date.now() + WINDOW }) > KEYS) sub.done.shift();
    if (twice) sub.dead.delete(key);
  }
  const again = (channel, sub, ms = 500 + Math.random() * 1500, ws = socket) =>
    setTimeout(() => ws === socket && up && channels.get(channel) === sub && join(channel), ms);
  function join(channel) {
    const sub = Object.assign(channels.get(channel), { joined: false });
    ask({ type: "subscribe", channel, since: sub.at, last: sub.at ? undefined : sub.last }).then(sub.resolve, (error) => {
      if (error.code === "lost" || channels.get(channel) !== sub) return; // joined again once connected
      if (error.retry) again(channel, sub, error.retry_after_ms); // `behind` too: with the same position
      else end(channel, error);
    });
  }
  function end(channel, error) {
    const sub = channels.get(channel);
    channels.delete(channel);
    sub?.reject(error); sub?.onend?.(error.code);
  }
  function drop(why) { // without waiting for the peer, which may be gone
    if (socket) socket.onopen = socket.onmessage = socket.onclose = null;
    socket?.close();
    lost(why);
  }
  function lost({ code, reason }) {
    up = false;
    clearTimeout(timer); clearTimeout(watch);
    for (const { reject } of asked.values()) reject(failure("lost", "The connection ended before the answer.", { retry: true }));
    asked.clear();
    ended ||= code >= 4000 && code < 4100; // trying again would not help
    if (ended) {
      for (const channel of channels.keys()) end(channel, failure("lost", reason || `closed with ${code}`));
      return onstate("closed", { code, reason });
    }
    if ((code >= 4200 && code < 4300) || Date.now() - since > 20_000) failures = 0; // soon
    else if (code >= 4100 && code < 4200) failures = Math.max(failures, 3); // the server asks for patience
    const retry_ms = Math.random() * Math.min(20_000, 500 * 2 ** failures++); // full jitter, 0.5 to 20 s
    onstate("waiting", { code, reason, retry_ms });
    timer = setTimeout(open, retry_ms);
  }
  queueMicrotask(() => ended || open());
  const request = (frame) => (up ? ask(frame) : Promise.reject(failure("not_connected", "There is no connection.", { retry: true })));
  return {
    publish: (channel, data, key) => request({ type: "publish", channel, data, key }),
    /** Resolves when the server has confirmed; `onend(code)` is called if the subscription ends. One per channel. */
    subscribe: (channel, onevent, onend, { since, last, ongap } = {}) => new Promise((resolve, reject) => {
      if (channels.has(channel)) return reject(failure("already_subscribed"));
      channels.set(channel, { onevent, onend, ongap, resolve, reject, at: since, last, done: [], dead: new Map() });
      if (up) join(channel);
    }),
    /** The position of the last event whose callback returned, `{ epoch, offset }`, in a channel with history. */
    position: (channel) => channels.get(channel)?.at,
    unsubscribe: async (channel) => { end(channel, failure("not_subscribed")); if (up) await ask({ type: "unsubscribe", channel }); },
    close: () => { ended = true; drop({ code: 1000, reason: "closed here" }); },
  };
}
