// The inkspot dialect from a real client, written from the app's document and from what its
// clients were seen to send: every event in both directions, with two users, two devices of one of
// them, an intruder and somebody offline.
//
//   node inkspot.mjs
//
// The gateway speaks it at /api/socketio and knows NEXTAUTH_SECRET. PORCHLIGHT_CHAT_TYPING_TIMEOUT_MS
// has the gateway's value where it is not the default.

import assert from 'node:assert/strict';
import { io } from 'socket.io-client';
import { GATEWAY, cast, check, fresh, session } from './lib.mjs';

const path = '/api/socketio';
const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const TYPING = Number(process.env.PORCHLIGHT_CHAT_TYPING_TIMEOUT_MS ?? 3000);
const closed = ['forbidden', 'not_found'];

const connect = (who, options) =>
  who.connect({ path, greeting: null, auth: { token: who.token, userId: who.id }, ...options });
const said = (who, conversationId, content, more) => ({
  content,
  messageType: 'text',
  conversationId,
  senderId: who.id,
  ...more,
});
const typing = (who, conversationId, isTyping) => ({
  conversationId,
  userId: who.id,
  isTyping,
  userName: who.name,
});

/** Sends without an ack, as the document has it, and returns what confirms it. */
async function send(client, who, conversationId, content, more) {
  client.socket.emit('send-message', said(who, conversationId, content, more));
  return client.next('message-sent', (m) => m.content === content);
}

/** Alice with two devices and Bob, all in the room of a group that Carol, offline, belongs to. */
async function talk(alice, bob, carol) {
  const { id } = await alice.group('Sketches', bob, carol);
  const [a1, a2, b] = await Promise.all([connect(alice), connect(alice), connect(bob)]);
  for (const client of [a1, a2, b]) await client.done('join-conversation', id);
  return { id, a1, a2, b };
}

// --- who gets in ---

await check('a NextAuth session alone is enough, and nothing is not', async () => {
  const user = fresh('session');
  const open = (extraHeaders) =>
    io(GATEWAY, { path, extraHeaders, transports: ['websocket'], forceNew: true, reconnection: false });
  const socket = open({ cookie: await session(user, 'Sid'), origin: GATEWAY });
  await new Promise((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('connect_error', reject);
  });
  const answer = await socket.emitWithAck('join-conversation', 'never-was');
  assert.deepEqual([answer.success, closed.includes(answer.code)], [false, true]);
  socket.close();

  const nobody = open({});
  const error = await new Promise((resolve) => nobody.once('connect_error', resolve));
  nobody.close();
  assert.match(error.message, /^unauthorized\b/);
});

await check('a handshake that names somebody else is refused', () =>
  cast(['alice', 'bob'], async (alice, bob) => {
    await connect(alice);
    await assert.rejects(connect(alice, { auth: { token: alice.token, userId: bob.id } }), /^Error: forbidden\b/);
  }));

// --- rooms ---

await check('joining takes every shape, and its ack has the newest 50 messages', () =>
  cast(['alice', 'bob'], async (alice, bob) => {
    const { id } = await alice.direct(bob);
    for (let n = 1; n <= 53; n += 1) await alice.post('/api/messages', { conversationId: id, content: `${n}` });
    const b = await connect(bob);
    for (const shape of [id, { conversationId: id }, { conversationId: id, userId: bob.id }]) {
      const { conversationId, messages, hasMore } = await b.done('join-conversation', shape);
      assert.deepEqual([conversationId, hasMore], [id, true]);
      assert.deepEqual(messages.map((m) => m.content), Array.from({ length: 50 }, (_, i) => `${i + 4}`));
    }
    const earlier = await b.done('join-conversation', { conversationId: id, before: 4 });
    assert.deepEqual([earlier.messages.map((m) => m.content), earlier.hasMore], [['1', '2', '3'], false]);
    const { messages } = await bob.get(`/api/conversations/${id}/messages?before=4`);
    assert.deepEqual(messages.map((m) => m.content), ['1', '2', '3'], 'by REST too');
    await b.refused('forbidden', 'join-conversation', { conversationId: id, userId: alice.id });
  }));

await check('after leaving nothing of the room is heard', () =>
  cast(['alice', 'bob', 'carol'], async (alice, bob, carol) => {
    const { id, a1, a2, b } = await talk(alice, bob, carol);
    await a2.done('leave-conversation', { conversationId: id, userId: alice.id });
    b.socket.emit('leave-conversation', id);
    await b.fence();
    b.forget();
    a2.forget();
    const message = await send(a1, alice, id, 'Anybody?');
    await a1.done('typing-start', typing(alice, id, true));
    for (const client of [a2, b]) {
      await client.fence();
      // That others came is told to whoever knows them, in the room or not.
      assert.deepEqual(client.log.filter((e) => e.event !== 'user-status'), []);
    }
    const { messages } = await b.done('join-conversation', id);
    assert.deepEqual(messages, [message]);
  }));

// --- messages ---

await check('a message is confirmed to its sender and new to everyone else', () =>
  cast(['alice', 'bob', 'carol'], async (alice, bob, carol) => {
    const { id, a1, a2, b } = await talk(alice, bob, carol);
    const sent = await send(a1, alice, id, 'Good evening');
    assert.deepEqual(
      [sent.content, sent.messageType, sent.conversationId, sent.senderId],
      ['Good evening', 'text', id, alice.id],
    );
    assert.match(sent.createdAt, ISO);
    for (const client of [a2, b]) {
      const heard = await client.next('new-message');
      assert.deepEqual(heard, sent);
      assert.deepEqual([heard.sender.id, heard.sender.name], [alice.id, alice.name]);
    }
    for (const client of [a1, a2, b]) {
      await client.fence();
      assert.equal(client.heard('new-message').length, 0);
      assert.equal(client.heard('message-sent').length, 0);
    }
    const ack = await b.done('send-message', said(bob, id, 'Good evening to you', { messageType: 'image' }));
    assert.equal(ack.message.messageType, 'image');
    assert.deepEqual(await b.next('message-sent'), ack.message);
    for (const client of [a1, a2]) assert.deepEqual(await client.next('new-message'), ack.message);
  }));

await check('a send repeated with its tempId is one message', () =>
  cast(['alice', 'bob', 'carol'], async (alice, bob, carol) => {
    const { id, a1, b } = await talk(alice, bob, carol);
    const one = await send(a1, alice, id, 'once', { tempId: 'retry' });
    const two = await send(a1, alice, id, 'once', { tempId: 'retry' });
    assert.deepEqual(two, one);
    await b.next('new-message');
    await b.fence();
    assert.equal(b.heard('new-message').length, 0);
  }));

await check('somebody offline finds everything on arrival', () =>
  cast(['alice', 'bob', 'carol'], async (alice, bob, carol) => {
    const { id, a1, b } = await talk(alice, bob, carol);
    const sent = [await send(a1, alice, id, 'Are you there?'), await send(b, bob, id, 'She is out')];
    const c = await connect(carol);
    const { messages } = await c.done('join-conversation', id);
    assert.deepEqual(messages, sent);
    const live = await send(a1, alice, id, 'There you are');
    assert.deepEqual(await c.next('new-message'), live);
  }));

// --- receipts, typing, presence ---

await check('receipts in every shape', () =>
  cast(['alice', 'bob', 'carol'], async (alice, bob, carol) => {
    const { id, a1, a2, b } = await talk(alice, bob, carol);
    const shapes = [
      (m) => [{ messageId: m.id, conversationId: id }],
      (m) => [{ messageId: m.id }],
      (m) => [m.id],
      (m) => [m.id, id],
    ];
    for (const shape of shapes) {
      const message = await send(a1, alice, id, 'Read this');
      assert.deepEqual(await b.ask('mark-message-read', ...shape(message)), { success: true });
      for (const client of [a1, a2]) {
        const { readAt, seq, ...receipt } = await client.next('message-read');
        assert.deepEqual(receipt, { messageId: message.id, conversationId: id, userId: bob.id });
        assert.match(readAt, ISO);
        assert.equal(seq, message.seq);
      }
    }
  }));

await check(`typing is told to the others, and stops by itself after ${TYPING} ms`, () =>
  cast(['alice', 'bob', 'carol'], async (alice, bob, carol) => {
    const { id, a1, b } = await talk(alice, bob, carol);
    a1.socket.emit('typing-start', typing(alice, id, true));
    assert.deepEqual(await b.next('user-typing'), typing(alice, id, true));
    a1.socket.emit('typing-stop', typing(alice, id, false));
    assert.deepEqual(await b.next('user-stop-typing'), typing(alice, id, false));

    await a1.done('typing-start', typing(alice, id, true));
    await b.next('user-typing');
    const began = performance.now();
    assert.deepEqual(await b.next('user-stop-typing'), typing(alice, id, false));
    const lasted = performance.now() - began;
    assert.ok(lasted > TYPING * 0.7 && lasted < TYPING + 3000, `stopped after ${Math.round(lasted)} ms`);
    assert.equal(a1.heard('user-typing').length + a1.heard('user-stop-typing').length, 0);
    await a1.refused('forbidden', 'typing-start', typing(bob, id, true));
  }));

await check('people come and go, once each however many devices they have', () =>
  cast(['alice', 'bob', 'stranger'], async (alice, bob, stranger) => {
    await alice.direct(bob);
    const [b, s] = [await connect(bob), await connect(stranger)];
    const [a1, a2] = [await connect(alice), await connect(alice)];
    const online = await b.next('user-status', (u) => u.userId === alice.id);
    assert.deepEqual([online.status, online.isOnline], ['online', true]);
    assert.match(online.lastSeen, ISO);
    a1.close();
    await b.fence();
    assert.equal(b.heard('user-status', (u) => u.userId === alice.id).length, 0, 'one device is left');
    a2.close();
    const offline = await b.next('user-status', (u) => u.userId === alice.id);
    assert.deepEqual([offline.status, offline.isOnline], ['offline', false]);
    assert.match(offline.lastSeen, ISO);
    await s.fence();
    assert.equal(s.heard('user-status', (u) => u.userId === alice.id).length, 0, 'strangers are not told');
  }));

// --- refusals ---

await check('an intruder gets in nowhere', () =>
  cast(['alice', 'bob', 'carol', 'mallory'], async (alice, bob, carol, mallory) => {
    const { id, a1, b } = await talk(alice, bob, carol);
    const m = await connect(mallory);
    const message = await send(a1, alice, id, 'Between us');
    for (const shape of [id, { conversationId: id }]) await m.refused(closed, 'join-conversation', shape);
    await m.refused(closed, 'send-message', said(mallory, id, 'boo'));
    await m.refused('forbidden', 'send-message', said(alice, id, 'boo'));
    await m.refused(closed, 'typing-start', typing(mallory, id, true));
    for (const shape of [[message.id], [message.id, id], [{ messageId: message.id }]]) {
      await m.refused(closed, 'mark-message-read', ...shape);
    }
    await b.done('typing-start', typing(bob, id, true));
    await m.fence();
    assert.deepEqual(m.log.filter((e) => JSON.stringify(e).includes(id)), []);
    assert.deepEqual((await a1.done('join-conversation', id)).messages, [message]);
  }));

await check('a failed send is told as `message-error`, and the connection stays', () =>
  cast(['alice', 'bob', 'carol'], async (alice, bob, carol) => {
    const { id, a1, b } = await talk(alice, bob, carol);
    const before = a1.socket.id;
    const wrong = [
      [said(alice, 'never-was', 'x'), closed],
      [said(bob, id, 'x'), 'forbidden'],
      [said(alice, id, ''), 'invalid'],
      [said(alice, id, ['x']), 'invalid'],
      [{ content: 'x', messageType: 'text', senderId: alice.id }, 'invalid'],
      [said(alice, id, 'x'.repeat(10_001)), 'too_large'],
    ];
    for (const [payload, codes] of wrong) {
      a1.socket.emit('send-message', payload);
      const told = await a1.next('message-error');
      assert.equal(typeof told.error, 'string');
      assert.ok([codes].flat().includes(told.code), JSON.stringify(told));
      const refusal = await a1.refused(codes, 'send-message', payload);
      assert.equal(typeof refusal.error, 'string');
    }
    await b.fence();
    assert.equal(b.heard('new-message').length, 0);
    assert.equal(a1.heard('message-sent').length, 0);
    assert.equal(a1.socket.id, before);
  }));

console.log('# inkspot: all good');
process.exit(0);
