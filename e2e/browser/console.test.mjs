// The console as people meet it: signing in, pages that keep themselves up, nothing that complains.

import assert from "node:assert/strict";
import { after, before } from "node:test";

import { PHONE, hasNoBarrier, isNotTooWide } from "./barriers.mjs";
import { openBrowser, test } from "./browser.mjs";
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

/** A page of somebody who signs in with the keyboard alone. */
async function signIn(path = "/", options = {}) {
  const opened = await browser.open(`${server.url}${path}`, options);
  const { page } = opened;
  await page.getByLabel("User").focus();
  await page.keyboard.type("admin");
  await page.keyboard.press("Tab");
  await page.keyboard.type(server.password);
  await page.keyboard.press("Enter");
  await page.locator("[data-live=live]").waitFor();
  return opened;
}

/** REST, asked from within a page. */
function rest(page, path, init = {}) {
  return page.evaluate(
    async ([path, init]) => {
      const session = await (await fetch("/api/v1/session")).json();
      const headers = { "x-heddle-csrf": session.csrf, "content-type": "application/json" };
      const answer = await fetch(`/api/v1${path}`, { ...init, headers });
      return { status: answer.status, text: await answer.text() };
    },
    [path, init],
  );
}

test("the wasm comes compressed", async () => {
  const headers = { "accept-encoding": "gzip, deflate, br" };
  const response = await fetch(`${server.url}/pkg/console_bg.wasm`, { headers });
  assert.equal(response.headers.get("content-type"), "application/wasm");
  assert.equal(response.headers.get("content-encoding"), "br");
});

test("one signs in, and comes to the page that was wanted", async () => {
  const { page, complaints } = await signIn("/fleet");
  assert.equal(new URL(page.url()).pathname, "/fleet");
  await page.getByRole("heading", { name: "Fleet" }).waitFor();
  assert.equal(await page.locator("nav [aria-current=page]").textContent(), "Fleet");
  await page.getByText("There is no node that you may see.").waitFor();
  assert.deepEqual(complaints, []);
});

test("a wrong password is told beside the form, and the name is kept", async () => {
  const { page } = await browser.open(`${server.url}/sign-in`);
  await page.getByLabel("User").fill("ann");
  await page.getByLabel("Password").fill("wrong");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("alert").getByText("the user or the password is wrong").waitFor();
  assert.equal(await page.getByLabel("User").inputValue(), "ann");
});

test("a change that is made elsewhere appears, and what is focused stays so", async () => {
  const { page, complaints } = await signIn();
  const link = page.getByRole("link", { name: "See the fleet" });
  await link.focus();
  const team = {
    apiVersion: "heddle.dev/v1alpha1",
    kind: "Team",
    metadata: { name: "weavers", namespace: "heddle" },
    spec: { members: ["admin"] },
  };
  const put = { method: "PUT", body: JSON.stringify(team) };
  const made = await rest(page, "/resources/Team/heddle/weavers?message=new+loom", put);
  assert.equal(made.status, 201, made.text);
  await page.locator("#changes").getByText("new loom").waitFor();
  assert.ok(await link.evaluate((link) => link === document.activeElement), "it has the focus");
  assert.deepEqual(complaints, []);
});

test("a change is read field by field, and taken back with a reason", async () => {
  const { page, complaints } = await signIn("/changes");
  await page.getByRole("listitem").filter({ hasText: "new loom" }).getByRole("link").click();
  await page.getByRole("heading", { name: "Team heddle/weavers is new" }).waitFor();
  await page.getByText("spec.members[0]").waitFor();
  await page.getByLabel("Why").fill("wrong loom");
  await page.getByRole("button", { name: /^Take back revision/ }).click();
  await page.getByText("wrong loom").waitFor();
  await page.getByRole("heading", { name: "Team heddle/weavers was taken away" }).waitFor();
  assert.deepEqual(complaints, []);
  const gone = await rest(page, "/resources/Team/heddle/weavers");
  assert.equal(gone.status, 404);
});

test("an id that nobody told of is told so, and the way to it is a link", async () => {
  const { page } = await signIn("/requests");
  await page.getByText("No request was denied of which you may see it.").waitFor();
  await page.getByLabel(/Explain the request/).fill("0190-unknown");
  await page.getByRole("button", { name: "Explain" }).click();
  await page.getByRole("heading", { name: "No such page" }).waitFor();
  assert.equal(new URL(page.url()).pathname, "/requests/0190-unknown");
});

test("who is signed out elsewhere is told so", async () => {
  const { page } = await signIn();
  const other = await signIn("/settings");
  const ends = other.page.getByRole("button", { name: "End" });
  await ends.first().waitFor();
  for (let left = await ends.count(); left > 0; left -= 1) {
    await ends.first().click();
    await ends.nth(left - 1).waitFor({ state: "detached" });
  }
  await page.locator("[data-live=over]").waitFor();
  await other.page.getByRole("button", { name: "Sign out" }).click();
  await other.page.getByRole("heading", { name: "Sign in" }).waitFor();
});

test("pages can be read without a script", async () => {
  const { page } = await browser.open(`${server.url}/settings`, { javaScriptEnabled: false });
  await page.getByLabel("User").fill("admin");
  await page.getByLabel("Password").fill(server.password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "Sessions" }).waitFor();
});

/** Every page of somebody who is signed in. */
const PAGES = ["/", "/fleet", "/requests", "/changes", "/changes/1", "/audit", "/settings"];

for (const colorScheme of ["light", "dark"]) {
  test(`no page has a grave barrier in the ${colorScheme} theme`, async () => {
    const { page } = await browser.open(`${server.url}/sign-in`, { colorScheme });
    await hasNoBarrier(page, "/sign-in");
    const signedIn = await signIn("/", { colorScheme });
    for (const path of [...PAGES, "/nothing/here"]) {
      await signedIn.page.goto(server.url + path);
      await hasNoBarrier(signedIn.page, path);
    }
  });
}

test("nothing scrolls sideways on a phone", async () => {
  const { page } = await signIn("/", { viewport: PHONE });
  for (const path of PAGES) {
    await page.goto(server.url + path);
    await isNotTooWide(page, path);
  }
});

test("a path that names no page is answered 404, in words", async () => {
  const { page } = await browser.open(`${server.url}/nothing/here`);
  await page.getByRole("heading", { name: "No such page" }).waitFor();
  assert.equal((await fetch(`${server.url}/nothing/here`)).status, 404);
});
