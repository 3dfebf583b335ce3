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
 * await gate.publish("chat:1", { text: "hello" }); // any JSON
 * await gate.unsubscribe("chat:1");
 * gate.close();
 *
 * It comes back by itself and subscribes again, except after `close()` and the close codes 4000-4099.
 * Promises reject with an Error that has `code` and `retry`; `lost` means the connection ended before the
 * answer. `subscribe` waits for a connection, `publish` does not. What is published while away is not seen.
 */
export function connect(url, { token, onstate = () => {}, WebSocket = globalThis.WebSocket } = {}) {
  const channels = new Map(); // channel -> { onevent, onend, resolve, reject }
  const asked = new Map(); // id -> { resolve, reject }
  let [up, heard, ended, id, failures, since] = [false, true, false, 0, 0, 0];
  let socket, client, timer, watch;

  const failure = (code, message = code, more = {}) => Object.assign(new Error(message), { retry: false }, more, { code });
  const ask = (frame) => new Promise((resolve, reject) => {
    asked.set(++id, { resolve, reject });
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
    if (frame.type === "event") {
      if ("data_base64" in frame) frame.data = Uint8Array.from(atob(frame.data_base64), (c) => c.charCodeAt(0));
      channels.get(frame.channel)?.onevent(frame.data, frame);
    } else if (frame.type === "reconnect") { // this node stops; the next one is ready
      const ws = socket;
      setTimeout(() => ws === socket && up && drop({ code: 4200, reason: "asked to reconnect" }), frame.after_ms);
    } else if (frame.type === "unsubscribed") end(frame.channel, failure(frame.code));
    else if (frame.type === "error") asked.get(frame.id)?.reject(failure(frame.code, frame.message, frame));
    else asked.get(frame.id)?.resolve(frame);
    asked.delete(frame.id);
  }
  function join(channel) {
    const [ws, sub] = [socket, channels.get(channel)];
    const again = () => ws === socket && up && channels.get(channel) === sub && join(channel);
    ask({ type: "subscribe", channel }).then(sub.resolve, (error) => {
      if (error.code === "lost" || channels.get(channel) !== sub) return; // joined again once connected
      if (error.retry) setTimeout(again, error.retry_after_ms ?? 500 + Math.random() * 1500);
      else end(channel, error);
    });
  }
  function end(channel, error) {
    const sub = channels.get(channel);
    channels.delete(channel);
    sub?.reject(error);
    sub?.onend?.(error.code);
  }
  function drop(why) { // without waiting for the peer, which may be gone
    if (socket) socket.onopen = socket.onmessage = socket.onclose = null;
    socket?.close();
    lost(why);
  }
  function lost({ code, reason }) {
    up = false;
    clearTimeout(timer);
    clearTimeout(watch);
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
    publish: (channel, data) => request({ type: "publish", channel, data }),
    /** Resolves when the server has confirmed; `onend(code)` is called if the subscription ends. One per channel. */
    subscribe: (channel, onevent, onend) => new Promise((resolve, reject) => {
      if (channels.has(channel)) return reject(failure("already_subscribed"));
      channels.set(channel, { onevent, onend, resolve, reject });
      if (up) join(channel);
    }),
    async unsubscribe(channel) {
      end(channel, failure("not_subscribed"));
      if (up) await ask({ type: "unsubscribe", channel });
    },
    close() {
      ended = true;
      drop({ code: 1000, reason: "closed here" });
    },
  };
}
