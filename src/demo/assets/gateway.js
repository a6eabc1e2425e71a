// What a Chat needs besides its socket: signing in, REST, a place for what waits, and keys.

/** Signs in one of the two people: `{token, user, peer, socketPath}`. */
export const signIn = (user) => call('POST', '/demo/session', {}, { user });

/** Calls the REST interface with a token. Throws where the answer is not a success. */
export const rest = (token, method, path, body) =>
  call(method, path, { authorization: `Bearer ${token}` }, body);

async function call(method, path, headers, body) {
  const answer = await fetch(path, {
    method,
    headers: { ...headers, 'content-type': 'application/json' },
    body: body && JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`${method} ${path} failed (${answer.status})`);
  return answer.json();
}

/** What waits to be sent outlives a reload: its clientId makes sure that it is said once. */
export class Waiting {
  #key;

  constructor(name) {
    this.#key = `porchlight.demo.${name}`;
  }

  kept() {
    try {
      return JSON.parse(localStorage.getItem(this.#key)) ?? [];
    } catch {
      return [];
    }
  }

  keep(list) {
    try {
      localStorage.setItem(this.#key, JSON.stringify(list));
    } catch {
      // Without storage the queue lives as long as the page.
    }
  }
}

/** Unlike `crypto.randomUUID`, also on a plain http page of another machine. */
export function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('');
}
