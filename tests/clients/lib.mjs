// What the client scripts share: people with tokens, sockets that remember what they heard, REST,
// and checks that print one line each.
//
// Environment:
//   PORCHLIGHT_URL     where the gateway listens, such as http://127.0.0.1:4000
//   PORCHLIGHT_TOKENS  a JSON object of tokens by user id, where somebody else made them
//   PORCHLIGHT_BIN     the gateway's binary, which makes tokens otherwise (`porchlight token`)
//   PORCHLIGHT_PATIENCE_MS  how long to wait for what must happen
// The rest of the environment, and the working directory, should be the gateway's own.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { io } from 'socket.io-client';

/** How long to wait for what must happen, in milliseconds. */
export const PATIENCE = Number(process.env.PORCHLIGHT_PATIENCE_MS ?? 15_000);

/** Where the gateway listens. */
export const GATEWAY = process.env.PORCHLIGHT_URL ?? 'http://127.0.0.1:4000';

const run = Math.random().toString(36).slice(2, 8);

/** A user id that no earlier run used. */
export const fresh = (name) => `${name}-${run}`;

export const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** Waits until `condition()` is truthy and returns what it returned. */
export async function waitFor(condition, what, ms = PATIENCE) {
  const deadline = performance.now() + ms;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (performance.now() > deadline) throw new Error(`waited ${ms} ms for ${what}`);
    await pause(5);
  }
}

// --- identity ---

const tokens = JSON.parse(process.env.PORCHLIGHT_TOKENS ?? '{}');
const exec = promisify(execFile);

/** The gateway's own environment: it refuses PORCHLIGHT_ names that it does not know. */
const SCRIPTS_OWN = /^PORCHLIGHT_(URL|BIN|TOKENS|PATIENCE_MS)$/;
const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !SCRIPTS_OWN.test(name)));

/** A token of that user. */
export async function token(user, name) {
  if (tokens[user]) return tokens[user];
  const binary = process.env.PORCHLIGHT_BIN;
  assert.ok(binary, `no token for ${user}: set PORCHLIGHT_TOKENS or PORCHLIGHT_BIN`);
  const { stdout } = await exec(binary, ['token', '--user', user, '--name', name ?? user], { env });
  const text = stdout.trim();
  assert.match(text, /^[\w-]+\.[\w-]+\.[\w-]+$/, '`porchlight token` prints the token alone');
  return text;
}

// --- REST ---

/** An answer of the REST interface that is not a success. */
export class RestError extends Error {
  constructor(method, path, status, body) {
    super(`${method} ${path}: ${status} ${JSON.stringify(body)}`);
    this.status = status;
    this.body = body;
    this.code = body?.code;
  }
}

/** Calls the REST interface as the owner of `bearer`; waits out 429. */
export async function rest(bearer, method, path, body) {
  for (let tries = 0; ; tries += 1) {
    const answer = await fetch(GATEWAY + path, {
      method,
      headers: {
        ...(bearer && { authorization: `Bearer ${bearer}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await answer.text();
    const parsed = text ? JSON.parse(text) : undefined;
    if (answer.status === 429 && tries < 50) {
      await pause(parsed?.retryAfterMs ?? 1000);
      continue;
    }
    if (!answer.ok) throw new RestError(method, path, answer.status, parsed);
    return parsed;
  }
}

// --- acks: dialects answer `ok` or `success`, with the error's code inside the error or beside it ---

const accepted = (answer) => answer?.ok ?? answer?.success;
const fault = (answer) => (typeof answer?.error === 'object' ? answer.error : answer);

// --- sockets ---

/** A connected socket that remembers every event until somebody takes it. */
export class Client {
  constructor(socket, who) {
    this.socket = socket;
    this.who = who;
    this.log = [];
    socket.onAny((event, ...args) => this.log.push({ event, args }));
  }

  /** The remembered events of that name that match, without taking them. */
  heard(event, match = () => true) {
    return this.log.filter((e) => e.event === event && match(...e.args)).map((e) => e.args[0]);
  }

  /** Takes the earliest event of that name that matches, waiting for it. */
  async next(event, match = () => true, ms = PATIENCE) {
    const found = () => this.log.findIndex((e) => e.event === event && match(...e.args));
    const what = () => `${event} at ${this.who}; heard ${JSON.stringify(this.log).slice(0, 1500)}`;
    try {
      await waitFor(() => found() >= 0, event, ms);
    } catch {
      throw new Error(`waited ${ms} ms for ${what()}`);
    }
    return this.log.splice(found(), 1)[0].args[0];
  }

  /** Forgets what was heard so far. */
  forget() {
    this.log.length = 0;
  }

  /** Emits and returns the ack as it came. */
  raw(event, ...args) {
    return new Promise((resolve, reject) => {
      const late = setTimeout(
        () => reject(new Error(`no ack to ${event} of ${this.who} within ${PATIENCE} ms`)),
        PATIENCE,
      );
      this.socket.emit(event, ...args, (answer) => {
        clearTimeout(late);
        resolve(answer);
      });
    });
  }

  /** Emits and returns the ack; asked to slow down, it waits as told and tries again. */
  async ask(event, ...args) {
    for (;;) {
      const answer = await this.raw(event, ...args);
      if (fault(answer)?.code !== 'rate_limited') return answer;
      await pause(fault(answer).retry_after_ms);
    }
  }

  /** Emits, and fails unless the ack says that it was done. */
  async done(event, ...args) {
    const answer = await this.ask(event, ...args);
    assert.equal(accepted(answer), true, `${event} of ${this.who}: ${JSON.stringify(answer)}`);
    return answer;
  }

  /** Emits, and fails unless the ack is a refusal with one of these codes. */
  async refused(codes, event, ...args) {
    const answer = await this.ask(event, ...args);
    assert.equal(accepted(answer), false, `${event} of ${this.who} was not refused: ${JSON.stringify(answer)}`);
    const error = fault(answer);
    assert.ok([codes].flat().includes(error.code), `${event}: ${JSON.stringify(answer)}`);
    assert.equal(typeof (error.message ?? error.error), 'string');
    return error;
  }

  /**
   * Once this returns, everything that the server sent to this socket before is in the log: the
   * ack of an event, even of an unknown one, comes after it.
   */
  async fence() {
    await this.raw('test:fence');
  }

  close() {
    this.socket.disconnect();
  }
}

/** A user with a token, a REST interface and any number of devices. */
export class Person {
  constructor(id, name, bearer) {
    Object.assign(this, { id, name, token: bearer, clients: [] });
  }

  get(path) {
    return rest(this.token, 'GET', path);
  }
  post(path, body = {}) {
    return rest(this.token, 'POST', path, body);
  }
  patch(path, body) {
    return rest(this.token, 'PATCH', path, body);
  }
  delete(path) {
    return rest(this.token, 'DELETE', path);
  }

  /** The direct conversation with another person. */
  async direct(other) {
    return (await this.post('/api/conversations', { otherUserId: other.id })).conversation;
  }

  /** A new group with these people. */
  async group(title, ...others) {
    const participantIds = others.map((o) => o.id);
    return (await this.post('/api/conversations', { title, isGroup: true, participantIds })).conversation;
  }

  /** Every message of a conversation, by REST. */
  async history(conversationId) {
    const all = [];
    for (let hasMore = true; hasMore; ) {
      const after = all.at(-1)?.seq ?? 0;
      const path = `/api/conversations/${conversationId}/messages?after=${after}&limit=200`;
      const page = await this.get(path);
      assert.ok(page.messages.length > 0 || !page.hasMore, 'a page with more to come is not empty');
      all.push(...page.messages);
      hasMore = page.hasMore;
    }
    return all;
  }

  /**
   * Connects one more device. `onConnect(socket)` runs in the client's own connect callback.
   * `make` is the `io` of another version of the client. `greeting` is the event that the
   * connection's dialect greets with, null if it does not. `gateway` is the URL of another node. With
   * `patient` the client may need several tries.
   */
  async connect({ transports = ['websocket'], onConnect, make = io, greeting = 'connected', gateway = GATEWAY, patient = false, ...options } = {}) {
    const socket = make(gateway, {
      transports,
      auth: { token: this.token },
      forceNew: true,
      reconnectionDelay: 20,
      reconnectionDelayMax: 200,
      ...options,
    });
    const client = new Client(socket, this.id);
    this.clients.push(client);
    if (onConnect) socket.on('connect', () => onConnect(socket));
    await new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`${this.id} did not connect`)), PATIENCE);
      socket.once('connect', () => (clearTimeout(late), resolve()));
      if (!patient) socket.once('connect_error', (e) => (clearTimeout(late), reject(e)));
    });
    // With the greeting, or the answer to an event, the connection is live: what happens to others
    // from now on is heard.
    if (greeting) await waitFor(() => client.heard(greeting).length > 0, `the greeting of ${this.id}`);
    else await client.fence();
    return client;
  }

  /** Closes all devices. */
  close() {
    for (const client of this.clients.splice(0)) client.close();
  }
}

/** The cookie of a NextAuth session, made by the real package with the secret in NEXTAUTH_SECRET. */
export async function session(user, name) {
  const claims = { sub: user, name, email: `${user}@example.org` };
  const request = { secret: process.env.NEXTAUTH_SECRET, maxAge: 3600, claims };
  const cwd = new URL('nextauth/', import.meta.url);
  const { stdout } = await exec(process.execPath, ['tokens.mjs', JSON.stringify(request)], { cwd });
  const { cookies } = JSON.parse(stdout)['next-auth.session-token'];
  return Object.entries(cookies).map(([key, value]) => `${key}=${value}`).join('; ');
}

/** A person with an id of their own in this run. */
export async function person(name) {
  const id = fresh(name);
  return new Person(id, name, await token(id, name));
}

let group = 0;

/** Runs `scene` with new people of these names and closes their sockets afterwards. */
export async function cast(names, scene) {
  group += 1;
  const people = await Promise.all(names.map((name) => person(`${name}${group}`)));
  try {
    await scene(...people);
  } finally {
    for (const someone of people) someone.close();
  }
}

/**
 * How often each of `clients` hears what is emitted. After the emit comes another to everybody: whoever heard
 * the second has the first.
 */
export function counted(clients, emitter) {
  let marks = 0;
  return async (emit, event = 'order') => {
    for (const client of clients) client.forget();
    await emit();
    marks += 1;
    const mark = marks;
    emitter.emit('mark', mark);
    await Promise.all(clients.map((client) => client.next('mark', (n) => n === mark)));
    return clients.map((client) => client.heard(event).length);
  };
}

// --- checks ---

/** Runs one check and says how it went; the first failure ends the script. */
export async function check(name, body) {
  try {
    await body();
    console.log(`ok ${name}`);
  } catch (error) {
    console.error(`not ok ${name}\n${error.stack}`);
    process.exit(1);
  }
}
