// Policies: a form and YAML of one object, which follow each other, and what the gateway makes of them.

import assert from "node:assert/strict";

import { PHONE, hasNoBarrier, isNotTooWide } from "./barriers.mjs";
import { picture, test } from "./browser.mjs";
import { forge, openScene, shop, signIn } from "./scene.mjs";

const CATALOG = "/policies/bookshop/catalog";

openScene();

/** A field of the form, by its place in the object. */
const field = (page, path) => page.locator(`[data-side=form] [name="${path}"]`);
const yaml = (page) => page.locator("#yaml");
const add = (page, list) => page.locator(`[data-list="${list}"] > .listed button`);
const checked = (page) => page.locator("#checked");

/** Asks the gateway until it answers so. */
async function answers(path, status) {
  const end = Date.now() + 10_000;
  for (;;) {
    const found = (await shop.ask(path)).status;
    if (found === status) return;
    assert.ok(Date.now() < end, `${path} is answered ${found}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** The YAML once it has this in it. */
async function writes(page, text) {
  await page.waitForFunction((text) => document.querySelector("#yaml").value.includes(text), text);
}

test("what is typed into the form stands in the YAML, and decides once it is saved", async () => {
  const { page } = await signIn("carol", CATALOG);
  await page.locator("[data-mirror]").waitFor();
  await answers("/catalog", 200);
  await add(page, "spec.rules").click();
  await page.waitForFunction(() => document.activeElement.id === "spec.rules[1].name");
  await page.keyboard.type("closed");
  await writes(page, "name: closed");
  // Enter checks, and neither saves nor adds anything.
  await page.keyboard.press("Enter");
  await checked(page).getByText("spec.rules[1].name").waitFor();
  assert.equal(await page.locator('[data-list="spec.targetRefs"] > fieldset').count(), 1);
  await field(page, "spec.rules[1].action").selectOption("Deny");
  await writes(page, "action: Deny");
  await checked(page).getByText("It is valid.").waitFor();
  await checked(page).getByText("spec.rules[1].action").waitFor();
  await picture(page, "policy");
  assert.equal((await shop.ask("/catalog")).status, 200);
  await page.getByRole("button", { name: "Save the form" }).click();
  await page.getByText(/^Saved: revision/).waitFor();
  await answers("/catalog", 403);
  await page.locator("[data-mirror]").waitFor();
  await page.getByRole("button", { name: "Remove rules[1]: closed" }).click();
  await page.waitForFunction(() => !document.querySelector("#yaml").value.includes("closed"));
  await page.getByRole("button", { name: "Save the form" }).click();
  await page.getByText(/^Saved: revision/).waitFor();
  await answers("/catalog", 200);
});

test("what is typed as YAML stands in the form, its faults by line and under their fields", async () => {
  const { page } = await signIn("carol", CATALOG);
  await page.locator("[data-mirror]").waitFor();
  const whole = await yaml(page).inputValue();
  const wrong = `${whole.replace("- HEAD", "- HAED").trimEnd()}\n  colour: red\n`;
  await yaml(page).fill(wrong);
  await checked(page).getByText(/^line \d+: AccessPolicy bookshop\/catalog: spec\.colour: unknown field/m)
    .waitFor();
  await checked(page).getByText(/spec\.rules\[0\]\.when\.methods\[1\].*did you mean 'HEAD'/).waitFor();
  await page.locator('[id="spec.rules[0].when.methods:fault"]', { hasText: "HEAD" }).waitFor();
  assert.equal(await yaml(page).inputValue(), wrong);
  await hasNoBarrier(page, "a policy with faults");
  await page.getByRole("button", { name: "Save the YAML" }).click();
  await page.getByRole("alert").getByText("Nothing was saved.").waitFor();
  assert.equal(await yaml(page).inputValue(), wrong);
  await page.locator("[data-mirror]").waitFor();
  await yaml(page).fill(whole.replace("name: anyone-reads", "name: all-read"));
  await page.waitForFunction(() => {
    return document.getElementById("spec.rules[0].name").value === "all-read";
  });
  await yaml(page).fill("kind: [");
  await checked(page).getByText("cannot be read as YAML").waitFor();
  await yaml(page).fill(whole.replace("name: catalog\n  namespace", "name: other\n  namespace"));
  await page.locator('[id="yaml:fault"]', { hasText: "AccessPolicy bookshop/catalog" }).waitFor();
});

test("a policy of very many rules is written as YAML, and a server that is gone is told", async () => {
  const { page } = await signIn("carol", CATALOG);
  await page.locator("[data-mirror]").waitFor();
  const whole = await yaml(page).inputValue();
  const rules = Array.from({ length: 300 }, (_, nth) => `  - name: rule-${nth}\n`).join("");
  await yaml(page).fill(whole.replace("  rules:\n", `  rules:\n${rules}`));
  await page.locator("[data-side=form]").getByText("more entries than a form could show").waitFor();
  await checked(page).getByText("It is valid.").waitFor();
  await yaml(page).fill(whole);
  await field(page, "spec.rules[0].name").waitFor();
  await page.route("**/yaml", (route) => route.abort());
  await yaml(page).fill(`${whole}# more\n`);
  await checked(page).getByText("The server did not answer").waitFor();
  assert.equal(await yaml(page).inputValue(), `${whole}# more\n`);
});

test("without scripts, too, a policy is made, changed and deleted", async () => {
  const { page } = await signIn("carol", "/apis/bookshop/catalog", { javaScriptEnabled: false });
  await page.getByRole("link", { name: "A new policy for this route" }).click();
  await field(page, "metadata.name").fill("robots");
  await field(page, "spec.rules[0].name").fill("no-robots");
  await field(page, "spec.rules[0].action").selectOption("Deny");
  await add(page, "spec.rules[0].when.headers").click();
  await field(page, "spec.rules[0].when.headers[0].name").fill("user-agent");
  await page.getByRole("button", { name: "Check" }).first().click();
  const fault = page.locator('[id="spec.rules[0].when.headers[0].value:fault"]');
  await fault.getByText("is missing").waitFor();
  assert.equal(await field(page, "spec.rules[0].name").inputValue(), "no-robots");
  await field(page, "spec.rules[0].when.headers[0].value").fill("robot");
  await page.getByRole("button", { name: "Save the form" }).click();
  await page.getByText(/^Saved: revision/).waitFor();
  assert.match(page.url(), /\/policies\/bookshop\/robots\?saved=/);
  const { spec } = await shop.rest("GET", "/resources/AccessPolicy/bookshop/robots");
  assert.deepEqual(spec.rules[0].when.headers, [{ name: "user-agent", type: "Exact", value: "robot" }]);
  await page.goto(`${shop.url}/policies?search=robo`);
  await page.getByRole("link", { name: "bookshop/robots" }).click();
  await page.getByRole("button", { name: "Delete the policy" }).click();
  await page.getByText(/^Saved: revision/).waitFor();
  assert.equal(await page.getByRole("link", { name: "bookshop/robots" }).count(), 0);
});

test("who has to prove who they are is said in a form of its own", async () => {
  const { page } = await signIn("alice", "/policies");
  await answers("/orders", 200);
  await page.locator("#authn").getByRole("link", { name: "bookshop/orders" }).click();
  await page.getByRole("heading", { name: "Authentication bookshop/orders" }).waitFor();
  await page.locator("[data-mirror]").waitFor();
  await field(page, "spec.require").selectOption("Any");
  await writes(page, "require: Any");
  await page.getByRole("button", { name: "Save the form" }).click();
  await page.getByText(/^Saved: revision/).waitFor();
  await answers("/orders", 401);
  await page.goto(`${shop.url}/apis/bookshop/orders`);
  await page.getByText("proves, one is required").first().waitFor();
  await page.goto(`${shop.url}/authn/bookshop/orders`);
  await page.locator("[data-mirror]").waitFor();
  await field(page, "spec.require").selectOption("");
  await page.getByRole("button", { name: "Save the form" }).click();
  await page.getByText(/^Saved: revision/).waitFor();
  await answers("/orders", 200);
});

test("a limit is made in a form, holds, is shown where it does, and is taken back", async () => {
  const { page } = await signIn("alice", "/policies");
  await page.getByRole("link", { name: "A new limit" }).click();
  await page.getByRole("heading", { name: "A new limit" }).waitFor();
  await page.goto(`${shop.url}/limits/-/new?route=HTTPRoute/bookshop/orders&api=orders`);
  await page.locator("[data-mirror]").waitFor();
  await field(page, "spec.limits[0].name").fill("all");
  await field(page, "spec.limits[0].requests").fill("1");
  await field(page, "spec.limits[0].window").fill("1h");
  await writes(page, 'window: "1h"');
  await page.getByRole("button", { name: "Save the form" }).click();
  await page.getByText(/^Saved: revision/).waitFor();
  assert.match(page.url(), /\/limits\/bookshop\/orders\?saved=/);
  await answers("/orders", 429);
  await page.goto(`${shop.url}/apis/bookshop/orders`);
  await page.getByText("1 request in 3600 s").first().waitFor();
  await page.goto(`${shop.url}/policies`);
  await page.locator("#limits").getByRole("link", { name: "bookshop/orders" }).click();
  await page.getByRole("button", { name: "Delete the policy" }).click();
  await page.getByText(/^Saved: revision/).waitFor();
  await answers("/orders", 200);
});

test("who may only read sees the YAML, and is refused; a stranger finds nothing", async () => {
  const { page: other } = await signIn("bob", CATALOG);
  await other.getByText("You may not change it.").waitFor();
  assert.equal(await other.getByRole("button", { name: /Save|Delete/ }).count(), 0);
  const text = await other.locator("pre.text").innerText();
  const refused = await forge(other, `${CATALOG}/yaml`, {
    generation: "1",
    yaml: text.replace("anyone-reads", "all-read"),
    act: "save",
  });
  assert.ok([403, 409].includes(refused.status), refused.status);
  const gone = await forge(other, `${CATALOG}/delete`, { generation: "1" });
  assert.ok([403, 409].includes(gone.status), gone.status);
  const { page: stranger } = await signIn("eve", "/policies");
  await stranger.getByText("There is no policy that you may see.").waitFor();
  assert.equal((await stranger.goto(shop.url + CATALOG)).status(), 404);
  const forged = await forge(stranger, `${CATALOG}/form`, { generation: "1", act: "check" });
  assert.equal(forged.status, 404);
});

test("of two who edit a policy the second is told", async () => {
  const { page: first } = await signIn("carol", CATALOG);
  const { page: second } = await signIn("alice", CATALOG);
  for (const page of [first, second]) await page.locator("[data-mirror]").waitFor();
  await second.locator("[data-live=live]").waitFor();
  await field(second, "spec.rules[0].name").fill("second");
  await writes(second, "name: second");
  await field(first, "spec.rules[0].name").fill("first");
  await first.getByRole("button", { name: "Save the form" }).click();
  await first.getByText(/^Saved: revision/).waitFor();
  await second.locator("[data-newer] .newer").first().waitFor();
  await second.getByRole("button", { name: "Save the form" }).click();
  await second.getByRole("alert").getByText("Somebody else saved this before you.").waitFor();
  assert.equal(await field(second, "spec.rules[0].name").inputValue(), "second");
  await checked(second).getByText("first").waitFor();
  await second.getByRole("button", { name: "Save the form" }).click();
  await second.getByText(/^Saved: revision/).waitFor();
});

test("a policy that goes while somebody types takes nothing with it", async () => {
  const made = {
    apiVersion: "heddle.dev/v1alpha1",
    kind: "AccessPolicy",
    metadata: { name: "passing", namespace: "bookshop", labels: { "heddle.dev/api": "catalog" } },
    spec: {
      targetRefs: [{ kind: "HTTPRoute", name: "catalog", sectionName: "slow" }],
      rules: [{ name: "all", when: {} }],
    },
  };
  await shop.rest("POST", "/changes", JSON.stringify(made), "application/yaml");
  const { page } = await signIn("carol", "/policies/bookshop/passing");
  await page.locator("[data-live=live]").waitFor();
  await field(page, "spec.rules[0].name").fill("typed-with-care");
  await writes(page, "name: typed-with-care");
  await shop.rest("DELETE", "/resources/AccessPolicy/bookshop/passing");
  await page.locator("[data-live=gone]").waitFor();
  assert.equal(await field(page, "spec.rules[0].name").inputValue(), "typed-with-care");
  await page.getByRole("button", { name: "Save the form" }).click();
  await page.getByRole("heading", { name: "No such page" }).waitFor();
  await page.getByText("What you typed").waitFor();
  const kept = await page.locator("details textarea").evaluateAll((all) => all.map((one) => one.value));
  assert.ok(kept.includes("typed-with-care"), kept.join("|"));
  await hasNoBarrier(page, "what was typed");
});

for (const colorScheme of ["light", "dark"]) {
  test(`no page of a policy has a barrier in the ${colorScheme} theme`, async () => {
    const { page, complaints } = await signIn("carol", CATALOG, { colorScheme });
    const paths = ["/policies", "/policies?search=none", "/policies/-/new", CATALOG];
    for (const path of [...paths, "/authn/-/new", "/authn/bookshop/orders", "/limits/-/new"]) {
      await page.goto(shop.url + path);
      await hasNoBarrier(page, path);
      await page.setViewportSize(PHONE);
      await isNotTooWide(page, path);
      await page.setViewportSize({ width: 1280, height: 900 });
    }
    assert.deepEqual(complaints, []);
  });
}
