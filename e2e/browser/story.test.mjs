// What people come for: a team is made, an Api given to it, its traffic split, and seen to be split.

import assert from "node:assert/strict";

import { picture, test } from "./browser.mjs";
import { openScene, shop, signIn } from "./scene.mjs";
import { shareOfFirst } from "./shop.mjs";

openScene();

/** Presses Tab until this has the focus. */
async function tabTo(page, locator) {
  await locator.waitFor();
  for (let pressed = 0; pressed < 300; pressed += 1) {
    await page.keyboard.press("Tab");
    if (await locator.evaluate((one) => one === document.activeElement)) return;
  }
  throw new Error("Tab does not lead there");
}

/** Types over what a field has. */
async function type(page, locator, text) {
  await tabTo(page, locator);
  await page.keyboard.press("Control+A");
  await page.keyboard.type(text);
}

/** The share that the console counts for the first version of the catalog, and of how many. */
async function counted(page) {
  const cells = page.locator("section", { hasText: "Route bookshop/catalog" }).getByRole("row", { name: /catalog-v/ }).locator("td");
  const texts = await cells.allTextContents();
  const [, first, share, , , , second] = texts;
  return { requests: Number(first) + Number(second), share: Number.parseFloat(share) };
}

test("a team is made, given the catalog, and splits it, by the keyboard alone", async () => {
  const { page, complaints } = await signIn("admin", "/");
  await page.locator("[data-live=live]").waitFor();
  await tabTo(page, page.getByRole("link", { name: "Teams" }));
  await page.keyboard.press("Enter");
  await type(page, page.getByLabel("Name", { exact: false }).first(), "readers");
  await type(page, page.getByLabel("Title"), "Who look after the books");
  await tabTo(page, page.getByRole("button", { name: "Make the team" }));
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Team readers" }).waitFor();
  await page.getByText("It owns no Api that you may see.").waitFor();

  await tabTo(page, page.getByRole("link", { name: "Apis", exact: true }).first());
  await page.keyboard.press("Enter");
  await tabTo(page, page.getByRole("link", { name: "bookshop/catalog" }));
  await page.keyboard.press("Enter");
  await type(page, page.getByLabel("Team", { exact: true }), "readers");
  await tabTo(page, page.getByRole("button", { name: "Give it to this team" }));
  await page.keyboard.press("Enter");
  await page.getByText("It belongs to the team readers").waitFor();

  await page.locator("[data-live=live]").waitFor();
  // The sum is kept, so that the other is 20 by itself.
  await type(page, page.getByLabel("bookshop/catalog-v1:80", { exact: true }), "80");
  assert.equal(await page.getByLabel("bookshop/catalog-v2:80", { exact: true }).inputValue(), "20");
  await tabTo(page, page.getByRole("button", { name: "Save the weights" }));
  await page.keyboard.press("Enter");
  await page.getByText(/^Saved: revision/).waitFor();
  const saved = Date.now();
  const asked = shareOfFirst(shop, 1_000);
  await page.getByText("80 (80.0 %)").waitFor();
  let seen;
  do {
    // Requests go on: those before every node was known to run the change are not of its split.
    await shareOfFirst(shop, 50);
    seen = await counted(page);
    assert.ok(Date.now() - saved < 5_000, `no split after 5 s: ${JSON.stringify(seen)}`);
  } while (!(seen.requests >= 50 && Math.abs(seen.share - 80) <= 4));
  const share = await asked;
  await page.getByRole("heading", { name: "Route bookshop/catalog" }).evaluate((heading) => heading.scrollIntoView());
  await picture(page, "split");
  assert.ok(Math.abs(share - 80) <= 4, `of 1,000 requests ${share} % went to v1`);
  assert.deepEqual(complaints, []);
});
