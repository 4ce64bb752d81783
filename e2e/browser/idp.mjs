// A login provider of its own, in which anybody signs in under any name.

import { once } from "node:events";
import { createServer } from "node:http";

import Provider from "oidc-provider";

/** The secret of the one client. */
export const SECRET = "heddle-and-reed-in-one";

/**
 * Starts a provider on a free port; its host ends in `localhost`, so that each has its own cookies.
 * Everybody in it is in `groups`. Who logs out there may be sent back to `home`.
 */
export async function startProvider(host, { back, groups, home }) {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const issuer = `http://${host}:${server.address().port}`;
  const client = { client_id: "heddle", client_secret: SECRET, redirect_uris: [back] };
  if (home) client.post_logout_redirect_uris = [home];
  const provider = new Provider(issuer, {
    clients: [client],
    claims: { openid: ["sub"], profile: ["preferred_username", "groups"], email: ["email"] },
    conformIdTokenClaims: false,
    cookies: { keys: ["of one run"] },
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({ sub: id, preferred_username: id, groups }),
    }),
  });
  server.on("request", provider.callback());
  return {
    issuer,
    async stop() {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}
