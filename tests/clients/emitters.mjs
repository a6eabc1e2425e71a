// Other backends reach clients through Redis with unmodified npm packages: @socket.io/redis-emitter,
// and a Node server with @socket.io/redis-adapter.
//
//   node emitters.mjs REDIS_URL SECOND_NODE_URL
//
// PORCHLIGHT_URL is the first of two nodes with one database and one Redis.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import adapterPackage from '@socket.io/redis-adapter';
import emitterPackage from '@socket.io/redis-emitter';
import { Redis } from 'ioredis';
import { createClient } from 'redis';
import { Server } from 'socket.io';
import { check, counted, pause, person, waitFor } from './lib.mjs';

const [redisUrl, second] = process.argv.slice(2);

const redis = await createClient({ url: redisUrl }).connect();
const ioredis = new Redis(redisUrl);
const emitter = new emitterPackage.Emitter(redis);

// One user with a phone on one node and a laptop on the other, one with a tablet that polls.
const [ann, ben] = [await person('ann'), await person('ben')];
const phone = await ann.connect();
const laptop = await ann.connect({ gateway: second });
const tablet = await ben.connect({ gateway: second, transports: ['polling'] });
const everyone = [phone, laptop, tablet];
const conversation = await ann.direct(ben);
for (const client of [phone, tablet]) await client.done('conversation:join', conversation.id);
const annsRoom = `user:${ann.id}`;
const room = `conversation:${conversation.id}`;

const heardBy = counted(everyone, emitter);

/** Until the change of a room has arrived: an emit right behind it may be faster. */
async function settled(name, expected) {
  const members = async () => (await heardBy(() => emitter.to(name).emit('order'))).join();
  await waitFor(async () => (await members()) === expected, `${expected} in ${name}`);
}

await check('a user, on all devices and nodes, once', async () => {
  assert.deepEqual(await heardBy(() => emitter.to(annsRoom).emit('order', { paid: 7.5, 'ключ': ['é🏮'] }, 2)), [1, 1, 0]);
  const [{ args }] = phone.log.filter((e) => e.event === 'order');
  assert.deepEqual(args, [{ paid: 7.5, 'ключ': ['é🏮'] }, 2]);
  assert.deepEqual(laptop.log[0].args, args);
});

await check('a conversation: those who joined it', async () => {
  assert.deepEqual(await heardBy(() => emitter.to(room).emit('order')), [1, 0, 1]);
});

await check('one connection by its id', async () => {
  assert.deepEqual(await heardBy(() => emitter.to(laptop.socket.id).emit('order')), [0, 1, 0]);
  assert.deepEqual(await heardBy(() => emitter.to(tablet.socket.id).emit('order')), [0, 0, 1]);
});

await check('everybody, and nobody', async () => {
  assert.deepEqual(await heardBy(() => emitter.emit('order')), [1, 1, 1]);
  assert.deepEqual(await heardBy(() => emitter.to('user:nobody').emit('order')), [0, 0, 0]);
  assert.deepEqual(await heardBy(() => emitter.of('/admin').emit('order')), [0, 0, 0]);
});

await check('several rooms, each connection once', async () => {
  assert.deepEqual(await heardBy(() => emitter.to([annsRoom, room, phone.socket.id]).emit('order')), [1, 1, 1]);
});

await check('except rooms and connections', async () => {
  assert.deepEqual(await heardBy(() => emitter.to(room).except(annsRoom).emit('order')), [0, 0, 1]);
  assert.deepEqual(await heardBy(() => emitter.to(annsRoom).except(phone.socket.id).emit('order')), [0, 1, 0]);
  assert.deepEqual(await heardBy(() => emitter.except([room, 'nobody']).emit('order')), [0, 1, 0]);
});

await check('binary data, over both transports', async () => {
  const bytes = Buffer.from([0, 1, 2, 254, 255]);
  const large = Buffer.alloc(70_000, 7);
  assert.deepEqual(await heardBy(() => emitter.emit('file', bytes, { name: 'a', parts: [large, bytes] }, 'x'), 'file'), [1, 1, 1]);
  for (const client of everyone) {
    const [{ args }] = client.log.filter((e) => e.event === 'file');
    assert.deepEqual(Buffer.from(args[0]), bytes);
    assert.deepEqual(args[1].parts.map((p) => Buffer.from(p)), [large, bytes]);
    assert.deepEqual([args[1].name, args[2]], ['a', 'x']);
  }
});

await check('volatile, compressed or not, large, and JavaScript\'s own values', async () => {
  const long = 'so long '.repeat(20_000);
  assert.deepEqual(await heardBy(() => emitter.volatile.to(annsRoom).emit('order', long)), [1, 1, 0]);
  assert.deepEqual(await heardBy(() => emitter.compress(false).to(annsRoom).emit('order', long)), [1, 1, 0]);
  assert.equal(phone.heard('order')[0], long);
  await heardBy(() => emitter.to(annsRoom).emit('odd', NaN, undefined, new Date(0), { u: undefined, 7: 1 }), 'odd');
  assert.deepEqual(phone.log[0].args, [null, null, '1970-01-01T00:00:00.000Z', { 7: 1 }]);
});

await check('in order, binary data among it', async () => {
  // By the channels of the user, of one connection and of everybody in turn, some with attachments.
  const targets = [annsRoom, phone.socket.id, [annsRoom, room]];
  await heardBy(() => {
    for (let n = 0; n < 600; n += 1) {
      emitter.to(targets[n % 3]).emit('step', n, n % 10 === 0 ? Buffer.from([n % 256]) : 0);
    }
  }, 'step');
  assert.deepEqual(phone.heard('step'), Array.from({ length: 600 }, (_, n) => n));
  assert.deepEqual(laptop.heard('step'), phone.heard('step').filter((n) => n % 3 !== 1));
});

await check('with ioredis as well', async () => {
  const other = new emitterPackage.Emitter(ioredis);
  other.to(annsRoom).emit('from ioredis', 1);
  for (const client of [phone, laptop]) assert.equal(await client.next('from ioredis'), 1);
});

await check('rooms of the backend\'s own', async () => {
  emitter.in([annsRoom, tablet.socket.id]).except(phone.socket.id).socketsJoin(['news', 'more#news']);
  await settled('news', '0,1,1');
  await settled('more#news', '0,1,1');
  assert.deepEqual(await heardBy(() => emitter.to('news').except(annsRoom).emit('order')), [0, 0, 1]);
  emitter.in(annsRoom).socketsLeave('news');
  await settled('news', '0,0,1');
  emitter.in('news').socketsLeave('news');
  await settled('news', '0,0,0');
  await settled('more#news', '0,1,1');
});

await check('garbage changes nothing', async () => {
  const payloads = ['', 'hello', '{', '{"type":1}', '[]', 'null', Buffer.from([0x80, 4, 0x95]), Buffer.from([0xc1]),
    Buffer.alloc(100, 0x91), Buffer.from([0xdd, 0xff, 0xff, 0xff, 0xff]), Buffer.alloc(2_000_000, 0x90)];
  const channels = ['socket.io#/#', `socket.io#/#${annsRoom}#`, 'socket.io-request#/#', 'socketio'];
  for (const channel of channels) for (const payload of payloads) await redis.publish(channel, payload);
  assert.deepEqual(await heardBy(() => emitter.to(annsRoom).emit('order')), [1, 1, 0]);
  assert.ok(everyone.every((client) => client.socket.connected));
});

// --- a Node server on the same Redis ---

const [pub, sub] = [redis.duplicate(), redis.duplicate()];
await Promise.all([pub.connect(), sub.connect()]);
const node = new Server(createServer().listen(0), { adapter: adapterPackage.createAdapter(pub, sub) });
await waitFor(async () => (await node.of('/').adapter.serverCount()) === 3, 'three servers');

/** What `ask()` resolves to, which must be long before Node gives up waiting. */
async function soon(ask) {
  const start = performance.now();
  const answer = await ask();
  const took = performance.now() - start;
  assert.ok(took < 2000, `took ${took} ms`);
  return answer;
}

await check('fetchSockets and allRooms of a Node server', async () => {
  const sockets = await soon(() => node.fetchSockets());
  assert.deepEqual(sockets.map((s) => s.id).sort(), everyone.map((c) => c.socket.id).sort());
  const found = sockets.find((s) => s.id === phone.socket.id);
  assert.deepEqual(found.data.user, { id: ann.id, name: 'ann' });
  assert.deepEqual([...found.rooms].sort(), [phone.socket.id, annsRoom, room].sort());
  const anns = await soon(() => node.in(annsRoom).except(phone.socket.id).fetchSockets());
  assert.deepEqual(anns.map((s) => s.id), [laptop.socket.id]);
  assert.deepEqual(await soon(() => node.in('nowhere').fetchSockets()), []);
  const rooms = await soon(() => node.of('/').adapter.allRooms());
  for (const name of [annsRoom, `user:${ben.id}`, room, phone.socket.id, 'more#news']) assert.ok(rooms.has(name), name);
});

await check('emits with acks of a Node server', async () => {
  const answering = (client, name) =>
    client.socket.on('question', (n, reply) => reply(typeof n === 'number' ? `${name} ${n}` : n, 'ignored'));
  answering(phone, 'phone');
  answering(laptop, 'laptop');
  answering(tablet, 'tablet');
  const all = await soon(() => node.timeout(10_000).emitWithAck('question', 7));
  assert.deepEqual(all.sort(), ['laptop 7', 'phone 7', 'tablet 7']);
  const bytes = Buffer.from([1, 2, 3]);
  const [binary] = await soon(() => node.to(laptop.socket.id).timeout(10_000).emitWithAck('question', bytes));
  assert.deepEqual(Buffer.from(binary), bytes);
  assert.deepEqual(await soon(() => node.to('nowhere').timeout(10_000).emitWithAck('question', 7)), []);
  await assert.rejects(node.to(annsRoom).timeout(200).emitWithAck('nobody answers'));
});

await check('emits with acks keep their place among others', async () => {
  phone.forget();
  const asked = [];
  for (let n = 0; n < 100; n += 1) {
    // Both on the request channel or both as broadcasts would say nothing about ours.
    node.to(annsRoom).emit('step', n);
    asked.push(node.to(annsRoom).timeout(10_000).emitWithAck('question', n));
  }
  await Promise.all(asked);
  const seen = phone.log.filter((e) => ['step', 'question'].includes(e.event)).map((e) => e.args[0]);
  assert.deepEqual(seen, Array.from({ length: 200 }, (_, n) => Math.floor(n / 2)));
});

await check('events between servers are answered', async () => {
  const answers = await soon(() => node.serverSideEmitWithAck('who is there'));
  assert.deepEqual(answers, [null, null]);
  node.serverSideEmit('hello');
});

await check('single sockets of a Node server', async () => {
  const [remote] = await node.in(laptop.socket.id).fetchSockets();
  remote.emit('to one', 'for the laptop');
  assert.equal(await laptop.next('to one'), 'for the laptop');
  remote.join('from node');
  await settled('from node', '0,1,0');
  assert.equal(await remote.timeout(10_000).emitWithAck('question', 1), 'laptop 1');
});

// --- the end ---

await check('connections are closed for good', async () => {
  const reasons = [];
  for (const client of everyone) client.socket.on('disconnect', (reason) => reasons.push(reason));
  emitter.in(laptop.socket.id).disconnectSockets();
  await waitFor(() => !laptop.socket.connected, 'the laptop to be disconnected');
  assert.ok(phone.socket.connected && tablet.socket.connected);
  node.in(room).except(`user:${ben.id}`).disconnectSockets(true);
  await waitFor(() => !phone.socket.connected, 'the phone to be disconnected');
  node.disconnectSockets();
  await waitFor(() => !tablet.socket.connected, 'the tablet to be disconnected');
  await pause(300);
  assert.deepEqual(reasons, Array(3).fill('io server disconnect'));
  assert.ok(everyone.every((client) => !client.socket.active), 'they stay away');
  assert.deepEqual(await soon(() => node.fetchSockets()), []);
  await waitFor(async () => (await redis.pubSubChannels('socket.io#/#*')).join() === 'socket.io#/#', 'no channel to be left');
});

console.log('# emitters: all good');
process.exit(0);
