// Whatever a client sends in whichever dialect: it is refused with a code in the dialect's own
// shape, as an ack or as an event, counted, and the connection stays.
//
//   node hostile.mjs
//
// The limits on events are out of the way, and PORCHLIGHT_OPS_PORT is the gateway's.

import assert from 'node:assert/strict';
import { cast, check } from './lib.mjs';

const OPS = `http://127.0.0.1:${process.env.PORCHLIGHT_OPS_PORT ?? 4001}`;

/**
 * By dialect: the greeting; what a refusal looks like as an ack and as an event; and every event
 * with arguments that are right, as they are for `id`.
 */
const DIALECTS = {
  standard: {
    greeting: 'connected',
    refusal: ({ ok, error }) => ok === false && error,
    error: ['error', (e) => e],
    said: (id) => ({
      'message:send': [{ conversationId: id, content: 'x' }],
      'message:read': [{ conversationId: id }],
      'message:delivered': [{ conversationId: id }],
      'typing:start': [{ conversationId: id }],
      'typing:stop': [{ conversationId: id }],
      'conversation:join': [{ conversationId: id }],
      'conversation:leave': [{ conversationId: id }],
      'conversation:sync': [{ conversations: { [id]: 0 } }],
    }),
  },
  platform: {
    greeting: 'connection:success',
    refusal: ({ success, error, code }) => success === false && { message: error, code },
    error: ['error', (e) => e],
    said: (id) => ({
      'conversation:join': [{ conversationId: id }],
      'conversation:leave': [{ conversationId: id }],
      'message:send': [{ conversationId: id, content: 'x' }],
      'message:read': [{ conversationId: id }],
      'typing:start': [{ conversationId: id }],
      'typing:stop': [{ conversationId: id }],
    }),
  },
  inkspot: {
    greeting: null,
    refusal: ({ success, error, code }) => success === false && { message: error, code },
    error: ['message-error', ({ error, code }) => ({ message: error, code })],
    said: (id) => ({
      'join-conversation': [{ conversationId: id }],
      'leave-conversation': [{ conversationId: id }],
      'send-message': [{ conversationId: id, content: 'x', messageType: 'text' }],
      'mark-message-read': [{ conversationId: id }],
      'typing-start': [{ conversationId: id }],
      'typing-stop': [{ conversationId: id }],
    }),
  },
};

DIALECTS.threads = {
  ...DIALECTS.standard,
  greeting: 'connection_status',
  said: (id) => ({
    join_message_thread: [{ threadId: id }],
    leave_message_thread: [{ threadId: id }],
    send_message: [{ messageId: id, message: 'x' }],
    typing_start: [{ messageId: id }],
    typing_stop: [{ messageId: id }],
    mark_message_read: [{ messageId: id }],
  }),
};

const nested = (depth, inner) => {
  let value = inner;
  for (let i = 0; i < depth; i += 1) value = i % 2 ? [value] : { data: value };
  return value;
};
const DEEP = nested(2000, 1);
const HALF = 'a\ud83d';
/** An object that has `__proto__` as a member of its own, as only JSON can write it. */
const inheriting = (members) => JSON.parse(`{"__proto__":${JSON.stringify(members)}}`);

/** Arguments that no event takes, made of those that it does. */
const nonsense = (right) => {
  const fields = Object.keys(right);
  const each = (value) => fields.map((field) => [{ ...right, [field]: value }]);
  return [
    [],
    [null],
    [7],
    [true],
    [[]],
    [[[]]],
    [{}],
    ['no id, surely'],
    [''],
    [HALF],
    ['x'.repeat(100_000)],
    [DEEP],
    [Array(5000).fill('m')],
    [inheriting(right)],
    [{ constructor: { prototype: right }, prototype: right }],
    [null, right],
    [{ ...right, [HALF]: 1 }],
    ...each(['x']),
    ...each(DEEP),
    ...each({ $ne: 1 }),
    ...each(HALF),
    ...each(-1.5),
  ];
};

/** What is beside the point changes nothing. */
const besides = (right) => [
  [{ ...right, extra: DEEP, constructor: { prototype: {} }, toString: 'x', hasOwnProperty: null }],
  [Object.assign(inheriting({ conversationId: 'never-was', content: 7 }), right)],
  [{ ...right, half: HALF, ['k'.repeat(10_000)]: 'v'.repeat(100_000) }],
  [right, ...Array(500).fill({ x: 1 })],
];

/** How many refusals the gateway has counted. */
async function counted() {
  const text = await (await fetch(`${OPS}/metrics`)).text();
  const lines = text.split('\n').filter((line) => line.startsWith('porchlight_events_refused_total{'));
  return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

const CODES = ['invalid', 'too_large', 'forbidden', 'not_found'];
const coded = (error, what) => {
  assert.ok(error && CODES.includes(error.code), `${what}: ${JSON.stringify(error)}`);
  assert.ok(typeof error.message === 'string' && error.message.length < 1000, what);
};

for (const [dialect, { greeting, refusal, error: [event, read], said }] of Object.entries(DIALECTS)) {
  await check(`${dialect}: nonsense is refused, counted, and survived`, () =>
    cast(['alice', 'bob'], async (alice, bob) => {
      const { id } = await alice.direct(bob);
      const a = await alice.connect({ greeting, auth: { token: alice.token, dialect } });
      const before = { socket: a.socket.id, count: await counted() };
      let refused = 0;
      for (const [name, [right]] of Object.entries(said(id))) {
        for (const args of nonsense(right)) {
          const what = `${name} ${JSON.stringify(args).slice(0, 100)}`;
          coded(refusal(await a.raw(name, ...args)), what);
          a.forget();
          a.socket.emit(name, ...args);
          coded(read(await a.next(event)), `${what} without an ack`);
          refused += 2;
        }
      }
      assert.equal((await counted()) - before.count, refused, 'each is counted');
      assert.equal(a.socket.id, before.socket, 'the same connection');
      assert.deepEqual(await alice.history(id), []);
    }));

  await check(`${dialect}: what is beside the point changes nothing`, () =>
    cast(['alice', 'bob'], async (alice, bob) => {
      const { id } = await alice.direct(bob);
      const a = await alice.connect({ greeting, auth: { token: alice.token, dialect } });
      for (const [name, [right]] of Object.entries(said(id))) {
        for (const args of besides(right)) await a.done(name, ...args);
      }
      const contents = (await alice.history(id)).map((m) => m.content);
      assert.deepEqual([...new Set(contents)], ['x']);
    }));

  await check(`${dialect}: names of JavaScript's own are no events`, () =>
    cast(['alice'], async (alice) => {
      const a = await alice.connect({ greeting, auth: { token: alice.token, dialect } });
      const before = a.socket.id;
      for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty', '', 'x'.repeat(10_000)]) {
        coded(refusal(await a.raw(name, { x: 1 })), name.slice(0, 20));
        a.socket.emit(name, { x: 1 });
      }
      await a.fence();
      assert.equal(a.heard(event).length, 0, 'without an ack nobody waits for an answer');
      assert.equal(a.socket.id, before);
    }));
}

console.log('# hostile: all good');
process.exit(0);
