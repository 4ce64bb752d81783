// What is killed, and how soon the console shows that it is gone.

import assert from "node:assert/strict";

import { picture, test } from "./browser.mjs";
import { openScene, shop, signIn } from "./scene.mjs";

/** Within which a loss is shown, in milliseconds. */
const SHOWN = 10_000;

openScene({ mesh: true });

/** Sees that what is killed is shown so on a page that is open, soon enough; tells how soon. */
async function isShown(what, kill, shown) {
  const began = performance.now();
  await kill();
  await shown.waitFor({ timeout: SHOWN - (performance.now() - began) });
  console.log(`the loss of ${what} is shown after ${Math.round(performance.now() - began)} ms`);
}

test("each loss is seen in the console within ten seconds", async () => {
  const { page: fleet } = await signIn("admin", "/fleet");
  const { page: overview } = await signIn("admin", "/");
  await fleet.getByText("2 of 2 connected").waitFor();
  const figure = (name) => overview.locator(".figures li", { hasText: name }).locator(".mood");
  const reads = (name, figures) => figure(name).getByText(figures, { exact: true });
  await reads("nodes that you may see", "2").waitFor();
  await reads("with an application that does not answer", "0").waitFor();

  const silent = fleet.getByText(/its application does not answer on port \d+/);
  assert.equal(await silent.count(), 0);
  await isShown("an application", () => shop.end("catalog-v1"), silent);
  await reads("with an application that does not answer", "1").waitFor({ timeout: SHOWN });

  await picture(fleet, "fleet");
  await isShown("a proxy", () => shop.end("mesh"), reads("not connected", "1"));
  const away = reads("not connected", "2");
  await isShown("a gateway that is cut off", () => shop.freeze("gateway"), away);
  shop.thaw("gateway");
  await reads("not connected", "1").waitFor({ timeout: SHOWN });
  await isShown("a gateway", () => shop.end("gateway"), away);
  await fleet.getByText("0 of 2 connected").waitFor({ timeout: SHOWN });
  const lost = overview.locator("[data-live=lost]");
  await isShown("a server that hangs", () => shop.hang(), lost);
  shop.goOn();
  await overview.locator("[data-live=live]").waitFor({ timeout: SHOWN });
  await isShown("the server", () => shop.kill(), lost);
});
