// The page while its node dies and comes back; the test that started this script does that, led by the words printed here.
import { connected, heard, main, opened, say } from "./harness.mjs";

main(async (check, browser) => {
  const page = await opened(browser);
  await check("both panes say that the node is away, and come back by themselves", async () => {
    console.log("CONNECTED");
    await page.waitForFunction(() => document.querySelectorAll(".pane :is([data-state=waiting], [data-state=connecting])").length === 2);
    console.log("AWAY");
    await connected(page);
    await say(page, "left", "back again");
    await heard(page, "back again");
  });
});
