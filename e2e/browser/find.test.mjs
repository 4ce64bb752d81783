// Finding what has a name: by the keyboard, by a page, and as programs have it.

import assert from "node:assert/strict";

import { PHONE, hasNoBarrier, isNotTooWide } from "./barriers.mjs";
import { picture, test } from "./browser.mjs";
import { openScene, shop, signIn } from "./scene.mjs";

openScene();

test("some letters and Enter lead to a page, and arrows to an object", async () => {
  const { page, complaints } = await signIn("carol", "/");
  await page.locator("[data-live=live]").waitFor();
  await page.keyboard.press("Control+K");
  const dialog = page.getByRole("dialog", { name: "Find" });
  await dialog.getByRole("link", { name: "Fleet page" }).waitFor();
  await page.keyboard.type("flee");
  await dialog.getByRole("link", { name: "Apis page" }).waitFor({ state: "detached" });
  await page.keyboard.press("Enter");
  await page.waitForURL(`${shop.url}/fleet`);
  await page.locator("[data-live=live]").waitFor();
  await page.getByRole("link", { name: /^Find/ }).click();
  await page.keyboard.type("workspaces");
  await dialog.getByRole("link", { name: "Workspaces page" }).waitFor();
  await page.keyboard.press("Control+A");
  await page.keyboard.type("catalog");
  // An Api of just this name is what Enter leads to, once all letters were found.
  await dialog.getByRole("link", { name: "bookshop/catalog-v1 Service" }).waitFor();
  const api = dialog.getByRole("link", { name: /^bookshop\/catalog Api$/ });
  await dialog.getByRole("link").first().and(api).waitFor();
  await page.keyboard.press("Control+A");
  await page.keyboard.type("catalog-v1");
  await dialog.getByRole("link", { name: "bookshop/catalog Api" }).waitFor({ state: "detached" });
  await dialog.getByRole("link", { name: "bookshop/catalog-v1 Service" }).waitFor();
  await dialog.getByRole("link", { name: "Apis page" }).waitFor({ state: "detached" });
  await hasNoBarrier(page, "the palette");
  await picture(page, "find");
  const wanted = dialog.getByRole("link", { name: "bookshop/catalog-v1 Service" });
  for (let step = 0; step < 9; step += 1) {
    await page.keyboard.press("ArrowDown");
    if (await wanted.evaluate((link) => link === document.activeElement)) break;
  }
  await page.keyboard.press("Enter");
  await page.waitForURL(`${shop.url}/objects/Service/bookshop/catalog-v1`);
  await page.getByRole("heading", { name: "Service bookshop/catalog-v1" }).waitFor();
  await page.locator("[data-live=live]").waitFor();
  await page.keyboard.press("Control+K");
  await dialog.waitFor();
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "hidden" });
  assert.deepEqual(complaints, []);
});

test("an object is copied as YAML, for the command line and for curl", async () => {
  const options = { permissions: ["clipboard-read", "clipboard-write"] };
  const { page } = await signIn("carol", "/objects/HTTPRoute/bookshop/catalog", options);
  const copy = page.locator("#yaml").getByRole("button", { name: "Copy" });
  await copy.click();
  await page.locator("#yaml").getByText("Copied.").waitFor();
  const text = await page.evaluate(() => navigator.clipboard.readText());
  assert.match(text, /^apiVersion: gateway\.networking\.k8s\.io\/v1\nkind: HTTPRoute\n/);
  const said = await page.locator("#programs code").allTextContents();
  assert.equal(said[0], "heddle get httproute catalog -n bookshop -o yaml");
  // What is offered works, with a token of the one who reads it.
  const { token } = await page.evaluate(async () => {
    const csrf = document.querySelector("input[name=csrf]").value;
    const headers = { "content-type": "application/json", "x-heddle-csrf": csrf };
    const body = JSON.stringify({ name: "curl" });
    return (await fetch("/api/v1/tokens", { method: "POST", headers, body })).json();
  });
  const url = said[1].split(" ").at(-1);
  const answer = await fetch(url, { headers: { authorization: `Bearer ${token}` } });
  assert.equal(answer.status, 200);
  assert.equal((await answer.json()).kind, "HTTPRoute");
  await page.getByRole("link", { name: "generation 1" }).click();
  await page.getByText("As it was at revision").waitFor();
});

test("without a script a page finds the same, and a stranger finds nothing", async () => {
  const { page } = await signIn("carol", "/", { javaScriptEnabled: false });
  await page.getByRole("link", { name: /^Find/ }).click();
  await page.getByRole("searchbox", { name: "Search" }).fill("catalog");
  await page.getByLabel("Kind").selectOption("Service");
  await page.getByRole("button", { name: "Show" }).click();
  const found = await page.locator("#found a").allInnerTexts();
  assert.deepEqual(found, ["bookshop/catalog-v1 Service", "bookshop/catalog-v2 Service"]);
  const { page: stranger } = await signIn("eve", "/find?search=catalog");
  await stranger.getByText("Nothing that you may see has such a name.").waitFor();
  for (const path of ["/objects/HTTPRoute/bookshop/catalog", "/objects/Nonsense/a/b"]) {
    assert.equal((await stranger.goto(shop.url + path)).status(), 404, path);
  }
});

for (const colorScheme of ["light", "dark"]) {
  test(`finding has no barrier in the ${colorScheme} theme`, async () => {
    const { page } = await signIn("carol", "/find", { colorScheme, viewport: PHONE });
    for (const path of ["/ui", "/find", "/find?search=nothing-at-all", "/objects/HTTPRoute/bookshop/catalog"]) {
      await page.goto(shop.url + path);
      await isNotTooWide(page, path);
      await hasNoBarrier(page, path);
    }
  });
}
