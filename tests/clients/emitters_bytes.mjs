// What the real npm packages put on Redis, and what a Node server would make of it, one JSON object
// a line: {what, channel, payload (base64), heard: [text packet, ...binary (base64)]}.
//
// The packages write to a client that keeps what is published; nothing here needs a server.

import adapterPackage from '@socket.io/redis-adapter';
import emitterPackage from '@socket.io/redis-emitter';
import { appendFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const notepack = require('notepack.io');
const { Encoder } = require('socket.io-parser');

const base64 = (bytes) => Buffer.from(bytes).toString('base64');

function print(what, channel, payload, heard) {
  // At once: the script ends without waiting for the adapter's timers.
  appendFileSync(1, `${JSON.stringify({ what, channel, payload: base64(payload), heard })}\n`);
}

/** As the adapter of another server reads a broadcast and hands it to its clients' encoder. */
function heardByClients(payload) {
  const [, packet] = notepack.decode(payload);
  return new Encoder().encode(packet).map((part) => (typeof part === 'string' ? part : base64(part)));
}

let what;
const emitter = new emitterPackage.Emitter({
  publish(channel, payload) {
    const broadcast = typeof payload !== 'string';
    print(what, channel, payload, broadcast ? heardByClients(payload) : undefined);
  },
});

const bytes = Buffer.from([0, 1, 2, 254, 255]);
const cases = {
  plain: () => emitter.emit('hello', 'w', 1),
  'no arguments': () => emitter.emit('hello'),
  'one room': () => emitter.to('user:1').emit('hello', {}),
  'a room with #': () => emitter.to('a#b').emit('hello', 1),
  'two rooms': () => emitter.to(['user:1', 'user:2']).emit('hello', 1),
  'a numeric room': () => emitter.to(42).emit('hello', 1),
  'two numeric rooms': () => emitter.to([42, 43]).emit('hello', 1),
  except: () => emitter.to('a').except(['b', 'c']).emit('hello', 1),
  'everybody except': () => emitter.except('b').emit('hello', 1),
  volatile: () => emitter.volatile.to('a').emit('hello', 1),
  'not compressed': () => emitter.compress(false).to('a').emit('hello', 'x'.repeat(3000)),
  values: () =>
    emitter.emit('values', null, true, false, 0, 127, 128, 255, 256, 65535, 65536, 4294967296, -1,
      -32, -33, -128, -129, -32769, -2147483649, 2 ** 53, 0.1, -1.5e-7, '', 'é🏮', [], {},
      [[1, [2]]], { a: { b: [] }, 'ключ': 1 }),
  oddities: () =>
    emitter.emit('odd', undefined, NaN, Infinity, new Date(1700000000123), new Date(-1),
      new Date(4e12), { u: undefined, n: null, d: new Date(0) }, [undefined], { 7: 'seven' }),
  long: () => emitter.emit('long', 'x'.repeat(31), 'y'.repeat(32), 'z'.repeat(256), 'w'.repeat(70000),
    Array.from({ length: 20 }, (_, n) => n), Array.from({ length: 70000 }, () => 1),
    Object.fromEntries(Array.from({ length: 20 }, (_, n) => [`k${n}`, n]))),
  binary: () => emitter.to('user:1').emit('file', bytes, { name: 'a', parts: [bytes, new Uint8Array(300)] }),
  'an ArrayBuffer': () => emitter.emit('file', new Uint8Array([1, 2, 3]).buffer),
  'no binary': () => emitter.emit('file', { _placeholder: true, num: 0 }),
  socketsJoin: () => emitter.in('a').socketsJoin(['r1', 'r2']),
  socketsLeave: () => emitter.in('a').except('b').socketsLeave('r1'),
  disconnectSockets: () => emitter.in('a').disconnectSockets(true),
  serverSideEmit: () => emitter.serverSideEmit('hello', 'world'),
  'another namespace': () => emitter.of('/admin').emit('hello', 1),
};
for (const [name, run] of Object.entries(cases)) {
  what = name;
  run();
}

// --- the adapter, whose requests only a server sends ---

class Nsp {
  name = '/';
  sockets = new Map();
  server = { encoder: new Encoder() };
  _ids = 0;
}
const silent = { on() {}, listenerCount: () => 1, psubscribe() {}, subscribe() {} };
const published = [];
const client = {
  ...silent,
  publish: (channel, payload) => published.push({ channel, payload: Buffer.from(payload) }),
  // Five servers listen, so that the adapter asks them.
  pubSub: () => {},
  send_command: (_command, _args, done) => done(null, [0, 5]),
};
const adapter = adapterPackage.createAdapter(client, silent)(new Nsp());
adapter.serverCount = async () => 5;
const opts = { rooms: new Set(['a']), except: new Set(['b']), flags: { timeout: 250 } };
const asked = [
  ['fetchSockets', () => adapter.fetchSockets(opts)],
  ['allRooms', () => adapter.allRooms()],
  ['emitWithAck', () => adapter.broadcastWithAck({ type: 2, data: ['hello', bytes] }, opts, () => {}, () => {})],
  ['serverSideEmit with an ack', () => adapter.serverSideEmit(['hello', 1, () => {}])],
];
for (const [name, ask] of asked) {
  Promise.resolve(ask()).catch(() => {});
  await new Promise((done) => setImmediate(done));
  for (const { channel, payload } of published.splice(0)) print(name, channel, payload);
}
process.exit(0);
