// Starting and stopping the heddle-server that HEDDLE_SERVER names.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const DEADLINE = 15_000;

/** The password of `admin`. */
const PASSWORD = "weft-and-warp-in-one";

/** Starts a server on a free port, with a store of its own and these arguments; resolves once it listens. */
export async function startServer(more = []) {
  const { HEDDLE_SERVER: program, HEDDLE_SITE: site } = process.env;
  if (!program || !site) {
    throw new Error("set HEDDLE_SERVER and HEDDLE_SITE, as `cargo xtask wasm --test` does");
  }
  const data = await mkdtemp(join(tmpdir(), "heddle-"));
  const file = join(data, "given-password");
  await writeFile(file, PASSWORD);
  // A database that the shell names is nobody's to test on.
  const { HEDDLE_DATABASE: _, ...env } = process.env;
  const given = ["--site", site, "--data", data, "--admin-password-file", file, ...more];
  const start = async (people, nodes) => {
    const ports = ["--listen", people, "--config-listen", nodes];
    const stdio = ["ignore", "ignore", "pipe"];
    const child = spawn(program, [...ports, ...given], { stdio, env });
    const ended = once(child, "exit").then(([code, signal]) => ({ code, signal }));
    return { child, ended, ...(await within("listens", listening(child.stderr, ended))) };
  };
  const kill = async ({ child, ended }, signal) => {
    child.kill(signal);
    return within("stops", ended);
  };
  let running = await start("127.0.0.1:0", "127.0.0.1:0");
  const { url, nodes } = running;
  return {
    url,
    nodes,
    password: PASSWORD,
    /** Ends it as a power cut does. */
    kill: () => kill(running, "SIGKILL"),
    /** Lets it hang, and go on. */
    hang: () => running.child.kill("SIGSTOP"),
    goOn: () => running.child.kill("SIGCONT"),
    /** Starts it again over the same store, where it was. */
    async again() {
      running = await start(new URL(url).host, nodes);
    },
    async stop() {
      try {
        return await kill(running, "SIGTERM");
      } catch (late) {
        running.child.kill("SIGKILL");
        throw late;
      } finally {
        await rm(data, { recursive: true, force: true });
      }
    },
  };
}

/** The addresses that the log names, for people and for nodes. */
function listening(log, ended) {
  const seen = [];
  let nodes;
  return new Promise((resolve, reject) => {
    createInterface({ input: log }).on("line", (line) => {
      seen.push(line);
      nodes ??= line.match(/listening for nodes on https:\/\/([^\s,]+)/)?.[1];
      const found = line.match(/listening on (http:\/\/\S+)/);
      if (found) resolve({ url: found[1], nodes });
    });
    ended.then(
      ({ code }) => reject(new Error(`ended with ${code}:\n${seen.join("\n")}`)),
      reject,
    );
  });
}

async function within(what, work) {
  let timer;
  const late = new Promise((_, reject) => {
    const complain = () => reject(new Error(`no server that ${what} within ${DEADLINE} ms`));
    timer = setTimeout(complain, DEADLINE);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
