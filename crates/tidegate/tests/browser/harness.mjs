// What the browser scripts share: Chromium, named checks, watching for what a page must never do.
// In the environment: PAGE and ADMIN (URLs of the node), NPM (a folder with node_modules), CHROMIUM.
import assert from "node:assert/strict";
import { createRequire } from "node:module";

export const { PAGE, ADMIN, NPM, CHROMIUM } = process.env;
const { chromium } = createRequire(`${NPM}/package.json`)("playwright-core");
export const ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"];

export const CSP = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' ws: wss:; "
  + "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** Runs `script(check, browser)`; exits with 1 if a check failed or it ran none, and says which. */
export async function main(script) {
  const failed = [];
  let run = 0;
  const check = async (name, body) => {
    run += 1;
    try {
      await body();
      console.log(`ok      ${name}`);
    } catch (error) {
      failed.push(name);
      console.log(`FAILED  ${name}\n${error.stack}`);
    }
  };
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: ARGUMENTS });
  try {
    await script(check, browser);
  } catch (error) {
    failed.push("the script itself");
    console.log(`FAILED  outside of a check\n${error.stack}`);
  } finally {
    await browser.close();
  }
  console.log(`${run} checks, ${failed.length} failed`);
  process.exit(failed.length > 0 || run === 0 ? 1 : 0);
}

/** A page whose complaints are kept: console errors and warnings, exceptions, dialogs, failed requests. */
export async function watched(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, ...options });
  const page = await context.newPage();
  page.complaints = [];
  page.setDefaultTimeout(20_000);
  page.on("console", (line) => ["error", "warning"].includes(line.type()) && page.complaints.push(`console: ${line.text()}`));
  page.on("pageerror", (error) => page.complaints.push(`exception: ${error}`));
  page.on("requestfailed", (request) => page.complaints.push(`request failed: ${request.url()}`));
  page.on("dialog", (dialog) => {
    page.complaints.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  return page;
}

/** Opens the page and waits until both panes are connected. */
export async function opened(browser, options) {
  const page = await watched(browser, options);
  page.answer = await page.goto(PAGE);
  await connected(page);
  return page;
}

export const connected = (page) => page.waitForFunction(() => document.querySelectorAll(".pane [data-state=connected]").length === 2);

export async function say(page, pane, text) {
  await page.fill(`[data-pane=${pane}] input`, text);
  await page.click(`[data-pane=${pane}] form button`);
}

/** Waits until both panes show `text` as their newest message. */
export const heard = (page, text) => page.waitForFunction((expected) => [...document.querySelectorAll(".log")]
  .every((log) => log.lastElementChild?.querySelector(".text").textContent === expected), text);

/** Publishes over HTTP as a backend does. */
export async function publish(body) {
  const answer = await fetch(`${ADMIN}/api/v1/publish`, {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body),
  });
  assert.equal(answer.status, 200, await answer.text());
}
