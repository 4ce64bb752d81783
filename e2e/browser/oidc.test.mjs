// Signing in by login providers, as people meet it: who they are then, and what becomes of that.

import assert from "node:assert/strict";
import { after, before } from "node:test";

import { hasNoBarrier } from "./barriers.mjs";
import { openBrowser, test } from "./browser.mjs";
import { SECRET, startProvider } from "./idp.mjs";
import { startServer } from "./server.mjs";

let server;
let browser;
const providers = {};

before(async () => {
  server = await startServer();
  browser = await openBrowser();
  for (const name of ["corp", "home"]) {
    const back = `${server.url}/sign-in/${name}/callback`;
    providers[name] = await startProvider(`${name}.localhost`, { back, groups: ["Weavers"] });
  }
  await change(provider("corp") + provider("home"));
});

after(async () => {
  await browser?.close();
  for (const name in providers) await providers[name].stop();
  await server?.stop();
});

const provider = (name) => `---
apiVersion: v1
kind: Secret
metadata: { name: ${name}-login, namespace: heddle }
stringData: { client-secret: ${SECRET} }
---
apiVersion: heddle.dev/v1alpha1
kind: LoginProvider
metadata: { name: ${name} }
spec:
  title: The ${name}
  issuer: ${providers[name].issuer}
  clientId: heddle
  clientSecretRef: { name: ${name}-login }
  contact: ${name}@example.com
`;

/** Makes a change as the admin. */
async function change(text) {
  const api = `${server.url}/api/v1`;
  const body = JSON.stringify({ user: "admin", password: server.password });
  const session = await fetch(`${api}/session`, { method: "POST", body });
  const cookie = session.headers.get("set-cookie").split(";")[0];
  const { csrf } = await session.json();
  const headers = { cookie, "x-heddle-csrf": csrf, "content-type": "application/yaml" };
  const answer = await fetch(`${api}/changes`, { method: "POST", body: text, headers });
  assert.equal(answer.status, 201, await answer.text());
}

/** The page on which somebody is who came by a provider. */
async function signIn(name, user, path = "/") {
  const { page } = await browser.open(`${server.url}${path}`);
  await page.getByRole("link", { name: `Sign in with The ${name}` }).click();
  await page.getByPlaceholder("Enter any login").fill(user);
  await page.getByPlaceholder("and password").fill("any");
  await page.getByRole("button", { name: "Sign-in" }).click();
  await page.getByRole("button", { name: "Continue" }).click();
  await page.waitForURL(`${server.url}/**`);
  return page;
}

test("who may do nothing yet is told who they are and whom to ask", async () => {
  const page = await signIn("corp", "Alice");
  await page.getByRole("heading", { name: "You may do nothing here yet" }).waitFor();
  await page.locator("main").getByText("corp-alice").waitFor();
  assert.deepEqual(await page.locator("#groups li").allTextContents(), ["Weavers"]);
  assert.deepEqual(await page.locator("#whom li").allTextContents(), [
    "corp@example.com",
    "user 'admin'",
  ]);
  assert.equal((await page.reload()).status(), 403);
  await hasNoBarrier(page, page.url());
  await page.getByRole("link", { name: "Settings" }).click();
  await page.getByRole("heading", { name: "Sessions" }).waitFor();
});

test("a group that a team names gives its members what the team may", async () => {
  await change(`
apiVersion: heddle.dev/v1alpha1
kind: Team
metadata: { name: weavers }
spec: { groups: [{ provider: corp, name: Weavers }] }
---
apiVersion: heddle.dev/v1alpha1
kind: Grant
metadata: { name: weavers, namespace: heddle }
spec: { subjects: [{ team: weavers }], role: viewer }
`);
  const page = await signIn("corp", "Alice", "/fleet");
  await page.getByRole("heading", { name: "Fleet" }).waitFor();
  assert.equal(new URL(page.url()).pathname, "/fleet");
  await page.locator("header").getByText("corp-alice").waitFor();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  assert.equal((await page.goto(`${server.url}/fleet`)).url(), `${server.url}/sign-in?to=%2Ffleet`);
});

test("the same name at another provider is somebody else", async () => {
  const page = await signIn("home", "Alice");
  await page.getByRole("heading", { name: "You may do nothing here yet" }).waitFor();
  await page.locator("main").getByText("home-alice").waitFor();
});

test("a link of another site finds people signed in", async () => {
  const page = await signIn("corp", "Alice");
  await page.getByRole("heading", { name: "Overview" }).waitFor();
  await page.goto(`${providers.home.issuer}/.well-known/openid-configuration`);
  await page.evaluate((url) => {
    const link = document.createElement("a");
    [link.href, link.textContent] = [url, "to the fleet"];
    document.body.replaceChildren(link);
  }, `${server.url}/fleet`);
  await page.getByRole("link", { name: "to the fleet" }).click();
  await page.getByRole("heading", { name: "Fleet" }).waitFor();
});

test("neither the buttons nor what went wrong has a grave barrier", async () => {
  for (const path of ["/sign-in", "/sign-in/none"]) {
    const { page } = await browser.open(`${server.url}${path}`);
    await hasNoBarrier(page, page.url());
  }
});

test("who changes their mind there is told so here", async () => {
  const { page } = await browser.open(server.url);
  await page.getByRole("link", { name: "Sign in with The home" }).click();
  await page.getByRole("link", { name: "Cancel" }).click();
  const words = "The home did not let you in (access_denied)";
  await page.getByRole("alert").getByText(words).waitFor();
  await page.getByRole("link", { name: "Choose how to sign in" }).click();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
});

test("an answer that was taken already lets nobody in", async () => {
  const { page } = await browser.open(server.url);
  const answers = [];
  page.on("request", (request) => {
    if (request.url().includes("/callback?")) answers.push(request.url());
  });
  await page.getByRole("link", { name: "Sign in with The corp" }).click();
  await page.getByPlaceholder("Enter any login").fill("Alice");
  await page.getByPlaceholder("and password").fill("any");
  await page.getByRole("button", { name: "Sign-in" }).click();
  await page.getByRole("button", { name: "Continue" }).click();
  await page.getByRole("heading", { name: "Overview" }).waitFor();
  assert.equal(answers.length, 1);
  const other = await browser.open(answers[0]);
  await other.page.getByText("this try to sign in is over").waitFor();
});
