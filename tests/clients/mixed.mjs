// A Node server with @socket.io/redis-adapter and Porchlight in one cluster: what happens in rooms of
// the same name reaches the clients of both.
//
//   node mixed.mjs REDIS_URL SECOND_NODE_URL
//
// PORCHLIGHT_URL is the first of two nodes with one database and one Redis, which have
// PORCHLIGHT_EMITTERS_NODE_SERVERS=true.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import adapterPackage from '@socket.io/redis-adapter';
import { createClient } from 'redis';
import { Server } from 'socket.io';
import { io } from 'socket.io-client';
import { Client, check, person, waitFor } from './lib.mjs';

const [redisUrl, second] = process.argv.slice(2);

const pub = await createClient({ url: redisUrl }).connect();
const sub = await pub.duplicate().connect();
const http = createServer().listen(0);
const node = new Server(http, { adapter: adapterPackage.createAdapter(pub, sub) });
node.on('connection', (socket) => {
  const { user, conversations } = socket.handshake.auth;
  socket.join([`user:${user}`, ...conversations.map((id) => `conversation:${id}`)]);
  socket.on('say', (id, text, done) => {
    node.to(`conversation:${id}`).emit('said', { text });
    done();
  });
  socket.on('test:fence', (done) => done());
});
await waitFor(async () => (await node.of('/').adapter.serverCount()) === 3, 'three servers');

async function onNode(user, conversations) {
  const socket = io(`http://127.0.0.1:${http.address().port}`, {
    transports: ['websocket'],
    forceNew: true,
    auth: { user, conversations },
  });
  await new Promise((done, failed) => socket.once('connect', done).once('connect_error', failed));
  return new Client(socket, `${user} on Node`);
}

const [ann, ben, cat] = [await person('ann'), await person('ben'), await person('cat')];
const { id } = await ann.group('mixed', ben, cat);
const phone = await ann.connect();
const tablet = await ben.connect({ gateway: second });
for (const client of [phone, tablet]) await client.done('conversation:join', id);
const inside = await onNode(cat.id, [id]);
const own = await onNode(ann.id, [id]);
const absent = await onNode(ben.id, []);

let last;

await check('messages reach the clients of the Node server, each once', async () => {
  for (let n = 1; n <= 50; n += 1) {
    await (n % 2 ? phone : tablet).done('message:send', { conversationId: id, content: `${n}` });
  }
  await waitFor(() => inside.heard('message:new').length >= 50, 'fifty messages');
  // Two nodes publish them, each in its own time; seq tells their order.
  const got = inside.heard('message:new').sort((x, y) => x.seq - y.seq);
  const wanted = Array.from({ length: 50 }, (_, i) => [i + 1, `${i + 1}`, id]);
  assert.deepEqual(got.map((m) => [m.seq, m.content, m.conversationId]), wanted);
  last = got.at(-1).id;
  await waitFor(() => own.heard('message:new').length === 50, 'own messages on another device');
  // Ben is not in the room there, and is told of what others wrote.
  await waitFor(() => absent.log.length >= 25, 'what is not from ben');
  await Promise.all([inside, own, absent].map((client) => client.raw('test:fence')));
  assert.equal(inside.heard('message:new').length, 50);
  assert.equal(absent.heard('message:new').length, 0, 'not in the room');
});

await check('typing and receipts do, too', async () => {
  phone.socket.emit('typing:start', { conversationId: id });
  assert.equal((await inside.next('typing:start')).userId, ann.id);
  phone.socket.emit('typing:stop', { conversationId: id });
  assert.equal((await inside.next('typing:stop')).userId, ann.id);
  await phone.done('message:read', { messageId: last });
  for (const client of [inside, own, absent]) {
    assert.equal((await client.next('message:read')).userId, ann.id);
  }
});

await check('what the Node server emits reaches clients here, once', async () => {
  await inside.raw('say', id, 'hello from Node');
  for (const client of [phone, tablet, inside, own]) {
    assert.deepEqual(await client.next('said'), { text: 'hello from Node' });
  }
  await inside.raw('say', id, 'again');
  for (const client of [phone, tablet]) assert.deepEqual(await client.next('said'), { text: 'again' });
  await Promise.all([phone, tablet].map((client) => client.fence()));
  for (const client of [phone, tablet]) assert.deepEqual(client.heard('said'), []);
  node.to(`user:${ben.id}`).emit('said', 'to ben');
  for (const client of [tablet, absent]) assert.equal(await client.next('said'), 'to ben');
});

await check('a backend that emits to a user by REST reaches both', async () => {
  const answer = await fetch(`${process.env.PORCHLIGHT_URL}/api/service/users/${ann.id}/emit`, {
    method: 'POST',
    headers: { authorization: `Bearer ${process.env.CLUSTER_API_KEY}`, 'content-type': 'application/json' },
    body: JSON.stringify({ event: 'order', args: [1, { two: 3 }] }),
  });
  assert.equal(answer.status, 202);
  for (const client of [phone, own]) assert.equal(await client.next('order'), 1);
});

/** Those of these clients of the Node server who are in its room of the conversation. */
const inRoom = async (id, ...clients) => {
  const there = new Set((await node.local.in(`conversation:${id}`).fetchSockets()).map((s) => s.id));
  return clients.filter((client) => there.has(client.socket.id)).length;
};

await check('who is removed hears no more of it at the Node server', async () => {
  const elsewhere = await cat.group('another', ann);
  const both = await onNode(cat.id, [id, elsewhere.id]);
  assert.equal(await inRoom(id, inside, own, both), 3);
  inside.forget();
  await ann.delete(`/api/conversations/${id}/participants/${cat.id}`);
  await phone.done('message:send', { conversationId: id, content: 'without cat' });
  await own.next('message:new', (m) => m.content === 'without cat');
  await Promise.all([inside, both].map((client) => client.raw('test:fence')));
  for (const client of [inside, both]) {
    assert.deepEqual(client.heard('message:new'), []);
    assert.ok(client.log.length > 0, 'told of the removal');
  }
  assert.equal(await inRoom(id, inside, own, both), 1);
  assert.equal(await inRoom(elsewhere.id, both), 1, 'and no other room');
});

await check('nobody is left in the room of a conversation that is deleted', async () => {
  assert.equal(await inRoom(id, own), 1);
  await ann.delete(`/api/conversations/${id}`);
  await waitFor(async () => (await inRoom(id, own)) === 0, 'the room to be empty');
  assert.ok(own.socket.connected && inside.socket.connected);
});

await check('who is disconnected is so at the Node server, too', async () => {
  const reasons = [];
  for (const client of [own, phone]) client.socket.on('disconnect', (reason) => reasons.push(reason));
  const answer = await fetch(`${process.env.PORCHLIGHT_URL}/api/service/users/${ann.id}/disconnect`, {
    method: 'POST',
    headers: { authorization: `Bearer ${process.env.CLUSTER_API_KEY}` },
  });
  assert.ok(answer.ok, `${answer.status}`);
  await waitFor(() => reasons.length === 2, 'both to be disconnected');
  assert.deepEqual(reasons, Array(2).fill('io server disconnect'));
  assert.ok([inside, absent, tablet].every((client) => client.socket.connected), 'the others stay');
});

console.log('# mixed cluster: all good');
process.exit(0);
