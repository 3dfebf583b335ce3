// The page of a load test as a reader sees it: in both colour schemes, on a screen and on a phone, with a pointer over it.
// In the environment: PAGE (a file:// URL), IMAGES (a folder for the pictures), NPM, CHROMIUM.
import assert from "node:assert/strict";
import { main, PAGE, watched } from "../../../crates/tidegate/tests/browser/harness.mjs";

const { IMAGES } = process.env;

async function opened(browser, colorScheme, width) {
  const page = await watched(browser, { colorScheme, viewport: { width, height: 900 } });
  page.asked = [];
  page.on("request", (request) => page.asked.push(request.url()));
  await page.goto(PAGE);
  return page;
}

/** Texts of pictures that leave their card, and cards that leave the window. */
const spilled = (page) => page.evaluate(() => [...document.querySelectorAll(".card, .tile")].flatMap((card) => {
  const box = card.getBoundingClientRect();
  const inside = (part, frame) => part.left >= frame.left - 1 && part.right <= frame.right + 1;
  const texts = [...card.querySelectorAll("svg text, td, th, data")].filter((text) => !inside(text.getBoundingClientRect(), box));
  const card_ = inside(box, { left: 0, right: innerWidth }) ? [] : [card];
  return [...texts, ...card_].map((part) => part.textContent.trim().slice(0, 40));
}));

/** Labels of one axis or of line ends that lie on each other. */
const crowded = (page) => page.evaluate(() => [...document.querySelectorAll("svg.chart")].flatMap((chart) => {
  const boxes = [...chart.querySelectorAll("text")].map((text) => [text.textContent, text.getBoundingClientRect()]);
  return boxes.flatMap(([one, a], index) => boxes.slice(index + 1)
    .filter(([, b]) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 4 && b.top < a.bottom - 4)
    .map(([other]) => `${one} on ${other}`));
}));

await main(async (check, browser) => {
  const colours = new Set();
  for (const [scheme, width] of [["light", 1240], ["dark", 1240], ["light", 420]]) {
    const page = await opened(browser, scheme, width);
    const name = `${scheme}-${width}`;
    await page.screenshot({ path: `${IMAGES}/report-${name}.png`, fullPage: true });
    await check(`${name}: nothing is asked for but the page, and nothing complains`, () => {
      assert.deepEqual(page.asked, [PAGE]);
      assert.deepEqual(page.complaints, []);
    });
    await check(`${name}: everything is within its card, nothing lies on something else`, async () => {
      assert.deepEqual(await spilled(page), []);
      assert.deepEqual(await crowded(page), []);
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), width);
    });
    await check(`${name}: six pictures, each with lines and labels`, async () => {
      const parts = await page.$$eval("svg.chart", (charts) => charts.map((chart) =>
        [chart.querySelectorAll("polyline").length > 0, chart.querySelectorAll("text").length > 4]));
      assert.deepEqual(parts, Array(6).fill([true, true]));
    });
    colours.add(await page.evaluate(() => getComputedStyle(document.body).backgroundColor));
    await check(`${name}: under the pointer stand the values, beside the window's edge too`, async () => {
      for (const at of [0.3, 0.95]) {
        const chart = page.locator("svg.chart").first();
        await chart.scrollIntoViewIfNeeded();
        const box = await chart.boundingBox();
        await page.mouse.move(box.x + box.width * at, box.y + box.height / 2);
        const tip = await page.locator("#tip").innerText();
        assert.match(tip, /max\s+[\d.]+ .?s[^]*p50\s+[\d.]+ .?s/);
        const place = await page.locator("#tip").boundingBox();
        assert.ok(place.x >= 0 && place.x + place.width <= width, JSON.stringify(place));
      }
      await page.mouse.move(2, 2);
      assert.equal(await page.locator("#tip").isVisible(), false);
    });
  }
  await check("light is not dark", () => assert.equal(colours.size, 2));
});
