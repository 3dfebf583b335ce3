// Opens the page of the first argument and prints its console, until it is ended. NPM and CHROMIUM as in harness.mjs.
import { createRequire } from "node:module";
import { ARGUMENTS } from "./harness.mjs";

const { NPM, CHROMIUM } = process.env;
const { chromium } = createRequire(`${NPM}/package.json`)("playwright-core");
const browser = await chromium.launch({ executablePath: CHROMIUM, args: ARGUMENTS });
const page = await browser.newPage();
page.on("console", (line) => console.log(line.text()));
await page.goto(process.argv[2]);
