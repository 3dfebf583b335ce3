// The page on a node where visitors may listen and not publish.
import assert from "node:assert/strict";
import { heard, main, opened, publish, say } from "./harness.mjs";

main(async (check, browser) => {
  const page = await opened(browser);

  await check("a refused message is explained in a sentence, and the field is closed", async () => {
    await say(page, "left", "may I?");
    const note = page.locator("[data-pane=left] .note");
    await note.waitFor({ state: "visible" });
    assert.match(await note.textContent(), /does not let visitors publish to “lobby”/);
    assert.ok(await page.locator("[data-pane=left] input").isDisabled());
  });

  await check("what a backend publishes still arrives", async () => {
    await publish({ channel: "lobby", data: "listen only" });
    await heard(page, "listen only");
  });

  await check("nothing complained", () => assert.deepEqual(page.complaints, []));
});
