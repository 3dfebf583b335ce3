// The page to try: two connections of this tab chat over the node. Messages are text: only textContent is ever set.
import { connect } from "./tidegate.js";

const CHANNEL = "lobby";
const KEPT = 200; // messages a pane shows; older ones go
const door = `${location.protocol === "https:" ? "wss:" : "ws:"}//${location.host}`;
const sessions = new Map(); // session -> the name of its pane
const gate = document.querySelector(".gate");

for (const pane of document.querySelectorAll(".pane")) chat(pane);
fillLines();

function chat(pane) {
  const name = pane.querySelector("h2").textContent;
  const form = pane.querySelector("form");
  const sent = []; // when its messages left, in their order, which is the order in which they come back
  let session;

  const show = (selector, text) => { pane.querySelector(selector).textContent = text; };
  const writable = (yes) => { for (const part of form.elements) part.disabled = !yes; };
  function note(text) {
    show(".note", text ?? "");
    pane.querySelector(".note").hidden = !text;
  }

  const tidegate = connect(`${door}/ws`, { onstate });
  tidegate.subscribe(CHANNEL, receive, ended).catch(() => {});
  form.addEventListener("submit", (submitted) => {
    submitted.preventDefault();
    const text = form.elements.text.value;
    if (text) publish(text);
  });

  function onstate(state, detail) {
    pane.querySelector(".state").dataset.state = state;
    show(".state-text", {
      connecting: "connecting",
      connected: "connected",
      waiting: "away, trying again",
      closed: `closed${detail?.reason ? `: ${detail.reason}` : ""}`,
    }[state]);
    if (state === "connected") {
      session = detail.session;
      sessions.set(session, name);
      pane.querySelector(".session").title = session;
      note();
    }
    sent.length = state === "connected" ? sent.length : 0;
    show(".session", state === "connected" ? session : "–");
    writable(state === "connected");
  }

  async function publish(text) {
    const message = { at: performance.now() };
    sent.push(message);
    form.reset();
    try {
      await tidegate.publish(CHANNEL, text);
      note();
    } catch (error) {
      if (sent.includes(message)) sent.splice(sent.indexOf(message), 1);
      if (!form.elements.text.value) form.elements.text.value = text;
      refused(error);
    }
  }

  function refused(error) {
    if (error.code === "forbidden") {
      note(`This node does not let visitors publish to “${CHANNEL}”. What your backend publishes still arrives here.`);
      writable(false);
    } else if (error.code === "lost") note("The connection ended before the node answered. Your message may not have arrived.");
    else note(`Not sent: ${error.message}${error.retry ? " Try again in a moment." : ""}`);
  }

  function ended(code) {
    if (code === "forbidden") note(`This node does not let visitors listen to “${CHANNEL}”.`);
    else if (code !== "lost") note(`The node ended the subscription to “${CHANNEL}”: ${code}.`);
  }

  function receive(data, event) {
    const own = event.from !== undefined && event.from === session;
    const message = own ? sent.shift() : undefined;
    const item = document.createElement("li");
    const text = document.createElement("span");
    const who = document.createElement("span");
    text.className = "text";
    who.className = "who";
    text.textContent = readable(data);
    item.className = own ? "own" : event.from === undefined ? "backend" : "other";
    who.textContent = own ? "you" : event.from === undefined ? "a backend" : (sessions.get(event.from) ?? `visitor ${event.from.slice(0, 8)}`);
    if (message) {
      const took = `${(performance.now() - message.at).toFixed(1)} ms`;
      who.textContent += ` · ${took}`;
      show(".latency", took);
    }
    item.append(text, who);

    const log = pane.querySelector(".log");
    log.append(item);
    while (log.childElementCount > KEPT) log.firstElementChild.remove();
    log.scrollTop = log.scrollHeight;
    gate.classList.remove("pulse");
    requestAnimationFrame(() => gate.classList.add("pulse"));
  }
}

function readable(data) {
  if (data instanceof Uint8Array) return `${data.length} bytes`;
  return typeof data === "string" ? data : JSON.stringify(data);
}

/** Puts this node's address into the lines, and a button beside each. */
function fillLines() {
  const standard = ["localhost:8080", "127.0.0.1:8080"].includes(location.host);
  const fill = (selector, text) => { document.querySelector(selector).textContent = text; };
  const admin = `http://${location.hostname}:8081`;
  fill("[data-fill=ws]", `${door}/ws`);
  fill("[data-line=curl]", `curl ${admin}/api/v1/publish -H 'content-type: application/json' -d '{"channel": "${CHANNEL}", "data": "hello from curl"}'`);
  fill("[data-line=socket]", `const socket = new WebSocket("${door}"); socket.onmessage = (event) => console.log(event.data); socket.onopen = () => socket.send("hello from the console")`);
  fill("[data-line=subscribe]", `tidegate subscribe ${CHANNEL}${standard ? "" : ` --url ${door}/ws`}`);
  fill("[data-line=sse]", `curl -N '${location.origin}/sse?channel=${CHANNEL}'`);

  for (const item of document.querySelectorAll(".lines li")) {
    const button = document.createElement("button");
    const title = item.querySelector("h3").textContent;
    button.type = "button";
    button.textContent = "Copy";
    button.setAttribute("aria-label", `Copy the line for ${title}`);
    button.addEventListener("click", async () => {
      const line = item.querySelector("code[data-line]");
      button.textContent = (await copy(line)) ? "Copied" : "Selected";
      setTimeout(() => { button.textContent = "Copy"; }, 1600);
    });
    item.querySelector("h3").after(button);
  }
}

/** Copies, or, where the browser does not allow it (plain HTTP from another host), selects the line. */
async function copy(line) {
  try {
    await navigator.clipboard.writeText(line.textContent);
    return true;
  } catch {
    getSelection().selectAllChildren(line);
    return false;
  }
}
