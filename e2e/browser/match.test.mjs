// Trying requests at an Api's routes: what the page tells is what the gateway does.

import assert from "node:assert/strict";

import { PHONE, hasNoBarrier, isNotTooWide } from "./barriers.mjs";
import { test } from "./browser.mjs";
import { openScene, shop, signIn } from "./scene.mjs";

const CATALOG = "/apis/bookshop/catalog";

/** A route of the catalog with a match of each sort. */
const SHELVES = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: shelves, namespace: bookshop, labels: { heddle.dev/api: catalog } }
spec:
  parentRefs: [{ name: bookshop }]
  hostnames: [bookshop.localhost]
  rules:
    - name: gold
      matches:
        - path: { value: /shelves }
          headers: [{ name: x-tier, value: gold }]
      backendRefs: [{ name: catalog-v2, port: 80 }]
    - name: paged
      matches:
        - path: { value: /shelves }
          queryParams: [{ name: page, type: RegularExpression, value: "[0-9]+" }]
      backendRefs: [{ name: catalog-v1, port: 80 }]
    - name: made
      matches: [{ path: { value: /shelves }, method: POST }]
      backendRefs: [{ name: catalog-v1, port: 80 }]
    - name: numbered
      matches: [{ path: { type: RegularExpression, value: "/numbers/\\\\d+" } }]
      backendRefs: [{ name: catalog-v2, port: 80 }]
    - name: moved
      matches: [{ path: { type: Exact, value: /moved } }]
      filters: [{ type: RequestRedirect, requestRedirect: { path: { type: ReplaceFullPath, replaceFullPath: /shelves } } }]
    - name: all
      matches: [{ path: { value: /shelves } }]
      backendRefs: [{ name: catalog-v1, port: 80, weight: 3 }, { name: catalog-v2, port: 80, weight: 1 }]
---
apiVersion: heddle.dev/v1alpha1
kind: AccessPolicy
metadata: { name: shelves, namespace: bookshop, labels: { heddle.dev/api: catalog } }
spec:
  targetRefs: [{ kind: HTTPRoute, name: shelves }]
  rules: [{ name: anyone, when: {} }]
`;

/** Requests, each with the rule of the catalog that it meets; none where it meets none of them. */
const REQUESTS = [
  { path: "/catalog", rule: "catalog/books" },
  { path: "/catalog/7?x=1", rule: "catalog/books" },
  { path: "/catalogue", rule: null },
  { path: "/ws", rule: "catalog/socket" },
  { path: "/ws/", rule: null },
  { path: "//shelves/./a", rule: "shelves/all" },
  { path: "/shelves", headers: { "X-Tier": "gold" }, rule: "shelves/gold" },
  { path: "/shelves", headers: { "x-tier": "tin" }, rule: "shelves/all" },
  { path: "/shelves?page=12", rule: "shelves/paged" },
  { path: "/shelves?page=twelve", rule: "shelves/all" },
  { path: "/shelves", method: "POST", rule: "shelves/made" },
  { path: "/numbers/12", rule: "shelves/numbered" },
  { path: "/numbers/twelve", rule: null },
  { path: "/moved", rule: "shelves/moved" },
  { path: "/catalog", host: "other.localhost", rule: null },
  { path: "/nowhere", rule: null },
];

async function putUpShelves() {
  await shop.rest("POST", "/changes", SHELVES, "application/yaml");
  const end = Date.now() + 15_000;
  while ((await shop.ask("/shelves")).headers["x-served-by"] === undefined) {
    assert.ok(Date.now() < end, "the gateway has no shelves");
  }
}

openScene({ prepare: putUpShelves });

const card = (page) => page.locator("#matching");
const sum = (page) => card(page).getByRole("status");
const field = (page, name) => card(page).getByLabel(name);
const go = (page) => card(page).getByRole("button", { name: "Try it" });

/** Types a request, and waits for what is told of it. */
async function ask(page, { method = "GET", host = "bookshop.localhost", path, headers = {} }) {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  await field(page, "Method").fill(method);
  await field(page, "Host").fill(host);
  await field(page, "Headers").fill(lines.join("\n"));
  await field(page, "Path").fill(path);
  await go(page).click();
  await sum(page).getByText(/^(Of these routes|It meets none)/).waitFor();
  return card(page).innerText();
}

test("what the page tells of a request is what the gateway does with it", async () => {
  const { page, complaints } = await signIn("bob", CATALOG);
  for (const request of REQUESTS) {
    const told = await ask(page, request);
    const { status, headers } = await shop.ask(request.path, request);
    const debug = headers["heddle-debug"] ?? "";
    const what = JSON.stringify({ request, status, debug, told });
    if (request.rule) {
      assert.ok(told.includes(`Of these routes it meets rule bookshop/${request.rule}, by `), what);
      assert.ok(debug.includes(`bookshop/${request.rule}`), what);
    } else {
      assert.ok(told.includes("It meets none of these routes"), what);
      assert.ok(!/bookshop\/(catalog|shelves)\//.test(debug), what);
      assert.ok(!told.includes("answered"), what);
    }
    const served = headers["x-served-by"];
    if (served?.startsWith("catalog-")) {
      assert.match(told, new RegExp(`bookshop/${served}:80, weight [1-9]`), what);
    }
  }
  assert.deepEqual(complaints, []);
});

test("a rule tells its backends with weights, what it does, and why not the others", async () => {
  const { page } = await signIn("bob", CATALOG);
  const told = await ask(page, { path: "/shelves" });
  for (const words of [
    `http of Gateway bookshop/bookshop, port ${shop.edge}, host bookshop.localhost`,
    "bookshop/catalog-v1:80, weight 3",
    "bookshop/catalog-v2:80, weight 1",
    "bookshop/shelves/gold (PathPrefix /shelves, header x-tier=gold): wants header x-tier=gold; it was not sent",
    "bookshop/shelves/made (PathPrefix /shelves, method POST): method is GET, not POST",
    "bookshop/catalog/socket (Exact /ws): path '/shelves' does not fit Exact /ws",
  ]) {
    assert.ok(told.includes(words), `${words}: ${told}`);
  }
  const moved = await ask(page, { path: "/moved" });
  assert.match(moved, /answered 302 redirected: the rule redirects to http:\/\/bookshop\.localhost:\d+\/shelves/);
});

test("what is wrong is told under its field", async () => {
  const { page } = await signIn("bob", CATALOG);
  await ask(page, { path: "/catalog" });
  for (const [name, typed, words] of [
    ["Method", "G T", "'G T' is no method; write one such as GET"],
    ["Host", "a b", "the host has a character that no host name has"],
    ["Host", "", "the host is empty"],
    ["Path", "catalog", "the path does not begin with '/'"],
    ["Path", "", "the path does not begin with '/'"],
    ["Headers", "no header", "write it as 'name: value'"],
  ]) {
    const before = await field(page, name).inputValue();
    await field(page, name).fill(typed);
    await card(page).locator(".fault:visible").getByText(words, { exact: true }).waitFor();
    assert.equal(await field(page, name).getAttribute("aria-invalid"), "true");
    assert.equal(await sum(page).innerText(), "No such request can be sent; see the fields.");
    await hasNoBarrier(page, `${name} that is wrong`);
    await field(page, name).fill(before);
    await sum(page).getByText(/^Of these routes/).waitFor();
    assert.equal(await field(page, name).getAttribute("aria-invalid"), null);
  }
});

test("nothing that is typed is sent, and the keyboard is enough", async () => {
  const { page } = await signIn("bob", CATALOG);
  const asked = [];
  page.on("request", (request) => asked.push(request));
  await go(page).waitFor();
  await field(page, "Path").focus();
  await page.keyboard.press("ControlOrMeta+A");
  await page.keyboard.type("/catalog/a-word-of-mine");
  await page.keyboard.press("Enter");
  await sum(page).getByText(/^Of these routes/).waitFor();
  await page.keyboard.press("Tab");
  await page.keyboard.type("authorization: a-word-of-mine");
  await page.keyboard.press("Tab");
  assert.ok(await go(page).evaluate((button) => button === document.activeElement));
  await page.keyboard.press("Enter");
  assert.ok(!(await sum(page).innerText()).includes("a-word-of-mine"));
  const told = asked.map((request) => `${request.url()} ${request.postData() ?? ""}`);
  assert.deepEqual(told.filter((one) => one.includes("a-word-of-mine")), []);
  const own = (one) => one.includes("/pkg/table") || one.includes(CATALOG) || one.includes("/watch");
  assert.deepEqual(told.filter((one) => !own(one)), []);
  assert.equal(told.filter((one) => one.includes("table_bg.wasm")).length, 1);
  assert.ok(!page.url().includes("a-word-of-mine"));
});

test("the module comes where somebody begins, and nowhere else", async () => {
  const { page } = await signIn("bob", "/");
  const asked = [];
  page.on("request", (request) => asked.push(request.url()));
  for (const path of ["/apis", CATALOG]) {
    await page.goto(shop.url + path);
    await page.locator("[data-live=live]").waitFor();
  }
  await go(page).waitFor();
  assert.deepEqual(asked.filter((url) => url.includes("table_bg.wasm")), []);
});

test("an edit of somebody else is told at once", async () => {
  const { page } = await signIn("bob", CATALOG);
  await page.locator("[data-live=live]").waitFor();
  await ask(page, { path: "/shelves" });
  const heavier = SHELVES.replace("weight: 3", "weight: 7").split("---")[0];
  await shop.rest("POST", "/changes", heavier, "application/yaml");
  await card(page).getByText("bookshop/catalog-v1:80, weight 7").waitFor();
});

test("without a script it is told how to ask elsewhere", async () => {
  const { page } = await signIn("bob", CATALOG, { javaScriptEnabled: false });
  const told = await card(page).innerText();
  assert.match(told, /needs a script and WebAssembly/);
  const url = `http://bookshop.localhost:${shop.edge}/catalog`;
  assert.ok(told.includes(`heddle-gateway explain --config FILE GET '${url}'`), told);
  assert.equal(await go(page).isVisible(), false);
});

for (const colorScheme of ["light", "dark"]) {
  test(`it has no barrier on a phone in the ${colorScheme} theme`, async () => {
    const { page } = await signIn("bob", CATALOG, { colorScheme, viewport: PHONE });
    for (const path of ["/shelves", "/nowhere", "/moved"]) {
      await ask(page, { path });
      await isNotTooWide(page, path);
      await hasNoBarrier(page, path);
    }
  });
}
