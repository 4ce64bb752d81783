// A headless Chromium with nothing of its own going on.

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { test as run } from "node:test";

import { chromium } from "playwright-core";

const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** The pages that the test under way opened. */
const opened = [];

/** A test that tells, where it fails, what stood on its pages. */
export function test(name, body) {
  run(name, async () => {
    opened.length = 0;
    try {
      await body();
    } catch (fault) {
      for (const page of opened) console.log(await told(page));
      throw fault;
    }
  });
}

async function told(page) {
  try {
    const text = await page.locator("body").innerText({ timeout: 1_000 });
    return `--- ${page.url()} ---\n${text}`;
  } catch (fault) {
    return `--- ${page.url()} cannot be read: ${fault} ---`;
  }
}

/** Keeps a picture of what is seen of a page, where pictures are wanted. */
export async function picture(page, name) {
  const folder = process.env.HEDDLE_PICTURES;
  if (!folder) return;
  await mkdir(folder, { recursive: true });
  await page.screenshot({ path: join(folder, `${name}.png`) });
}

/** Starts the browser, on a profile folder that is new and goes away with it. */
export async function openBrowser() {
  const browser = await chromium.launch({
    executablePath: process.env.HEDDLE_CHROMIUM ?? "/usr/bin/chromium",
    args: FLAGS,
  });
  return {
    /** Opens a page; `complaints` gathers what goes wrong in it. */
    async open(url, options = {}) {
      const context = await browser.newContext(options);
      const page = await context.newPage();
      page.setDefaultTimeout(15_000);
      opened.push(page);
      const complaints = [];
      page.on("console", (message) => {
        if (message.type() === "error") complaints.push(message.text());
      });
      page.on("pageerror", (error) => complaints.push(String(error)));
      page.on("requestfailed", (request) => {
        // What a page still waits for when it is left is given up.
        if (request.failure()?.errorText === "net::ERR_ABORTED") return;
        complaints.push(`failed: ${request.url()}`);
      });
      await page.goto(url);
      return { page, complaints };
    },
    close: () => browser.close(),
  };
}
