// Other backends reach clients through a Redis Cluster: npm's emitter by two clients of Redis, Python's
// manager, and Node servers with the classic and with the sharded adapter.
//
//   node emitters-cluster.mjs REDIS_URL,REDIS_URL,... SECOND_NODE_URL
//
// PORCHLIGHT_URL is the first of two nodes with one database and one Redis Cluster.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import adapterPackage from '@socket.io/redis-adapter';
import emitterPackage from '@socket.io/redis-emitter';
import { Cluster, Redis } from 'ioredis';
import { createCluster } from 'redis';
import { Server } from 'socket.io';
import { check, person, waitFor } from './lib.mjs';
import { emitByPython } from './python.mjs';

const [servers, second] = [process.argv[2].split(','), process.argv[3]];

/** What was published and is not confirmed: nobody who emits waits for that. */
let publishing = [];

function watched(client) {
  for (const name of ['publish', 'spublish']) {
    const publish = client[name]?.bind(client);
    client[name] = (...args) => {
      const done = publish(...args);
      publishing.push(done);
      return done;
    };
  }
  return client;
}

const connect = (options) => watched(new Cluster(servers, options));
const single = servers.map((url) => new Redis(url));
const nodeRedis = watched(createCluster({ rootNodes: servers.map((url) => ({ url })) }));
nodeRedis.on('error', () => {});
await nodeRedis.connect();

const [ann, ben] = [await person('ann'), await person('ben')];
const phone = await ann.connect();
const laptop = await ann.connect({ gateway: second });
const tablet = await ben.connect({ gateway: second });
const everyone = [phone, laptop, tablet];
const room = `user:${ann.id}`;

let marks = 0;

/**
 * How often each heard what was emitted. Each server of the cluster passes on in order what is
 * published at it, so after a mark that was published at each everything from before is there.
 */
async function heardBy(emit, event = 'order') {
  for (const client of everyone) client.forget();
  await emit();
  await Promise.all(publishing.splice(0));
  for (const server of single) {
    marks += 1;
    const mark = marks;
    await server.publish('socketio', JSON.stringify({ method: 'emit', event: 'mark', data: [mark], namespace: '/' }));
    await Promise.all(everyone.map((client) => client.next('mark', (n) => n === mark)));
  }
  return everyone.map((client) => client.heard(event).length);
}

for (const [name, client] of [['redis', nodeRedis], ['ioredis', connect()]]) {
  const emitter = new emitterPackage.Emitter(client);
  await check(`npm's emitter over ${name}`, async () => {
    assert.deepEqual(await heardBy(() => emitter.to(room).emit('order')), [1, 1, 0]);
    assert.deepEqual(await heardBy(() => emitter.emit('order')), [1, 1, 1]);
    assert.deepEqual(await heardBy(() => emitter.except(room).emit('order')), [0, 0, 1]);
    assert.deepEqual(await heardBy(() => emitter.to(laptop.socket.id).emit('order')), [0, 1, 0]);
    emitter.in(tablet.socket.id).socketsJoin('news');
    await waitFor(async () => (await heardBy(() => emitter.to('news').emit('order'))).join() === '0,0,1', 'the room');
    emitter.in('news').socketsLeave('news');
    await waitFor(async () => (await heardBy(() => emitter.to('news').emit('order'))).join() === '0,0,0', 'the room to be left');
  });
}

await check("Python's manager, by any one server", async () => {
  for (const url of servers) {
    assert.deepEqual(await heardBy(() => emitByPython(url, 'order', room)), [1, 1, 0]);
  }
});

await check('a Node server with the classic adapter', async () => {
  const node = new Server(createServer().listen(0), { adapter: adapterPackage.createAdapter(connect(), connect()) });
  await waitFor(async () => (await node.of('/').adapter.serverCount()) === 3, 'three servers');
  assert.deepEqual(await heardBy(() => node.to(room).emit('order')), [1, 1, 0]);
  for (const client of everyone) client.socket.on('question', (n, reply) => reply(n + 1));
  const start = performance.now();
  const ids = (await node.fetchSockets()).map((s) => s.id);
  assert.deepEqual(ids.sort(), everyone.map((c) => c.socket.id).sort());
  assert.deepEqual(await node.timeout(10_000).emitWithAck('question', 1), [2, 2, 2]);
  assert.deepEqual(await node.serverSideEmitWithAck('who is there'), [null, null]);
  assert.ok(performance.now() - start < 4000, 'nobody waited for answers in vain');
});

await check('a Node server with the sharded adapter is neither heard nor held up', async () => {
  const node = new Server(createServer().listen(0), { adapter: adapterPackage.createShardedAdapter(connect(), connect({ shardedSubscribers: true })) });
  await waitFor(async () => (await node.of('/').adapter.serverCount()) === 1, 'the server to count itself');
  assert.deepEqual(await heardBy(() => node.to(room).emit('order')), [0, 0, 0]);
  assert.deepEqual(await heardBy(() => node.emit('order')), [0, 0, 0]);
  const start = performance.now();
  assert.deepEqual(await node.fetchSockets(), []);
  assert.ok(performance.now() - start < 2000, 'it waits for nobody');
  assert.deepEqual(await heardBy(() => new emitterPackage.Emitter(nodeRedis).to(room).emit('order')), [1, 1, 0]);
});

console.log('# emitters over a Redis Cluster: all good');
process.exit(0);
