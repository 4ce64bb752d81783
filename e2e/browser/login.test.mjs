// Logging in at an application behind gateways, as people meet it: by a provider, and through whichever gateway.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import http from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before } from "node:test";

import { openBrowser, test } from "./browser.mjs";
import { SECRET, startProvider } from "./idp.mjs";
import { startServer } from "./server.mjs";
import { freePort, signIn, until } from "./shop.mjs";

const HOST = "shop.localhost";
/** Where each gateway is. */
const GATEWAYS = ["127.0.0.11", "127.0.0.12"];

let scene;
let browser;

before(async () => {
  scene = await openScene();
  browser = await openBrowser();
});

after(async () => {
  await browser?.close();
  await scene?.stop();
});

/** An application that says who asks, behind two gateways and a balancer that takes them in turn. */
async function openScene() {
  const data = await mkdtemp(join(tmpdir(), "heddle-login-"));
  const local = ["--fetch-from", "127.0.0.1/32"];
  const server = await startServer(local);
  const app = await listen((asked, answer) => {
    answer.setHeader("content-type", "text/html");
    const { cookie = "", "x-user": user = "nobody" } = asked.headers;
    answer.end(`<h1>Hello ${user}</h1><p id=path>${asked.url}</p><p id=cookie>${cookie}</p>`);
  });
  const port = await freePort();
  const balancer = await openBalancer(port);
  const site = `http://${HOST}:${balancer.port}`;
  const provider = await startProvider("people.localhost", {
    back: `${site}/oauth2/callback`,
    groups: ["Weavers"],
    home: `${site}/`,
  });
  const rest = await signIn(server);
  await rest("POST", "/changes", objects(port, app.port, provider), "application/yaml");
  const nodes = [];
  for (const [index, at] of GATEWAYS.entries()) {
    const token = { cluster: "local", kind: "gateway", pattern: "*", expiresIn: "10m" };
    const made = await rest("POST", "/join-tokens", token);
    const admin = await freePort();
    const own = ["--name", `edge-${index}`, "--bind", at, "--admin", `127.0.0.1:${admin}`];
    const joined = ["--server", server.nodes, "--state", join(data, `edge-${index}`)];
    const program = join(dirname(process.env.HEDDLE_SERVER), "heddle-gateway");
    const env = { ...process.env, HEDDLE_JOIN_TOKEN: made.token };
    const child = spawn(program, [...own, ...joined, ...local], { stdio: "ignore", env });
    nodes.push({ child, ended: once(child, "exit") });
    await until(`gateway ${index} is ready`, async () => {
      return (await fetch(`http://127.0.0.1:${admin}/readyz`)).ok;
    });
  }
  // The keys of the provider are fetched soon after the policy names them.
  await until("the keys are known", async () => {
    return (await rest("GET", "/key-sets")).items.every((set) => set.holds);
  });
  return {
    site,
    rest,
    balancer,
    issuer: provider.issuer,
    async stop() {
      for (const { child, ended } of nodes) {
        child.kill("SIGKILL");
        await ended;
      }
      for (const part of [balancer, app, provider, server]) await part.stop();
      await rm(data, { recursive: true, force: true });
    },
  };
}

/** Sends each request to the next gateway, and remembers which had it. */
async function openBalancer(port) {
  const seen = [];
  let turn = 0;
  const ask = ({ method, url, headers }, index, got) => {
    const options = { host: GATEWAYS[index], port, path: url, method, headers, agent: false };
    return http.request(options, got);
  };
  const open = await listen((asked, answer) => {
    const index = turn++ % GATEWAYS.length;
    seen.push({ path: asked.url.split("?")[0], index });
    const request = ask(asked, index, (got) => {
      answer.writeHead(got.statusCode, got.rawHeaders);
      got.pipe(answer);
    });
    request.on("error", () => answer.destroy());
    asked.pipe(request);
  });
  return {
    ...open,
    seen,
    /** The status with which one gateway answers for a page. */
    status: (index, headers) =>
      new Promise((resolve, reject) => {
        const page = { "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" };
        const host = `${HOST}:${open.port}`;
        const asked = { method: "GET", url: "/", headers: { ...page, host, ...headers } };
        const request = ask(asked, index, (got) => {
          got.resume();
          got.on("end", () => resolve(got.statusCode));
        });
        request.on("error", reject);
        request.end();
      }),
  };
}

async function listen(answers) {
  const server = http.createServer(answers).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: server.address().port,
    async stop() {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}

function objects(port, app, { issuer }) {
  const at = new URL(issuer).port;
  // The provider is asked where it listens, whatever the system makes of names below localhost.
  const own = `http://127.0.0.1:${at}`;
  return `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge, namespace: platform }
spec:
  gatewayClassName: heddle
  listeners:
    - { name: http, protocol: HTTP, port: ${port}, allowedRoutes: { namespaces: { from: All } } }
---
apiVersion: heddle.dev/v1alpha1
kind: Workspace
metadata: { name: shop }
spec: { access: open }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: all, namespace: shop }
spec:
  parentRefs: [{ name: edge, namespace: platform }]
  hostnames: [${HOST}]
  rules: [{ backendRefs: [{ name: app, port: 80 }] }]
---
apiVersion: v1
kind: Service
metadata: { name: app, namespace: shop }
spec: { ports: [{ port: 80 }] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: app-1
  namespace: shop
  labels: { kubernetes.io/service-name: app }
addressType: IPv4
ports: [{ port: ${app} }]
endpoints: [{ addresses: ["127.0.0.1"] }]
---
apiVersion: v1
kind: Secret
metadata: { name: login, namespace: shop }
stringData: { client-secret: ${SECRET} }
---
apiVersion: heddle.dev/v1alpha1
kind: AuthnPolicy
metadata: { name: people, namespace: shop }
spec:
  targetRefs: [{ kind: HTTPRoute, name: all }]
  require: Any
  methods:
    - name: people
      oidc:
        issuer: ${issuer}
        clientId: heddle
        clientSecretRef: { name: login }
        authorizationUrl: ${issuer}/auth
        tokenUrl: ${own}/token
        endSessionUrl: ${issuer}/session/end
        jwksUrl: ${own}/jwks
        scopes: [openid, profile]
      toHeaders: [{ header: x-user }]
`;
}

/** A page of somebody who wanted \`path\` and logged in at the provider. */
async function logIn(user, path) {
  const opened = await browser.open(`${scene.site}${path}`);
  const { page } = opened;
  await page.getByPlaceholder("Enter any login").fill(user);
  await page.getByPlaceholder("and password").fill("any");
  await page.getByRole("button", { name: "Sign-in" }).click();
  await page.getByRole("button", { name: "Continue" }).click();
  await page.getByRole("heading", { name: `Hello ${user}` }).waitFor();
  return opened;
}

/** The cookies of a page as a header. */
async function kept(page) {
  const cookies = await page.context().cookies(scene.site);
  return { cookie: cookies.map(({ name, value }) => `${name}=${value}`).join("; ") };
}

test("who logs in comes back by the other gateway, to the page that they wanted", async () => {
  const { seen } = scene.balancer;
  seen.length = 0;
  const { page } = await logIn("ann", "/orders?of=me");
  assert.equal(new URL(page.url()).pathname, "/orders");
  assert.equal(await page.locator("#path").textContent(), "/orders?of=me");
  const [begun, back] = ["/orders", "/oauth2/callback"].map((path) => {
    return seen.find((one) => one.path === path).index;
  });
  assert.notEqual(begun, back, JSON.stringify(seen));
  // No script reads the session, and the application gets nothing of it.
  assert.equal(await page.evaluate("document.cookie"), "");
  assert.equal(await page.locator("#cookie").textContent(), "");
  for (let turn = 0; turn < 4; turn += 1) {
    await page.reload();
    await page.getByRole("heading", { name: "Hello ann" }).waitFor();
  }
  const status = await page.evaluate(async () => (await fetch("/data")).status);
  assert.equal(status, 200);
});

test("a script of somebody who is not logged in is told so, and led nowhere", async () => {
  const { page } = await logIn("bob", "/");
  await page.context().clearCookies({ domain: HOST });
  const asked = await page.evaluate(async () => {
    const { status, redirected } = await fetch("/data");
    return { status, redirected };
  });
  assert.deepEqual(asked, { status: 401, redirected: false });
});

test("who logs out is out at both gateways within a second, whoever kept a copy", async () => {
  const { page } = await logIn("cleo", "/");
  const copy = await kept(page);
  const status = (index) => scene.balancer.status(index, copy);
  for (const index of GATEWAYS.keys()) assert.equal(await status(index), 200);
  await page.goto(`${scene.site}/oauth2/logout`);
  // The provider asks, too.
  await page.getByRole("button", { name: "Yes, sign me out" }).waitFor();
  const since = Date.now();
  for (const index of GATEWAYS.keys()) {
    await until("the session is over", async () => (await status(index)) === 302);
  }
  assert.ok(Date.now() - since < 1_000, `${Date.now() - since} ms`);
  await page.getByRole("button", { name: "Yes, sign me out" }).click();
  await page.getByPlaceholder("Enter any login").waitFor();
  assert.deepEqual((await page.context().cookies(scene.site)).map(({ name }) => name).length, 1);
});

test("who is shut out sees that, and nobody is led in circles", async () => {
  const { page } = await logIn("dora", "/");
  const user = { issuer: scene.issuer, subject: "dora" };
  const made = await scene.rest("POST", "/revocations", { user, note: "she left" });
  await until("she is shut out", async () => {
    const answer = await page.reload();
    return answer.status() === 403 && (await answer.json()).reason === "caller_revoked";
  });
  await scene.rest("DELETE", `/revocations/${made.id}`);
  await until("she is let in again", async () => (await page.reload()).status() === 200);
});
