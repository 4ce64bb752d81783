// A server with the bookshop behind one gateway: the demo's own objects and programs, on free ports.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import http from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { startServer } from "./server.mjs";

const BOOKSHOP = join(dirname(fileURLToPath(import.meta.url)), "../../examples/bookshop");
const HOST = "bookshop.localhost";
const DEADLINE = 20_000;

/** Where the stranger works. */
const ELSEWHERE = `
---
apiVersion: heddle.dev/v1alpha1
kind: Workspace
metadata: { name: elsewhere }
---
apiVersion: heddle.dev/v1alpha1
kind: Grant
metadata: { name: eve, namespace: elsewhere }
spec: { subjects: [{ user: eve }], role: owner }
`;

/** The ports that the example's files name, each with the service that has it there. */
const SERVICES = [
  { name: "catalog-v1", port: 9103, args: ["--service", "catalog"] },
  { name: "catalog-v2", port: 9104, args: ["--service", "catalog", "--version", "v2"] },
  { name: "orders", port: 9102, args: ["--service", "orders"], calls: ["--catalog", 9103] },
  { name: "storefront", port: 9101, args: ["--service", "storefront"], calls: ["--orders", 9102] },
];
const EDGE = 8080;
const NODES = { gateway: "heddle-gateway", mesh: "heddle-mesh" };

/** One of them beside a proxy, which finds it silent when it is. */
const BESIDE = ({ app, mesh }) => `
apiVersion: heddle.dev/v1alpha1
kind: Workload
metadata: { name: catalog-v1-1, namespace: bookshop, labels: { app: catalog-v1 } }
spec:
  cluster: east
  serviceAccount: catalog
  address: 127.0.0.1
  ports: [{ name: http, port: ${app} }]
  mesh: { port: ${mesh} }
`;

/** Users with their passwords: a keeper of the shop, one of each team, and one of another workspace. */
const PEOPLE = Object.fromEntries(
  ["alice", "bob", "carol", "eve"].map((name) => [name, `the password of ${name}`]),
);

/**
 * Starts all of it; the admin's password is that of `startServer`.
 *
 * With `mesh` a proxy stands beside the first version of the catalog.
 */
export async function startShop({ mesh = false } = {}) {
  const programs = dirname(process.env.HEDDLE_SERVER ?? "");
  const data = await mkdtemp(join(tmpdir(), "heddle-shop-"));
  const server = await startServer();
  const running = new Map();
  const start = (name, args, env = {}) => {
    const program = join(programs, NODES[name] ?? "bookshop");
    const child = spawn(program, args, { stdio: "ignore", env: { ...process.env, ...env } });
    running.set(name, { child, ended: once(child, "exit") });
  };
  const stop = async (name) => {
    const { child, ended } = running.get(name);
    running.delete(name);
    child.kill("SIGKILL");
    await ended;
  };
  const ports = new Map();
  for (const port of [EDGE, ...SERVICES.map((service) => service.port)]) {
    ports.set(port, await freePort());
  }
  for (const { name, port, args, calls } of SERVICES) {
    const called = calls ? [calls[0], `http://127.0.0.1:${ports.get(calls[1])}`] : [];
    start(name, [...args, "--listen", `127.0.0.1:${ports.get(port)}`, ...called]);
  }
  const rest = await signIn(server);
  const texts = await Promise.all(
    ["platform.yaml", "gateway.yaml"].map((file) => readFile(join(BOOKSHOP, file), "utf8")),
  );
  const text = texts.join("\n---\n").replace(/\bport: (\d{4})\b/g, (found, port) => {
    return `port: ${ports.get(Number(port)) ?? port}`;
  });
  await rest("POST", "/changes?message=the+bookshop", text, "application/yaml");
  await rest("POST", "/changes", ELSEWHERE, "application/yaml");
  for (const [name, password] of Object.entries(PEOPLE)) {
    await rest("POST", "/users", { name, password });
  }
  const node = async (kind, pattern, args) => {
    const token = { cluster: "east", kind, pattern, expiresIn: "10m" };
    const made = await rest("POST", "/join-tokens", token);
    const admin = await freePort();
    const joined = ["--server", server.nodes, "--state", join(data, kind)];
    const all = [...args, ...joined, "--admin", `127.0.0.1:${admin}`];
    start(kind, all, { HEDDLE_JOIN_TOKEN: made.token });
    await until(`the ${kind} is ready`, async () => {
      return (await fetch(`http://127.0.0.1:${admin}/readyz`)).ok;
    });
  };
  if (mesh) {
    const beside = BESIDE({ app: ports.get(9103), mesh: await freePort() });
    await rest("POST", "/changes", beside, "application/yaml");
    await node("mesh", "bookshop.catalog-v1-1", ["--workload", "bookshop/catalog-v1-1"]);
  }
  await node("gateway", "edge", ["--name", "edge", "--debug-header"]);
  const shop = {
    ...server,
    rest,
    people: PEOPLE,
    end: stop,
    /** Lets it do nothing more, as a partition or a lost machine looks to others; and go on. */
    freeze: (name) => running.get(name).child.kill("SIGSTOP"),
    thaw: (name) => running.get(name).child.kill("SIGCONT"),
    /** The gateway's port. */
    edge: ports.get(EDGE),
    /** Asks the shop's gateway; its answer's status and headers. */
    ask: (path, asked = {}) => ask(ports.get(EDGE), path, asked),
    async stop() {
      for (const name of [...running.keys()]) await stop(name);
      await server.stop();
      await rm(data, { recursive: true, force: true });
    },
  };
  await until("the shop is open", async () => (await shop.ask("/")).status === 200);
  return shop;
}

/** REST as the admin, whose answers are good. */
export async function signIn({ url, password }) {
  const json = { "content-type": "application/json" };
  const body = JSON.stringify({ user: "admin", password });
  const began = await fetch(`${url}/api/v1/session`, { method: "POST", headers: json, body });
  const cookie = began.headers.get("set-cookie").split(";")[0];
  const { csrf } = await began.json();
  return async (method, path, sent, sort = "application/json") => {
    const body = typeof sent === "string" ? sent : JSON.stringify(sent);
    const headers = { cookie, "x-heddle-csrf": csrf, "content-type": sort };
    const answer = await fetch(`${url}/api/v1${path}`, { method, headers, body });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return text ? JSON.parse(text) : null;
  };
}

const agent = new http.Agent({ keepAlive: true, maxSockets: 4 });

function ask(port, path, { method = "GET", host = HOST, headers = {} }) {
  return new Promise((resolve, reject) => {
    const options = { host: "127.0.0.1", port, path, agent, method, headers: { ...headers, host } };
    const request = http.request(options, (answer) => {
      answer.resume();
      answer.on("end", () => resolve({ status: answer.statusCode, headers: answer.headers }));
    });
    request.on("error", reject);
    request.end();
  });
}

/** Which version of the catalog answers so many requests, as a share of v1. */
export async function shareOfFirst(shop, count) {
  let first = 0;
  for (let done = 0; done < count; done += 1) {
    const { status, headers } = await shop.ask("/catalog");
    if (status !== 200) throw new Error(`the catalog answered ${status}`);
    if (headers["x-served-by"] === "catalog-v1") first += 1;
  }
  return (first * 100) / count;
}

/** A port that nobody has. */
export async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

/** Waits until something holds. */
export async function until(what, holds) {
  const end = Date.now() + DEADLINE;
  while (!(await holds().catch(() => false))) {
    if (Date.now() > end) throw new Error(`not within ${DEADLINE} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
