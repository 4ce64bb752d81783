// Several people at one shop: what each may see and do, and what becomes of edits that meet.

import assert from "node:assert/strict";

import { PHONE, hasNoBarrier, isNotTooWide } from "./barriers.mjs";
import { test } from "./browser.mjs";
import { forge, openScene, shop, signIn } from "./scene.mjs";

const CATALOG = "/apis/bookshop/catalog";

openScene();

const weight = (page, version) =>
  page.getByLabel(`bookshop/catalog-${version}:80`, { exact: true });

/** Types a weight once the script is there that keeps the sum. */
async function weigh(page, version, text) {
  await page.getByLabel("Keep the sum at").waitFor();
  await weight(page, version).fill(text);
}

const save = (page) => page.getByRole("button", { name: "Save the weights" });

test("the owner is offered what another team is not, and is refused", async () => {
  const { page: own } = await signIn("carol", CATALOG);
  await save(own).waitFor();
  const { page: other } = await signIn("bob", CATALOG);
  await other.getByRole("heading", { name: "Who may request" }).waitFor();
  for (const name of ["Save the weights", "Give it to this team", "Move it"]) {
    assert.equal(await other.getByRole("button", { name }).count(), 0, name);
  }
  const { items } = await shop.rest("GET", "/history/HTTPRoute/bookshop/catalog");
  await other.goto(`${shop.url}/changes/${items[0].revision}`);
  await other.getByRole("heading", { level: 1 }).waitFor();
  assert.equal(await other.getByRole("button", { name: /^Take back/ }).count(), 0);
  const fields = {
    route: "HTTPRoute/bookshop/catalog",
    generation: "1",
    "weight-0-0": "1",
    "to-0-0": "bookshop/catalog-v1:80",
  };
  const refused = await forge(other, `${CATALOG}/weights`, fields);
  assert.equal(refused.status, 403);
  const old = await forge(other, `${CATALOG}/weights`, { ...fields, generation: "99" });
  assert.equal(old.status, 403);
  const given = await forge(other, `${CATALOG}/owner`, { owner: "orders", generation: "1" });
  assert.equal(given.status, 403);
  const shown = await shop.rest("GET", "/apis/bookshop/catalog");
  assert.equal(shown.owner, "catalog");
  assert.equal(shown.routesInFull[0].route.spec.rules[0].backendRefs[0].weight, 90);
});

test("who lacks a right asks for it, and has it once its owner gives it", async () => {
  const { page: other } = await signIn("bob", CATALOG);
  await other.getByRole("link", { name: "Ask for access to HTTPRoute bookshop/catalog" }).click();
  await other.getByLabel("Why").fill("the orders need more of v2");
  await hasNoBarrier(other, "asking");
  await other.getByRole("button", { name: "Ask", exact: true }).click();
  await other.locator("#own").getByText("the orders need more of v2").waitFor();
  const { page: owner } = await signIn("alice", "/access");
  await owner.getByText("the orders need more of v2").waitFor();
  await hasNoBarrier(owner, "deciding");
  await owner.goto(shop.url);
  await owner.getByRole("link", { name: "1 request for access for you to decide" }).click();
  await owner.getByRole("button", { name: "Give it to bob" }).click();
  await owner.getByText(/^Saved: revision/).waitFor();
  await other.locator("#own").getByText("granted").waitFor();
  await other.goto(shop.url + CATALOG);
  await weigh(other, "v1", "85");
  await save(other).click();
  await other.getByText("85 (85.0 %)").waitFor();
  // What was given stands on the Api, and is taken back there by whoever may, and by nobody else.
  assert.equal(await other.getByRole("button", { name: /^Take back/ }).count(), 0);
  const { roles } = await shop.rest("GET", "/apis/bookshop/catalog");
  assert.deepEqual(roles.map((one) => one.mayTake), [true]);
  const { name } = roles[0].grant.metadata;
  const taken = await forge(other, `${CATALOG}/take`, { object: `Grant/bookshop/${name}`, generation: "1" });
  assert.equal(taken.status, 403);
  await owner.goto(shop.url + CATALOG);
  await owner.getByRole("row", { name: "user bob" }).getByRole("button", { name: /^Take back/ }).click();
  await owner.getByText(/^Saved: revision/).waitFor();
  await owner.getByText("No Grant on it that you may read.").waitFor();
  await other.getByRole("link", { name: "Ask for access to HTTPRoute bookshop/catalog" }).waitFor();
});

test("a stranger finds nothing of it, and no address leads there", async () => {
  const { page } = await signIn("eve", "/apis");
  await page.getByText("There is no Api that you may see.").waitFor();
  for (const path of [CATALOG, "/teams/catalog", "/changes/2", "/users", "/audit"]) {
    const answer = await page.goto(shop.url + path);
    assert.equal(answer.status(), 404, path);
    assert.ok(!(await page.content()).includes("Books"), path);
  }
  const refused = await forge(page, `${CATALOG}/owner`, { owner: "orders", generation: "1" });
  assert.equal(refused.status, 404);
});

test("of two who edit one object the second is told, and loses nothing", async () => {
  const { page: first } = await signIn("carol", CATALOG);
  const { page: second } = await signIn("alice", CATALOG);
  await second.locator("[data-live=live]").waitFor();
  await weigh(second, "v1", "40");
  await weigh(first, "v1", "70");
  await save(first).click();
  await first.getByText(/^Saved: revision/).waitFor();
  await second.locator("section", { hasText: "Route bookshop/catalog" }).locator("[data-newer] .newer").waitFor();
  await second.getByText("70 (70.0 %)").waitFor();
  assert.equal(await weight(second, "v1").inputValue(), "40");
  await save(second).click();
  await second.getByRole("alert").getByText("Somebody else saved this before you.").waitFor();
  assert.match(await second.title(), /^Api bookshop\/catalog/);
  assert.equal(await weight(second, "v1").inputValue(), "40");
  assert.equal(await weight(second, "v2").inputValue(), "60");
  await second.getByText("Now: 70").waitFor();
  await second.getByText("70 (70.0 %)").waitFor();
  await save(second).click();
  await second.getByText("40 (40.0 %)").waitFor();
});

test("what is wrong is told under its field, in the words of REST", async () => {
  const { page } = await signIn("carol", CATALOG);
  // What is not drawn yet counts as not checked, and would be left as it is.
  await page.getByLabel("Keep the sum at").waitFor();
  await page.getByLabel("Keep the sum at").uncheck();
  await weight(page, "v1").fill("2000000");
  await save(page).click();
  const fault = page.locator(".fault", { hasText: "1000000" }).first();
  await fault.waitFor();
  assert.equal(await weight(page, "v1").inputValue(), "2000000");
  assert.equal(await weight(page, "v1").getAttribute("aria-invalid"), "true");
  await hasNoBarrier(page, "a form with faults");
  await weight(page, "v1").evaluate((field) => field.removeAttribute("pattern"));
  await weight(page, "v1").fill("most of it");
  await save(page).click();
  await page.locator(".fault", { hasText: "is no weight" }).first().waitFor();
  assert.equal(await weight(page, "v1").inputValue(), "most of it");
});

test("what was typed before there was a script counts once there is one", async () => {
  const { page } = await signIn("carol", CATALOG);
  let go;
  const held = new Promise((resolve) => (go = resolve));
  await page.route("**/*.wasm", async (route) => {
    await held;
    await route.continue();
  });
  await page.goto(shop.url + CATALOG);
  await weight(page, "v1").fill("35");
  go();
  await page.getByLabel("Keep the sum at").waitFor();
  assert.equal(await weight(page, "v1").inputValue(), "35");
  assert.equal(await weight(page, "v2").inputValue(), "65");
});

test("a server that is gone while somebody types takes nothing with it", async () => {
  const { page } = await signIn("carol", CATALOG);
  await page.locator("[data-live=live]").waitFor();
  await weigh(page, "v1", "55");
  await shop.kill();
  await page.locator("[data-live=lost]").waitFor();
  await shop.again();
  await page.locator("[data-live=live]").waitFor();
  assert.equal(await weight(page, "v1").inputValue(), "55");
  // What is sent while it is gone waits for it.
  await shop.kill();
  await page.getByLabel("Why").first().fill("it came back");
  await save(page).click();
  await page.getByRole("alert").getByText("This is sent as soon as it does.").waitFor();
  await shop.again();
  await page.getByText(/^Saved: revision/).waitFor();
  await page.getByText("55 (55.0 %)").waitFor();
  const { items } = await shop.rest("GET", "/changes?limit=1");
  assert.equal(items[0].message, "it came back");
});

test("a session that ends while somebody types takes nothing with it", async () => {
  const { page } = await signIn("carol", CATALOG);
  await weigh(page, "v1", "33");
  await page.context().clearCookies();
  await save(page).click();
  await page.getByRole("heading", { name: "You are signed out" }).waitFor();
  await hasNoBarrier(page, "signed out with a form");
  const [tab] = await Promise.all([
    page.context().waitForEvent("page"),
    page.getByRole("link", { name: "Sign in in another tab" }).click(),
  ]);
  await tab.getByLabel("User").fill("carol");
  await tab.getByLabel("Password").fill(shop.people.carol);
  await tab.getByRole("button", { name: "Sign in" }).click();
  await tab.getByRole("heading", { level: 1 }).waitFor();
  await page.getByRole("button", { name: "Go on" }).click();
  await page.getByRole("alert").getByText("You signed in anew").waitFor();
  assert.equal(await weight(page, "v1").inputValue(), "33");
  await save(page).click();
  await page.getByText(/^Saved: revision/).waitFor();
  await page.getByText("33 (33.0 %)").waitFor();
});

test("what was typed before somebody signed in anew is saved at the second try", async () => {
  const { page } = await signIn("carol", CATALOG);
  await weigh(page, "v1", "44");
  const tab = await page.context().newPage();
  await page.context().clearCookies();
  await tab.goto(`${shop.url}/sign-in`);
  await tab.getByLabel("User").fill("carol");
  await tab.getByLabel("Password").fill(shop.people.carol);
  await tab.getByRole("button", { name: "Sign in" }).click();
  await tab.getByRole("heading", { level: 1 }).waitFor();
  await save(page).click();
  await page.getByRole("alert").getByText("You signed in anew").waitFor();
  assert.equal(await weight(page, "v1").inputValue(), "44");
  await save(page).click();
  await page.getByText("44 (44.0 %)").waitFor();
});

test("an Api is deprecated with a day, and published again without one", async () => {
  const { page } = await signIn("carol", CATALOG);
  await page.getByLabel("Stage").selectOption("deprecated");
  await page.getByLabel("May be gone from").fill("2001-01-01");
  await page.getByRole("button", { name: "Move it" }).click();
  await page.locator("#sunset-fault", { hasText: "is before 'deprecated'" }).waitFor();
  await page.getByLabel("May be gone from").fill("2031-01-01");
  await page.getByRole("button", { name: "Move it" }).click();
  await page.getByText(/^Saved: revision/).waitFor();
  const { headers } = await shop.ask("/catalog");
  assert.match(headers.sunset, /^Wed, 01 Jan 2031/);
  await page.getByLabel("Stage").selectOption("published");
  await page.getByLabel("May be gone from").fill("");
  await page.getByRole("button", { name: "Move it" }).click();
  await page.locator("#summary").getByText("published").waitFor();
  // What takes it off the air is meant, or not done.
  await page.getByLabel("Stage").selectOption("draft");
  await page.getByRole("button", { name: "Move it" }).click();
  await page.locator("#life-of").getByText("one that is draft does not answer any more").waitFor();
  assert.equal((await shop.ask("/catalog")).status, 200);
  await page.getByLabel("Its callers may be answered 404").check();
  await page.getByRole("button", { name: "Move it" }).click();
  await page.locator("#summary").getByText("draft").waitFor();
  await page.getByLabel("Stage").selectOption("published");
  await page.getByRole("button", { name: "Move it" }).click();
  await page.locator("#summary").getByText("published").waitFor();
});

test("a token is told once, and a node joins by the command that is shown", async () => {
  const { page } = await signIn("admin", "/settings");
  await page.getByLabel("What it is for").fill("a pipeline");
  await page.getByRole("button", { name: "Make a token" }).click();
  const token = await page.locator(".copy code").first().textContent();
  const headers = { authorization: `Bearer ${token}` };
  const known = await fetch(`${shop.url}/api/v1/session`, { headers });
  assert.equal(known.status, 200);
  await page.goto(`${shop.url}/settings`);
  assert.ok(!(await page.content()).includes(token));
  await page.getByRole("row", { name: /a pipeline/ }).getByRole("button").click();
  await page.getByText("The token is revoked.").waitFor();
  assert.equal((await fetch(`${shop.url}/api/v1/session`, { headers })).status, 401);
  await page.goto(`${shop.url}/fleet`);
  await page.getByLabel("Cluster").fill("east");
  await page.getByRole("button", { name: "Make a token, and show the command" }).click();
  const command = await page.locator(".copy code").first().textContent();
  assert.match(command, new RegExp(`^HEDDLE_JOIN_TOKEN=\\S+ heddle-gateway --name edge-2 --server ${shop.nodes}`));
});

const PAGES = ["/", "/apis", "/apis?search=nothing", CATALOG, "/teams", "/teams/catalog", "/users",
  "/workspaces", "/workspaces/bookshop", "/access", "/fleet", "/requests?show=all", "/settings"];

for (const colorScheme of ["light", "dark"]) {
  test(`no page of a shop that is open has a barrier in the ${colorScheme} theme`, async () => {
    const { page } = await signIn("admin", "/", { colorScheme, viewport: PHONE });
    for (const path of PAGES) {
      await page.goto(shop.url + path);
      await page.getByRole("heading", { level: 1 }).waitFor();
      await isNotTooWide(page, path);
      await hasNoBarrier(page, path);
    }
  });
}

test("words of any length stay within a phone's screen", async () => {
  const long = "n".repeat(60);
  const meta = (more = "") => `metadata: { name: ${long}, ${more}labels: { team: ${long} } }`;
  const objects = `
apiVersion: heddle.dev/v1alpha1
kind: Team
${meta()}
---
apiVersion: heddle.dev/v1alpha1
kind: Workspace
${meta()}
---
apiVersion: heddle.dev/v1alpha1
kind: Api
${meta(`namespace: ${long}, `)}
spec: { title: ${long}, owner: ${long} }
---
apiVersion: v1
kind: Service
${meta(`namespace: ${long}, `)}
spec: { ports: [{ port: 80 }] }
---
apiVersion: heddle.dev/v1alpha1
kind: AccessPolicy
${meta(`namespace: ${long}, `)}
spec: { targetRefs: [{ group: "", kind: Service, name: ${long} }], rules: [{ name: ${long} }] }
`;
  const why = `https://tracker.example.com/${long.repeat(2)}`;
  const made = await shop.rest("POST", `/changes?message=${why}`, objects, "application/yaml");
  const { page } = await signIn("admin", "/", { viewport: PHONE });
  const paths = ["/", "/apis", "/changes", "/teams", "/workspaces", "/policies"];
  paths.push(`/changes/${made.revision}`, `/teams/${long}`, `/workspaces/${long}`);
  paths.push(`/apis/${long}/${long}`, `/policies/${long}/${long}`);
  paths.push(`/objects/Workspace/heddle/${long}`, `/access/ask?verb=Update&kind=Api&namespace=${long}&name=${long}`);
  for (const path of paths) {
    await page.goto(shop.url + path);
    await page.getByRole("heading", { level: 1 }).waitFor();
    await isNotTooWide(page, path);
  }
});

test("a host is claimed, and not by two", async () => {
  const { page } = await signIn("alice", "/workspaces/bookshop");
  await page.getByText("bookshop.localhost").first().waitFor();
  await page.getByRole("textbox", { name: /^Host/ }).fill("toys.localhost");
  await page.getByRole("button", { name: "Claim it" }).click();
  await page.getByText(/^Saved: revision/).waitFor();
  await page.getByRole("rowheader", { name: "toys.localhost" }).waitFor();
  await page.getByRole("textbox", { name: /^Host/ }).fill("not a host");
  await page.getByRole("button", { name: "Claim it" }).click();
  await page.getByRole("alert").waitFor();
  assert.equal(await page.getByRole("textbox", { name: /^Host/ }).inputValue(), "not a host");
  await page.getByRole("button", { name: "Release all of bookshop/toys-localhost" }).click();
  await page.getByText(/^Saved: revision/).waitFor();
  assert.equal(await page.getByRole("rowheader", { name: "toys.localhost" }).count(), 0);
});

test("a user is made with a password that is told once, and shut out by name", async () => {
  const { page } = await signIn("admin", "/users");
  await page.getByRole("textbox", { name: /^Name/ }).fill("dora");
  await page.getByRole("button", { name: "Make the user, and show a password" }).click();
  const password = await page.locator(".copy code").first().textContent();
  const body = JSON.stringify({ user: "dora", password });
  const headers = { "content-type": "application/json" };
  const signedIn = () => fetch(`${shop.url}/api/v1/session`, { method: "POST", headers, body });
  assert.equal((await signedIn()).status, 201);
  await page.getByLabel("Who is to be shut out").fill("admin");
  await page.getByRole("button", { name: "Shut this user out for good" }).click();
  await page.getByRole("alert").getByText("is the last who may do everything").waitFor();
  await page.getByLabel("Who is to be shut out").fill("dora");
  await page.getByRole("button", { name: "Shut this user out for good" }).click();
  await page.getByText("They are shut out").waitFor();
  assert.equal((await signedIn()).status, 401);
});
