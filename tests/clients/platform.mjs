// The platform dialect from a real client, written from the app's document and from what its
// clients were seen to send: every event in both directions and every REST shape, with two users,
// two devices of one of them, an intruder and somebody offline.
//
//   node platform.mjs
//
// The gateway speaks it at /api/socketio and knows NEXTAUTH_SECRET.

import assert from 'node:assert/strict';
import { io } from 'socket.io-client';
import { GATEWAY, cast, check, fresh, rest, session, waitFor } from './lib.mjs';

const path = '/api/socketio';
const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const connect = (who, options) => who.connect({ path, greeting: 'connection:success', ...options });
const closed = ['forbidden', 'not_found'];

/** Joins and returns the history that it is answered with. */
async function join(client, conversation) {
  const id = conversation.conversationId ?? conversation;
  assert.deepEqual(await client.ask('conversation:join', conversation), { success: true });
  return client.next('conversation:messages', (m) => m.conversationId === id);
}

const send = async (client, conversationId, content, more) => {
  const { message } = await client.done('message:send', { conversationId, content, ...more });
  return message;
};

/** Alice with two devices and Bob, all in the room of a group that Carol, offline, belongs to. */
async function talk(alice, bob, carol) {
  const { id } = await alice.group('Flat 4', bob, carol);
  const [a1, a2, b] = await Promise.all([connect(alice), connect(alice), connect(bob)]);
  for (const client of [a1, a2, b]) await join(client, id);
  return { id, a1, a2, b };
}

// --- who gets in ---

await check('no anonymous connections', async () => {
  for (const auth of [undefined, {}, { token: 'x.y.z' }]) {
    const socket = io(GATEWAY, { path, auth, transports: ['websocket'], forceNew: true, reconnection: false });
    const error = await new Promise((resolve, reject) => {
      socket.once('connect', () => reject(new Error('connected without a token')));
      socket.once('connect_error', resolve);
    });
    socket.close();
    assert.match(error.message, /^unauthorized\b/);
  }
});

await check('a NextAuth session buys a token of 24 hours, which connects', async () => {
  const user = fresh('session');
  const answer = await fetch(`${GATEWAY}/api/auth/socket-token`, {
    method: 'POST',
    headers: { cookie: await session(user, 'Sid'), origin: GATEWAY },
  });
  assert.equal(answer.status, 200);
  const { token } = await answer.json();
  const claims = JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
  assert.equal(claims.exp - claims.iat, 24 * 3600);
  const socket = io(GATEWAY, { path, auth: { token }, transports: ['websocket'], forceNew: true });
  const hello = await new Promise((resolve) => socket.once('connection:success', resolve));
  assert.deepEqual([hello.userId, hello.userName], [user, 'Sid']);
  socket.close();
  assert.equal((await fetch(`${GATEWAY}/api/auth/socket-token`, { method: 'POST' })).status, 401);
});

await check('a handshake that names somebody else is refused', () =>
  cast(['alice', 'bob'], async (alice, bob) => {
    await connect(alice, { auth: { token: alice.token, userId: alice.id } });
    await assert.rejects(connect(alice, { auth: { token: alice.token, userId: bob.id } }), /^Error: forbidden\b/);
  }));

// --- rooms ---

await check('joining is answered with the newest 50 messages and the participants', () =>
  cast(['alice', 'bob'], async (alice, bob) => {
    const { id } = await alice.direct(bob);
    for (let n = 1; n <= 53; n += 1) await alice.post('/api/messages', { conversationId: id, content: `${n}` });
    const b = await connect(bob);
    for (const shape of [id, { conversationId: id }]) {
      const { messages, participants, hasMore } = await join(b, shape);
      assert.deepEqual(messages.map((m) => m.content), Array.from({ length: 50 }, (_, i) => `${i + 4}`));
      assert.equal(hasMore, true);
      for (const m of messages) {
        assert.deepEqual([m.conversationId, m.senderId, m.sender.id], [id, alice.id, alice.id]);
        assert.match(m.createdAt, ISO);
      }
      assert.deepEqual(participants.map((p) => p.userId).sort(), [alice.id, bob.id].sort());
      for (const p of participants) {
        assert.deepEqual([p.leftAt, p.user.id], [null, p.userId]);
        assert.match(p.joinedAt, ISO);
      }
    }
    // Without an ack the history comes all the same.
    b.forget();
    b.socket.emit('conversation:join', id);
    await b.next('conversation:messages');
    const earlier = await join(b, { conversationId: id, before: 4 });
    assert.deepEqual([earlier.messages.map((m) => m.content), earlier.hasMore], [['1', '2', '3'], false]);
    const { messages } = await bob.get(`/api/conversations/${id}/messages?before=4`);
    assert.deepEqual(messages.map((m) => m.content), ['1', '2', '3'], 'by REST too');
  }));

await check('after leaving nothing of the room is heard', () =>
  cast(['alice', 'bob', 'carol'], async (alice, bob, carol) => {
    const { id, a1, a2, b } = await talk(alice, bob, carol);
    await a2.done('conversation:leave', id);
    await b.done('conversation:leave', { conversationId: id });
    b.forget();
    const message = await send(a1, id, 'Anybody?');
    await a1.done('typing:start', id);
    await a1.next('message:received', (m) => m.id === message.id);
    await b.fence();
    assert.deepEqual(b.log, []);
    const { messages } = await join(b, id);
    assert.deepEqual(messages.map((m) => m.id), [message.id]);
  }));

// --- messages ---

await check('a message comes back to everyone in the room, readable at the top and inside', () =>
  cast(['alice', 'bob', 'carol'], async (alice, bob, carol) => {
    const { id, a1, a2, b } = await talk(alice, bob, carol);
    const sent = await send(a1, id, 'Good evening', { senderId: alice.id });
    for (const client of [a1, a2, b]) {
      const { message, ...top } = await client.next('message:received');
      assert.deepEqual(message, sent);
      assert.deepEqual(top, sent);
      assert.deepEqual([message.conversationId, message.senderId, message.content], [id, alice.id, 'Good evening']);
      assert.deepEqual([message.sender.id, message.sender.name], [alice.id, alice.name]);
      assert.match(message.createdAt, ISO);
      await client.fence();
      assert.equal(client.heard('message:received').length, 0, 'heard once');
    }
    // Without an ack, as the document has it.
    b.socket.emit('message:send', { conversationId: id, content: 'Good evening to you' });
    for (const client of [a1, a2, b]) {
      await client.next('message:received', (m) => m.content === 'Good evening to you' && m.senderId === bob.id);
    }
  }));

await check('a send repeated with its tempId is one message', () =>
  cast(['alice', 'bob', 'carol'], async (alice, bob, carol) => {
    const { id, a1, b } = await talk(alice, bob, carol);
    const one = await send(a1, id, 'once', { tempId: 'retry' });
    const two = await send(a1, id, 'once', { tempId: 'retry' });
    assert.deepEqual(two, one);
    await b.next('message:received');
    await b.fence();
    assert.equal(b.heard('message:received').length, 0);
  }));

await check('somebody offline finds everything on arrival', () =>
  cast(['alice', 'bob', 'carol'], async (alice, bob, carol) => {
    const { id, a1, b } = await talk(alice, bob, carol);
    const sent = [await send(a1, id, 'Are you there?'), await send(b, id, 'She is out')];
    const { conversations } = await carol.get('/api/conversations');
    assert.equal(conversations.find((c) => c.id === id).unreadCount, 2);
    const c = await connect(carol);
    const { messages, participants } = await join(c, id);
    assert.deepEqual(messages, sent);
    assert.equal(participants.find((p) => p.userId === alice.id).role, 'admin');
    assert.equal(participants.find((p) => p.userId === carol.id).lastReadAt, null);
    const live = await send(a1, id, 'There you are');
    assert.equal((await c.next('message:received')).id, live.id);
  }));

// --- receipts and typing ---

await check('receipts tell the room who read what', () =>
  cast(['alice', 'bob', 'carol'], async (alice, bob, carol) => {
    const { id, a1, a2, b } = await talk(alice, bob, carol);
    const shapes = [
      (m) => ({ conversationId: id, messageId: m.id }),
      (m) => ({ messageId: m.id }),
      (m) => m.id,
      () => ({ conversationId: id }),
    ];
    for (const shape of shapes) {
      const message = await send(a1, id, 'Read this');
      assert.deepEqual(await b.ask('message:read', shape(message)), { success: true });
      for (const client of [a1, a2]) {
        const update = await client.next('message:read_update');
        assert.deepEqual([update.conversationId, update.messageId], [id, message.id]);
        assert.deepEqual([update.userId, update.readerId, update.readBy], Array(3).fill(bob.id));
        assert.match(update.readAt, ISO);
      }
    }
    const { participants } = await join(a1, id);
    assert.match(participants.find((p) => p.userId === bob.id).lastReadAt, ISO);
  }));

await check('typing is told to the others, and ends by itself', () =>
  cast(['alice', 'bob', 'carol'], async (alice, bob, carol) => {
    const { id, a1, b } = await talk(alice, bob, carol);
    for (const shape of [id, { conversationId: id }]) {
      await a1.done('typing:start', shape);
      const start = await b.next('typing:update');
      assert.deepEqual(start, { conversationId: id, userId: alice.id, userName: alice.name, isTyping: true });
      await a1.done('typing:stop', shape);
      assert.equal((await b.next('typing:update')).isTyping, false);
    }
    a1.socket.emit('typing:start', { conversationId: id });
    assert.equal((await b.next('typing:update')).isTyping, true);
    assert.equal((await b.next('typing:update')).isTyping, false, 'times out');
    assert.equal(a1.heard('typing:update').length, 0, 'not to the one who types');
  }));

// --- refusals ---

await check('an intruder gets in nowhere', () =>
  cast(['alice', 'bob', 'carol', 'mallory'], async (alice, bob, carol, mallory) => {
    const { id, a1, b } = await talk(alice, bob, carol);
    const m = await connect(mallory);
    const message = await send(a1, id, 'Between us');
    for (const shape of [id, { conversationId: id }]) {
      await m.refused(closed, 'conversation:join', shape);
      await m.refused(closed, 'typing:start', shape);
    }
    await m.refused(closed, 'message:send', { conversationId: id, content: 'boo' });
    await m.refused('forbidden', 'message:send', { conversationId: id, content: 'boo', senderId: alice.id });
    await m.refused(closed, 'message:read', { conversationId: id, messageId: message.id });
    for (const [method, at, body] of [
      ['GET', `/api/conversations/${id}`],
      ['GET', `/api/conversations/${id}/messages`],
      ['POST', '/api/messages', { conversationId: id, content: 'boo' }],
    ]) {
      await assert.rejects(rest(mallory.token, method, at, body), (e) => [403, 404].includes(e.status));
    }
    await b.done('typing:start', id);
    await m.fence();
    assert.deepEqual(m.log.filter((e) => JSON.stringify(e).includes(id)), []);
    await a1.refused('forbidden', 'message:send', { conversationId: id, content: 'x', userId: bob.id });
  }));

await check('refusals come as acks or as `error`, and the connection stays', () =>
  cast(['alice', 'bob', 'carol'], async (alice, bob, carol) => {
    const { id, a1 } = await talk(alice, bob, carol);
    const before = a1.socket.id;
    const refusal = await a1.refused('invalid', 'message:send', { conversationId: id });
    assert.equal(typeof refusal.error, 'string');
    a1.forget();
    a1.socket.emit('message:send', { conversationId: id, content: { text: 'x' } });
    const error = await a1.next('error');
    assert.deepEqual([typeof error.message, error.code], ['string', 'invalid']);
    a1.socket.emit('conversation:join', '../etc');
    assert.equal((await a1.next('error')).code, 'invalid');
    a1.socket.emit('no:such:event', { x: 1 });
    await a1.fence();
    assert.equal(a1.heard('error').length, 0, 'what nobody waits for is not answered');
    assert.equal(a1.socket.id, before);
  }));

// --- REST ---

await check('conversations and messages over REST', () =>
  cast(['alice', 'bob', 'carol'], async (alice, bob, carol) => {
    const { conversation: direct } = await alice.post('/api/conversations', { otherUserId: bob.id });
    const { conversation: group } = await alice.post('/api/conversations', {
      title: 'House',
      isGroup: true,
      participantIds: [bob.id, carol.id],
    });
    assert.deepEqual([direct.title, direct.isGroup], [null, false]);
    assert.deepEqual([group.title, group.isGroup, group.participants.length], ['House', true, 3]);
    for (const c of [direct, group]) {
      assert.match(c.createdAt, ISO);
      assert.match(c.updatedAt, ISO);
      for (const p of c.participants) {
        assert.match(p.joinedAt, ISO);
        assert.deepEqual([p.leftAt, p.lastReadAt], [null, null]);
        assert.equal(p.role, p.userId === alice.id && c.isGroup ? 'admin' : 'member');
      }
    }
    const { conversations } = await bob.get('/api/conversations');
    assert.deepEqual(conversations.map((c) => c.id).sort(), [direct.id, group.id].sort());

    const b = await connect(bob);
    await join(b, direct.id);
    const { message } = await alice.post('/api/messages', { conversationId: direct.id, content: 'By REST' });
    assert.deepEqual([message.conversationId, message.senderId, message.content], [direct.id, alice.id, 'By REST']);
    assert.match(message.createdAt, ISO);
    const heard = await b.next('message:received');
    assert.deepEqual([heard.id, heard.content, heard.createdAt], [message.id, 'By REST', message.createdAt]);
    await waitFor(async () => {
      await b.done('message:read', { messageId: message.id });
      const answer = await alice.get(`/api/conversations/${direct.id}`);
      return answer.conversation.participants.find((p) => p.userId === bob.id).lastReadAt !== null;
    }, 'the time of reading');
  }));

console.log('# platform: all good');
process.exit(0);
