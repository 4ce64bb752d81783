// The page is whole before any script runs, and alive once its wasm has taken over.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { openBrowser } from "./browser.mjs";
import { startServer } from "./server.mjs";

let server;
let browser;

before(async () => {
  server = await startServer();
  browser = await openBrowser();
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

test("the server draws the page, button included, without any script", async () => {
  const response = await fetch(server.url);
  assert.equal(response.status, 200);
  const html = await response.text();
  assert.match(html, /<button[^>]*>Pass the shuttle<\/button>/);
  assert.match(html, /data-alive="false"/);
});

test("the wasm comes compressed", async () => {
  const headers = { "accept-encoding": "gzip, deflate, br" };
  const response = await fetch(`${server.url}/pkg/console_bg.wasm`, { headers });
  assert.equal(response.headers.get("content-type"), "application/wasm");
  assert.equal(response.headers.get("content-encoding"), "br");
});

test("the button counts once the page is hydrated, and nothing complains", async () => {
  const { page, complaints } = await browser.open(server.url);
  await page.locator("[data-alive=true]").waitFor();
  assert.equal(await page.locator("#threads").textContent(), "0");
  const button = page.getByRole("button", { name: "Pass the shuttle" });
  for (let click = 1; click <= 3; click += 1) {
    await button.click();
    await page.locator("#threads", { hasText: new RegExp(`^${click}$`) }).waitFor();
  }
  assert.equal(await page.locator(".cloth .woven").count(), 3);
  assert.deepEqual(complaints, []);
});

test("a path that names no page is answered 404 and says so after hydration", async () => {
  const { page } = await browser.open(`${server.url}/nothing/here`);
  await page.getByRole("heading", { name: "No such page" }).waitFor();
  await page.getByRole("link", { name: "Go to the start page" }).click();
  await page.locator("[data-alive=true]").waitFor();
  assert.equal((await fetch(`${server.url}/nothing/here`)).status, 404);
});

test("SIGTERM ends the server by itself, with code 0", async () => {
  const other = await startServer();
  assert.equal((await fetch(`${other.url}/readyz`)).status, 200);
  assert.deepEqual(await other.stop(), { code: 0, signal: null });
});
