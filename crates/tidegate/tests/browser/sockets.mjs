// What a browser's own WebSocket and EventSource get from the bare doors, beside the page.
import assert from "node:assert/strict";
import { PAGE, heard, main, opened, publish, say } from "./harness.mjs";

const DOOR = PAGE.replace("http", "ws").replace(/\/$/, "");
const BYTES = [0, 255, 193, 1, 128];

main(async (check, browser) => {
  const page = await opened(browser);

  await check("a WebSocket at / talks to the page, both ways", async () => {
    await page.evaluate(async (url) => {
      window.bare = new WebSocket(url);
      window.got = [];
      bare.onmessage = ({ data }) => got.push(data);
      await new Promise((resolve, reject) => { bare.onopen = resolve; bare.onclose = reject; });
      bare.send("hello from the console");
    }, DOOR);
    await heard(page, "hello from the console");
    await say(page, "right", "hello, console");
    await heard(page, "hello, console");
    await page.waitForFunction(() => got.length === 2);
    assert.deepEqual(await page.evaluate(() => got), ["hello from the console", '"hello, console"']);
    const code = await page.evaluate(() => new Promise((resolve) => { bare.onclose = (event) => resolve(event.code); bare.close(1000); }));
    assert.equal(code, 1000);
  });

  await check("binary arrives as ArrayBuffer and as Blob, byte for byte", async () => {
    await page.evaluate(async (url) => {
      window.binary = [];
      for (const type of ["arraybuffer", "blob"]) {
        const socket = new WebSocket(url);
        socket.binaryType = type;
        socket.onmessage = async ({ data }) => binary.push({
          kind: data.constructor.name,
          bytes: [...new Uint8Array(data instanceof Blob ? await data.arrayBuffer() : data)],
        });
        await new Promise((resolve, reject) => { socket.onopen = resolve; socket.onclose = reject; });
        window.sender = socket;
      }
    }, `${DOOR}/plain?channel=bytes`);
    await publish({ channel: "bytes", data_base64: Buffer.from(BYTES).toString("base64") });
    await page.waitForFunction(() => binary.length === 2);
    await page.evaluate((bytes) => sender.send(new Uint8Array(bytes)), [...BYTES].reverse());
    await page.waitForFunction(() => binary.length === 4);
    const got = await page.evaluate(() => binary);
    for (const kind of ["ArrayBuffer", "Blob"]) {
      assert.deepEqual(got.filter((message) => message.kind === kind).map(({ bytes }) => bytes), [BYTES, [...BYTES].reverse()], kind);
    }
  });

  await check("an EventSource hears text, JSON and binary", async () => {
    await page.evaluate(async () => {
      window.stream = [];
      window.source = new EventSource("/sse?channel=news");
      for (const type of ["message", "binary"]) source.addEventListener(type, ({ data }) => stream.push([type, data]));
      await new Promise((resolve, reject) => { source.onopen = resolve; source.onerror = reject; });
    });
    await publish({ channel: "news", data: "two\nlines" });
    await publish({ channel: "news", data: { a: [1, 2] } });
    await publish({ channel: "news", data_base64: Buffer.from(BYTES).toString("base64") });
    await page.waitForFunction(() => stream.length === 3);
    const got = await page.evaluate(() => { source.close(); return stream; });
    assert.deepEqual(got.map(([type]) => type), ["message", "message", "binary"]);
    assert.equal(JSON.parse(got[0][1]), "two\nlines");
    assert.deepEqual(JSON.parse(got[1][1]), { a: [1, 2] });
    assert.equal(got[2][1], Buffer.from(BYTES).toString("base64"));
  });

  await check("nothing complained", () => assert.deepEqual(page.complaints, []));
});
