// Pictures of every page of the demo that runs, in both themes, wide and on a phone.
//
//   node pictures.mjs UP_JSON FOLDER

import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";

import { openBrowser } from "./browser.mjs";

const PAGES = {
  "sign-in": "/sign-in",
  overview: "/",
  apis: "/apis",
  api: "/apis/bookshop/catalog",
  policies: "/policies",
  policy: "/policies/bookshop/catalog",
  teams: "/teams",
  team: "/teams/catalog",
  workspaces: "/workspaces",
  workspace: "/workspaces/bookshop",
  access: "/access",
  users: "/users",
  fleet: "/fleet",
  requests: "/requests",
  request: "/requests/REQUEST",
  changes: "/changes",
  change: "/changes/2",
  audit: "/audit",
  settings: "/settings",
};
const SIZES = { wide: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } };

/** The id of the last request that was denied, of which there is none in a demo that nobody tried. */
async function denied(page) {
  const ask = async () => (await fetch("/api/v1/requests?denied=true&limit=1")).json();
  return (await page.evaluate(ask)).items?.[0]?.id ?? "none";
}

const [, , upJson, folder] = process.argv;
const up = JSON.parse(await readFile(upJson, "utf8"));
await mkdir(folder, { recursive: true });
const browser = await openBrowser();
try {
  for (const colorScheme of ["light", "dark"]) {
    for (const [size, viewport] of Object.entries(SIZES)) {
      const { page } = await browser.open(`${up.urls.console}/sign-in`, { colorScheme, viewport });
      for (const [name, path] of Object.entries(PAGES)) {
        if (name !== "sign-in") {
          await page.goto(up.urls.console + path.replace("REQUEST", await denied(page)));
          await page.getByRole("heading", { level: 1 }).waitFor();
        }
        const file = join(folder, `${name}-${size}-${colorScheme}.png`);
        await page.screenshot({ path: file, fullPage: true });
        console.log(file);
        if (name === "sign-in") {
          await page.getByLabel("User").fill("admin");
          await page.getByLabel("Password").fill(up.adminPassword);
          await page.getByRole("button", { name: "Sign in" }).click();
          await page.locator("[data-live=live]").waitFor();
        }
      }
    }
  }
} finally {
  await browser.close();
}
