// A shop that is open and a browser before it, for the tests of one file.

import { after, before } from "node:test";

import { openBrowser } from "./browser.mjs";
import { startShop } from "./shop.mjs";

/** The shop, from the first test on. */
export let shop;

let browser;

/** Opens both before the tests, as `startShop` is told, and ends them behind them. */
export function openScene({ prepare, ...options } = {}) {
  before(async () => {
    shop = await startShop(options);
    await prepare?.();
    browser = await openBrowser();
  });
  after(async () => {
    await browser?.close();
    await shop?.stop();
  });
}

/** Signs somebody in, on the way to a page. */
export async function signIn(user, path, options = {}) {
  const opened = await browser.open(`${shop.url}${path}`, options);
  const { page } = opened;
  await page.getByLabel("User").fill(user);
  await page.getByLabel("Password").fill(shop.people[user] ?? shop.password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { level: 1 }).waitFor();
  return opened;
}

/** What a form of a page answers to what a page of it never had. */
export function forge(page, path, fields) {
  return page.evaluate(
    async ([path, fields]) => {
      const csrf = document.querySelector("input[name=csrf]").value;
      const body = new URLSearchParams({ ...fields, csrf });
      const answer = await fetch(path, { method: "POST", body, redirect: "manual" });
      return { status: answer.status, text: await answer.text() };
    },
    [path, fields],
  );
}
