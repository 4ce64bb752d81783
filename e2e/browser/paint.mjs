// How soon pages are seen: first contentful paint, as the browser tells by its own protocol, at a
// quarter of the CPU and with nothing kept from before.
//
//   HEDDLE_URL=.. HEDDLE_COOKIE=NAME=VALUE HEDDLE_PATHS="/ /apis" node paint.mjs LOADS
//
// Prints [{"name": path, "median_ms": .., "max_ms": .., "all_ms": [..]}, ..].

import { openBrowser } from "./browser.mjs";

/** How many times slower than it is the CPU runs scripts, layout and style. */
const SLOWDOWN = 4;

/** Loads a page once, in a context of its own; the time of its first content in milliseconds. */
async function paint(browser, path) {
  const { page } = await browser.open("about:blank");
  const context = page.context();
  try {
    const [name, ...value] = process.env.HEDDLE_COOKIE.split("=");
    const url = process.env.HEDDLE_URL;
    await context.addCookies([{ name, value: value.join("="), url }]);
    const protocol = await context.newCDPSession(page);
    await protocol.send("Network.enable");
    await protocol.send("Network.setCacheDisabled", { cacheDisabled: true });
    await protocol.send("Emulation.setCPUThrottlingRate", { rate: SLOWDOWN });
    const answer = await page.goto(url + path, { waitUntil: "load" });
    const { pathname, search } = new URL(page.url());
    if (!answer.ok() || pathname + search !== path) {
      throw new Error(`${path} is not there: ${answer.status()}, at ${page.url()}`);
    }
    const first = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null";
    const end = Date.now() + 15_000;
    while (Date.now() < end) {
      const { result } = await protocol.send("Runtime.evaluate", { expression: first });
      if (result.value !== null) return result.value;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(`${path} painted nothing`);
  } finally {
    await context.close();
  }
}

const loads = Number(process.argv[2]);
const browser = await openBrowser();
try {
  // What the browser does once is no page's.
  await paint(browser, "/settings");
  const told = [];
  for (const name of process.env.HEDDLE_PATHS.split(" ")) {
    const all = [];
    for (let load = 0; load < loads; load += 1) all.push(await paint(browser, name));
    const sorted = all.toSorted((one, other) => one - other);
    const median = sorted[Math.ceil(sorted.length / 2) - 1];
    told.push({ name, median_ms: median, max_ms: sorted.at(-1), all_ms: all });
  }
  console.log(JSON.stringify(told));
} finally {
  await browser.close();
}
