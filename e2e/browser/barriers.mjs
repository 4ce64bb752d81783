// What stands in the way of people who cannot see, hear or point as others do, or have a small screen.

import assert from "node:assert/strict";

import axe from "axe-core";

/** No serious or critical violation that axe-core finds. */
export async function hasNoBarrier(page, what) {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  const grave = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  const told = grave.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join("\n")}`);
  assert.deepEqual(told, [], what);
}

/** Nothing lies beside the screen. */
export async function isNotTooWide(page, what) {
  const [wide, seen] = await page.evaluate(() => [
    document.documentElement.scrollWidth,
    document.documentElement.clientWidth,
  ]);
  assert.ok(wide <= seen, `${what} is ${wide} wide`);
}

/** A phone's screen. */
export const PHONE = { width: 390, height: 844 };
