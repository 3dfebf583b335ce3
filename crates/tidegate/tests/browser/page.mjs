// The page to try, as a visitor sees it. IMAGES is the folder for the pictures.
import assert from "node:assert/strict";
import { ADMIN, CSP, PAGE, heard, main, opened, publish, say, watched } from "./harness.mjs";

main(async (check, browser) => {
  const page = await opened(browser, { permissions: ["clipboard-read", "clipboard-write"] });

  await check("the page comes with the strict policy and the right types", async () => {
    assert.equal(page.answer.headers()["content-security-policy"], CSP);
    for (const [path, type] of [["", "text/html"], ["page.css", "text/css"], ["page.js", "text/javascript"], ["tidegate.js", "text/javascript"]]) {
      const answer = await fetch(new URL(path, PAGE));
      assert.equal(answer.status, 200, path);
      assert.match(answer.headers.get("content-type"), new RegExp(`^${type}`), path);
    }
  });

  await check("the policy holds: an inline script does not run", async () => {
    const probe = await watched(browser);
    await probe.goto(PAGE);
    await probe.evaluate(() => {
      const script = document.createElement("script");
      script.textContent = "window.inline = true";
      document.body.append(script);
    });
    assert.equal(await probe.evaluate(() => window.inline), undefined);
    assert.match(probe.complaints.join(), /Content Security Policy/);
    await probe.context().close();
  });

  await check("two connections with sessions of their own", async () => {
    const sessions = await page.locator(".session").allTextContents();
    assert.equal(new Set(sessions).size, 2);
    for (const session of sessions) assert.match(session, /^[\w-]{8,}$/);
  });

  await check("what the left pane says is heard by both, and the time is shown", async () => {
    await say(page, "left", "The water is rising.");
    await heard(page, "The water is rising.");
    assert.match(await page.locator("[data-pane=left] li.own .who").last().textContent(), /^you · \d+\.\d ms$/);
    assert.match(await page.locator("[data-pane=left] .latency").textContent(), /^\d+\.\d ms$/);
    assert.equal(await page.locator("[data-pane=right] li.other .who").last().textContent(), "Ebb");
  });

  await check("what the right pane says is heard by both", async () => {
    await say(page, "right", "I hear you. Same channel, another connection.");
    await heard(page, "I hear you. Same channel, another connection.");
  });

  await check("a backend is heard over HTTP", async () => {
    await publish({ channel: "lobby", data: "Ferry 12 leaves at 14:05" });
    await heard(page, "Ferry 12 leaves at 14:05");
    assert.equal(await page.locator("li.backend").count(), 2);
    await publish({ channel: "lobby", data: { ferry: 12, late: false } });
    await heard(page, '{"ferry":12,"late":false}');
  });

  await check("markup is shown as text", async () => {
    const payloads = ["<script>window.hacked = true; alert(1)</script>", '<img src=x onerror="window.hacked = true; alert(2)"> stays text'];
    for (const payload of payloads) {
      await publish({ channel: "lobby", data: payload });
      await heard(page, payload);
      await say(page, "left", payload);
      await heard(page, payload);
    }
    assert.equal(await page.evaluate(() => window.hacked), undefined);
    assert.equal(await page.locator(".log :not(li, span)").count(), 0);
    assert.equal(await page.locator("script").count(), 1);
    assert.equal(await page.locator("img, iframe").count(), 0);
  });

  await check("every field has a label, every button a name", async () => {
    assert.deepEqual(await page.locator("input").evaluateAll((fields) => fields.map((field) => field.labels[0]?.textContent)),
      ["Message from Ebb", "Message from Flow"]);
    const names = await page.locator("button").evaluateAll((buttons) => buttons.map((button) => button.ariaLabel ?? button.textContent));
    assert.equal(new Set(names.filter((name) => name !== "Send")).size, names.length - 2, names.join());
  });

  await check("the lines carry this node's address and can be copied", async () => {
    await page.getByRole("button", { name: "Copy the line for Redis" }).click();
    await page.waitForFunction(async () => await navigator.clipboard.readText() === "redis-cli PUBLISH 'tg:{lobby}' 'hello from Redis'");
    const { host } = new URL(PAGE);
    for (const [line, part] of [["socket", `ws://${host}`], ["subscribe", `ws://${host}/ws`], ["sse", `http://${host}/sse?channel=lobby`], ["curl", ":8081/api/v1/publish"]]) {
      const text = await page.locator(`[data-line=${line}]`).textContent();
      assert.ok(text.includes(part), text);
    }
    assert.ok(ADMIN);
  });

  await check("nothing complained", () => assert.deepEqual(page.complaints, []));

  await check("pictures", async () => {
    const looks = { light: { colorScheme: "light" }, dark: { colorScheme: "dark" }, narrow: { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2 } };
    for (const [name, look] of Object.entries(looks)) {
      const visitor = await opened(browser, look);
      await say(visitor, "left", "The water is rising.");
      await heard(visitor, "The water is rising.");
      await say(visitor, "right", "I hear you. Same channel, another connection.");
      await heard(visitor, "I hear you. Same channel, another connection.");
      await publish({ channel: "lobby", data: "Ferry 12 leaves at 14:05" });
      await heard(visitor, "Ferry 12 leaves at 14:05");
      await say(visitor, "left", '<img src=x onerror="alert(1)"> stays text');
      await heard(visitor, '<img src=x onerror="alert(1)"> stays text');
      await visitor.evaluate(() => scrollTo(0, 0));
      await visitor.evaluate(() => Promise.all(document.getAnimations().map((animation) => animation.finished)));
      assert.ok(await visitor.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${name}: wider than the window`);
      await visitor.screenshot({ path: `${process.env.IMAGES}/page-${name}.png` });
      assert.deepEqual(visitor.complaints, []);
      await visitor.context().close();
    }
  });
});
