// The direct dialect from a real client, as its document and real clients use it: every event in and
// out, with two devices of one user, an intruder, and somebody who was offline.
//
//   node direct.mjs
//
// The gateway speaks direct at its path, with limits that 130 messages in a row stay below.
// PORCHLIGHT_OPS_PORT is its operators' port, PORCHLIGHT_CHAT_PRESENCE_GRACE_MS its value where it
// is not the default.

import assert from 'node:assert/strict';
import { GATEWAY, cast, check, fresh, pause, waitFor } from './lib.mjs';

const GRACE = Number(process.env.PORCHLIGHT_CHAT_PRESENCE_GRACE_MS ?? 5000);
const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const upTo = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i);
const texts = (client) => client.heard('getMessage').map((m) => m.text);

/** A connection without an introduction. */
const connect = (who, options) => who.connect({ greeting: null, ...options });

/** A connection that says who it is, as clients do: twice, in their own connect callback. */
async function arrive(who) {
  const client = await connect(who, {
    onConnect: (socket) => {
      socket.emit('newUser', who.id);
      socket.emit('newUser', who.id);
    },
  });
  await client.next('getOnlineUsers', (users) => users.includes(who.id));
  return client;
}

let count = 0;
const chat = () => fresh(`chat${(count += 1)}`);

/** What a client sends, as the document shows it. */
const say = (from, to, chatId, text, more = {}) => ({
  receiverId: to.id,
  data: { text, senderId: from.id, chatId, timestamp: new Date().toISOString(), ...more },
});

const send = (client, ...args) => client.done('sendMessage', say(...args));

await check('one names oneself, several times, and nobody else', () =>
  cast(['alice', 'bob'], async (alice, bob) => {
    const a = await connect(alice);
    for (let n = 0; n < 4; n += 1) await a.done('newUser', alice.id);
    await a.done('reconnectUser', alice.id);
    await a.done('heartbeat', alice.id);
    await a.done('heartbeat');
    for (const event of ['newUser', 'reconnectUser', 'heartbeat', 'logout']) {
      await a.refused('forbidden', event, bob.id);
      await a.refused('invalid', event, 7);
    }
    await a.refused('invalid', 'newUser');
    a.socket.emit('newUser', bob.id);
    assert.equal((await a.next('error')).code, 'forbidden');
    for (const auth of [{}, { token: 'x.y.z' }]) {
      await assert.rejects(connect(alice, { auth, reconnection: false }), /^Error: unauthorized/);
    }
  }));

await check("a message reaches all the receiver's devices as it was sent, and none of the sender's", () =>
  cast(['alice', 'bob', 'carol'], async (alice, bob, carol) => {
    const [a1, a2, b1, b2, c] = await Promise.all([alice, alice, bob, bob, carol].map(arrive));
    const chatId = chat();
    const full = {
      messageId: 'm-1',
      type: 'image',
      metadata: { read: false, delivered: false, x: 1 },
      extra: { deep: [1, null, 'é'], __proto: true },
    };
    const sent = say(alice, bob, chatId, 'Hello!', full);
    const ack = await a1.done('sendMessage', sent);
    assert.deepEqual([ack.chatId, ack.seq, ack.clientId], [chatId, 1, 'm-1']);
    for (const device of [b1, b2]) assert.deepEqual(await device.next('getMessage'), sent.data);

    // Only what the document calls required: the rest is filled in.
    const short = say(alice, bob, chatId, 'short');
    delete short.data.timestamp;
    await a1.done('sendMessage', short);
    for (const device of [b1, b2]) {
      const { messageId, timestamp, ...heard } = await device.next('getMessage');
      assert.deepEqual(heard, { ...short.data, type: 'text', metadata: { read: false, delivered: true } });
      assert.equal(typeof messageId, 'string');
      assert.match(timestamp, ISO);
    }
    const partly = await send(a1, alice, bob, chatId, 'partly', { metadata: { read: true } });
    const filled = await b1.next('getMessage');
    assert.deepEqual(filled.metadata, { read: true, delivered: true });
    assert.equal(filled.messageId, partly.messageId);

    // The shape seen in real clients.
    const seen = { id: 'm-9', text: 'seen', userId: alice.id, chatId, createdAt: '2026-01-02T03:04:05.678Z' };
    await a1.done('sendMessage', { receiverId: bob.id, data: seen });
    const heard = await b1.next('getMessage');
    for (const [name, value] of Object.entries(seen)) assert.equal(heard[name], value, name);
    assert.equal(heard.senderId, alice.id);

    // Back, without an ack.
    b1.socket.emit('sendMessage', say(bob, alice, chatId, 'and back'));
    for (const device of [a1, a2]) assert.equal((await device.next('getMessage')).text, 'and back');
    await Promise.all([a1, a2, b1, c].map((client) => client.fence()));
    for (const client of [a1, a2, b1, c]) assert.deepEqual(texts(client), [], 'once, and nobody else');
  }));

await check('what one device sends keeps its order', () =>
  cast(['alice', 'bob'], async (alice, bob) => {
    const [a, b] = await Promise.all([alice, bob].map(arrive));
    const chatId = chat();
    const lines = upTo(1, 30).map((n) => `line ${n}`);
    await Promise.all(lines.map((text) => send(a, alice, bob, chatId, text)));
    await waitFor(() => texts(b).length === 30, 'thirty messages');
    assert.deepEqual(texts(b), lines);
  }));

await check('a message sent again with its messageId is one message', () =>
  cast(['alice', 'bob'], async (alice, bob) => {
    const [a, b] = await Promise.all([alice, bob].map(arrive));
    const again = say(alice, bob, chat(), 'once', { messageId: 'retry' });
    const acks = [await a.done('sendMessage', again), await a.done('sendMessage', again)];
    assert.deepEqual(acks[0], acks[1]);
    await b.next('getMessage');
    await b.fence();
    assert.deepEqual(texts(b), []);
  }));

await check('the conversation is the chatId, for its two users only', () =>
  cast(['alice', 'bob', 'eve'], async (alice, bob, eve) => {
    const [a, b, e] = await Promise.all([alice, bob, eve].map(arrive));
    const [one, two] = [chat(), chat()];
    await send(a, alice, bob, one, 'first chat');
    await send(b, bob, alice, two, 'second chat');
    assert.equal((await b.next('getMessage')).chatId, one);
    assert.equal((await a.next('getMessage')).chatId, two);
    for (const id of [one, two]) {
      const { conversation } = await alice.get(`/api/conversations/${id}`);
      assert.deepEqual([conversation.isGroup, conversation.participants.length], [false, 2]);
    }
    // Without a chatId: the first one that the two have.
    assert.equal((await send(a, alice, bob, undefined, 'no chat')).chatId, one);
    assert.equal((await b.next('getMessage')).chatId, one);

    await e.refused('forbidden', 'sendMessage', say(eve, bob, one, 'let me in'));
    await e.refused('forbidden', 'sendMessage', say(eve, alice, one, 'let me in'));
    await a.refused('forbidden', 'sendMessage', say(alice, eve, one, 'come in'));
    await a.refused('forbidden', 'sendMessage', say(bob, bob, one, 'as bob'));
    await a.refused('forbidden', 'sendMessage', { receiverId: bob.id, data: { text: 'x', userId: bob.id, chatId: one } });
    await a.refused('invalid', 'sendMessage', say(alice, alice, chat(), 'to myself'));
    await Promise.all([a, b, e].map((client) => client.fence()));
    for (const client of [a, b, e]) assert.deepEqual(texts(client), []);
  }));

await check('text is cut at 1000 characters; what is not text is refused', () =>
  cast(['alice', 'bob'], async (alice, bob) => {
    const [a, b] = await Promise.all([alice, bob].map(arrive));
    const chatId = chat();
    await send(a, alice, bob, chatId, 'x'.repeat(1001));
    assert.equal((await b.next('getMessage')).text, 'x'.repeat(1000));
    await send(a, alice, bob, chatId, `${'é'.repeat(1000)}`);
    assert.equal((await b.next('getMessage')).text.length, 1000);
    const { data } = say(alice, bob, chatId, 'hi');
    const nonsense = [
      [],
      [bob.id, 'hi'],
      [{ data }],
      [{ receiverId: 7, data }],
      [{ receiverId: [bob.id], data }],
      [{ receiverId: bob.id }],
      [{ receiverId: bob.id, data: 'hi' }],
      [{ receiverId: bob.id, data: { ...data, text: '' } }],
      [{ receiverId: bob.id, data: { ...data, text: 7 } }],
      [{ receiverId: bob.id, data: { ...data, text: { toString: 'x' } } }],
      [{ receiverId: bob.id, data: { ...data, chatId: 'no spaces' } }],
      [{ receiverId: bob.id, data: { ...data, x: JSON.parse('['.repeat(90) + ']'.repeat(90)) } }],
    ];
    const before = a.socket.id;
    for (const args of nonsense) await a.refused('invalid', 'sendMessage', ...args);
    await a.refused('too_large', 'sendMessage', say(alice, bob, chatId, 'hi', { x: 'x'.repeat(17_000) }));
    await a.refused('invalid', 'no such event');
    assert.equal(a.socket.id, before, 'the same connection');
    await b.fence();
    assert.deepEqual(texts(b), []);
  }));

await check('everyone is told who is online: on introduction, and when it changes', () =>
  cast(['alice', 'bob', 'carol'], async (alice, bob, carol) => {
    const a = await arrive(alice);
    const b = await arrive(bob);
    await a.next('getOnlineUsers', (users) => users.includes(bob.id));
    b.forget();
    await b.done('newUser', bob.id);
    await b.next('getOnlineUsers', (users) => users.includes(alice.id) && users.includes(bob.id));
    const b2 = await arrive(bob);
    b2.close();
    a.forget();
    await b.done('logout');
    b.close();
    await a.next('getOnlineUsers', (users) => !users.includes(bob.id) && users.includes(alice.id));
    const c = await arrive(carol);
    await a.next('getOnlineUsers', (users) => users.includes(carol.id));
    a.forget();
    const left = performance.now();
    c.close();
    await a.next('getOnlineUsers', (users) => !users.includes(carol.id));
    assert.ok(performance.now() - left > GRACE * 0.7, 'not before the grace');
  }));

await check('however many come and go, the list comes at most twice a second', () =>
  cast(['watcher', ...upTo(1, 12).map((n) => `crowd${n}`)], async (watcher, ...crowd) => {
    const w = await arrive(watcher);
    const began = performance.now();
    w.forget();
    for (const one of crowd) {
      const client = await connect(one);
      await client.done('newUser', one.id);
      await pause(100);
    }
    await w.next('getOnlineUsers', (users) => crowd.every((one) => users.includes(one.id)));
    const lists = w.heard('getOnlineUsers').length + 1;
    const allowed = (performance.now() - began) / 500 + 2;
    assert.ok(lists <= allowed, `${lists} lists, at most ${allowed} allowed`);
    assert.ok(lists >= 2, 'it changed while they came');
  }));

await check('messages for somebody offline wait, in order, and come once', () =>
  cast(['alice', 'carol', 'bob'], async (alice, carol, bob) => {
    const [a, c] = await Promise.all([alice, carol].map(arrive));
    const [hers, others] = [chat(), chat()];
    const lines = upTo(1, 130).map((n) => `waiting ${n}`);
    for (const text of lines) await send(a, alice, bob, hers, text);
    await send(c, carol, bob, others, 'from carol');

    const b = await arrive(bob);
    await waitFor(() => texts(b).length === 131, '131 messages');
    const of = (id) => b.heard('getMessage', (m) => m.chatId === id).map((m) => m.text);
    assert.deepEqual(of(hers), lines);
    assert.deepEqual(of(others), ['from carol']);
    await b.done('newUser', bob.id);
    await send(a, alice, bob, hers, 'live');
    await b.next('getMessage', (m) => m.text === 'live');
    assert.equal(texts(b).length, 131, 'nothing twice');

    // Another device of his is given what comes from now on, and nothing again.
    const b2 = await arrive(bob);
    await send(a, alice, bob, hers, 'to both');
    assert.equal((await b2.next('getMessage')).text, 'to both');
    await b.next('getMessage', (m) => m.text === 'to both');

    // Away and back.
    await pause(600); // what was heard a moment ago counts as received
    bob.close();
    await waitFor(async () => !(await alice.get(`/api/presence?users=${bob.id}`)).presence[0].online, 'bob to be gone');
    for (const text of ['missed 1', 'missed 2']) await send(a, alice, bob, hers, text);
    const back = await arrive(bob);
    await waitFor(() => texts(back).length === 2, 'what he missed');
    await send(a, alice, bob, hers, 'last');
    await back.next('getMessage', (m) => m.text === 'last');
    assert.deepEqual(texts(back), ['missed 1', 'missed 2']);
    const { conversation } = await alice.get(`/api/conversations/${hers}`);
    assert.ok(conversation.participants.find((p) => p.userId === bob.id).deliveredSeq >= 132);
  }));

await check('nothing is heard before the introduction, or after the logout; nothing is lost', () =>
  cast(['alice', 'bob'], async (alice, bob) => {
    const a = await arrive(alice);
    const b = await connect(bob);
    await b.done('heartbeat', bob.id);
    const chatId = chat();
    await send(a, alice, bob, chatId, 'one');
    await b.fence();
    assert.deepEqual(texts(b), []);
    // An answer takes nothing away.
    await send(b, bob, alice, chatId, 'two');
    await b.done('newUser', bob.id);
    assert.equal((await b.next('getMessage')).text, 'one');
    await b.done('logout', bob.id);
    await send(a, alice, bob, chatId, 'three');
    await b.fence();
    assert.deepEqual(texts(b), []);
    await b.done('reconnectUser', bob.id);
    assert.equal((await b.next('getMessage')).text, 'three');
    await send(a, alice, bob, chatId, 'four');
    assert.equal((await b.next('getMessage')).text, 'four');
  }));

await check("health on the operators' port has the fields of the document", async () => {
  const url = new URL('/health', GATEWAY);
  url.port = process.env.PORCHLIGHT_OPS_PORT ?? '4001';
  const health = await (await fetch(url)).json();
  assert.equal(health.status, 'healthy');
  assert.match(health.timestamp, ISO);
  for (const field of ['connections', 'uptime']) assert.equal(typeof health[field], 'number', field);
  for (const field of ['rss', 'heapTotal', 'heapUsed', 'external']) {
    assert.ok(health.memory[field] >= 0, `memory.${field}`);
  }
});

console.log('# direct dialect: all good');
process.exit(0);
