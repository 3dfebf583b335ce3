// Headless Chromium as a driver: reads commands from stdin, one a line with tabs between the words, lets a page obey
// them, and prints one line of JSON for each. The commands are in driver.rs; `visit ORIGIN top|sandboxed` is its own.
// In the environment: NPM, CHROMIUM, and PORT, on which page.html is served under every name of this machine.
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { ARGUMENTS } from "../browser/harness.mjs";

const { NPM, CHROMIUM, PORT } = process.env;
const { chromium } = createRequire(`${NPM}/package.json`)("playwright-core");

const page = readFileSync(new URL("page.html", import.meta.url));
// A sandbox without allow-same-origin: the frame's origin is "null".
const framed = '<!doctype html><title>framed</title><iframe sandbox="allow-scripts" src="/framed.html"></iframe>';
const server = createServer((request, response) => {
  response.writeHead(200, { "content-type": "text/html; charset=utf-8" });
  response.end(request.url === "/sandboxed" ? framed : page);
});
await new Promise((resolve) => server.listen(Number(PORT), "127.0.0.1", resolve));

const browser = await chromium.launch({ executablePath: CHROMIUM, args: ARGUMENTS });
const tab = await browser.newPage();
let frame;

async function visit(origin, manner) {
  await tab.goto(`${origin}/${manner === "sandboxed" ? "sandboxed" : ""}`);
  frame = manner === "sandboxed" ? tab.frames()[1] : tab.mainFrame();
  await frame.waitForLoadState();
  return { origin: await frame.evaluate(() => self.origin) };
}

for await (const line of createInterface({ input: process.stdin })) {
  const [verb, ...words] = line.split("\t");
  const answer = verb === "visit" ? await visit(...words)
    : await frame.evaluate(([verb, words]) => obey(verb, ...words), [verb, words]);
  console.log(JSON.stringify(answer));
}
await browser.close();
process.exit(0);
