// Prints session tokens made by the real NextAuth packages, as JSON.
//
// Argument: {"secret": text, "maxAge": seconds, "claims": object}
// Output: {cookie name: {"token": text, "cookies": {name: value}}}: the token that the package
// makes for that cookie, and the cookies (several if it is large) that it would set.
import { encode as encodeV5 } from "@auth/core/jwt";
import nextAuthJwt from "next-auth/jwt";
// Not exported by the packages; reached by path.
import { SessionStore as StoreV5 } from "./node_modules/@auth/core/lib/utils/cookie.js";
import cookieV4 from "./node_modules/next-auth/core/lib/cookie.js";

const { secret, maxAge, claims } = JSON.parse(process.argv[2]);
const quiet = { debug() {} };

const cookies = (store, token) =>
  Object.fromEntries(store.chunk(token, {}).map(({ name, value }) => [name, value]));

const result = {};
for (const prefix of ["", "__Secure-"]) {
  const v4 = `${prefix}next-auth.session-token`;
  const tokenV4 = await nextAuthJwt.encode({ token: claims, secret, maxAge });
  const storeV4 = new cookieV4.SessionStore({ name: v4, options: {} }, { cookies: {} }, quiet);
  result[v4] = { token: tokenV4, cookies: cookies(storeV4, tokenV4) };

  const v5 = `${prefix}authjs.session-token`;
  const tokenV5 = await encodeV5({ token: claims, secret, maxAge, salt: v5 });
  const storeV5 = new StoreV5({ name: v5, options: {} }, {}, quiet);
  result[v5] = { token: tokenV5, cookies: cookies(storeV5, tokenV5) };
}
console.log(JSON.stringify(result));
