// Other backends and clients while Redis is restarted, hangs, or is out of reach for one node: when
// the nodes say that they are ready again, what is emitted arrives once, and requests are answered.
//
//   node emitters-outage.mjs REDIS_URL SECOND_NODE_URL
//
// PORCHLIGHT_URL is the first of two nodes with one database and one Redis, CLUSTER_OPS where their
// operators look. What should happen is printed as `do redis stop`, for whoever runs this.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import adapterPackage from '@socket.io/redis-adapter';
import emitterPackage from '@socket.io/redis-emitter';
import { createClient } from 'redis';
import { Server } from 'socket.io';
import { check, counted, person, waitFor } from './lib.mjs';
import { emitByPython } from './python.mjs';

const [redisUrl, second] = process.argv.slice(2);
const OPS = process.env.CLUSTER_OPS.split(',');

/** A client of Redis that comes back by itself. */
async function connect() {
  const client = createClient({ url: redisUrl, socket: { reconnectStrategy: 50 } });
  client.on('error', () => {});
  return client.connect();
}

const redis = await connect();
const emitter = new emitterPackage.Emitter(redis);
const node = new Server(createServer().listen(0), { adapter: adapterPackage.createAdapter(await connect(), await connect()) });

const [ann, ben] = [await person('ann'), await person('ben')];
const phone = await ann.connect();
const laptop = await ann.connect({ gateway: second });
const tablet = await ben.connect({ gateway: second });
const everyone = [phone, laptop, tablet];
const room = `user:${ann.id}`;
for (const client of everyone) client.socket.on('question', (n, reply) => reply(n + 1));

const status = async (n) => (await (await fetch(`${OPS[n]}/ready`)).json()).status;
const become = (n, wanted) => waitFor(async () => (await status(n)) === wanted, `node ${n} to be ${wanted}`, 60_000);
const both = (wanted) => Promise.all([become(0, wanted), become(1, wanted)]);

const heardBy = counted(everyone, emitter);

/** Everything works, each thing once. */
async function whole() {
  await waitFor(() => redis.isReady, 'the emitter to be connected');
  assert.deepEqual(await heardBy(() => emitter.to(room).emit('order')), [1, 1, 0]);
  assert.deepEqual(await heardBy(() => emitter.emit('order')), [1, 1, 1]);
  assert.deepEqual(await heardBy(() => emitter.to(laptop.socket.id).emit('order')), [0, 1, 0]);
  assert.deepEqual(await heardBy(() => emitter.to('news').emit('order')), [0, 0, 1]);
  assert.deepEqual(await heardBy(() => emitByPython(redisUrl, 'order', room)), [1, 1, 0]);
  const servers = () => node.of('/').adapter.serverCount().catch(() => 0);
  await waitFor(async () => (await servers()) === 3, 'three servers');
  assert.deepEqual(await heardBy(() => node.to(room).emit('order')), [1, 1, 0]);
  const start = performance.now();
  assert.deepEqual((await node.fetchSockets()).map((s) => s.id).sort(), everyone.map((c) => c.socket.id).sort());
  assert.deepEqual(await node.timeout(10_000).emitWithAck('question', 1), [2, 2, 2]);
  assert.deepEqual(await node.serverSideEmitWithAck('who is there'), [null, null]);
  assert.ok(performance.now() - start < 4000, 'nobody waited for answers in vain');
  assert.ok(everyone.every((client) => client.socket.connected), 'no connection was lost');
}

await check('all is well', async () => {
  emitter.in(tablet.socket.id).socketsJoin('news');
  await waitFor(async () => (await heardBy(() => emitter.to('news').emit('order')))[2] === 1, 'the room');
  await whole();
});

for (const times of ['once', 'twice']) {
  await check(`Redis restarted empty, ${times}`, async () => {
    console.log('do redis stop');
    await both('degraded');
    console.log('do redis start');
    await both('ready');
    await whole();
  });
}

await check('Redis that hangs', async () => {
  console.log('do redis pause');
  await both('degraded');
  console.log('do redis resume');
  await both('ready');
  await whole();
});

await check('one node cut off, while emits go on', async () => {
  console.log('do line 1 cut');
  await become(1, 'degraded');
  assert.equal(await status(0), 'ready');
  phone.forget();
  for (let n = 0; n < 20; n += 1) emitter.to(room).emit('step', n);
  await phone.next('step', (n) => n === 19);
  assert.equal(phone.heard('step').length, 19);
  console.log('do line 1 mend');
  await become(1, 'ready');
  await whole();
});

console.log('# emitters through outages: all good');
process.exit(0);
