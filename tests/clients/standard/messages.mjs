// The standard dialect: who gets in, rooms, and what is said in them.

import assert from 'node:assert/strict';
import { io } from 'socket.io-client';
import { GATEWAY, cast, check, token, waitFor } from '../lib.mjs';
import { ISO, connect, contents, mode, send, seqs, talk, transports, upTo } from './stage.mjs';

// --- handshake ---

await check('nobody connects without a valid token', async () => {
  const good = await token('somebody');
  const forged = `${good.slice(0, -8)}AAAAAAAA`;
  for (const auth of [{}, { token: '' }, { token: 'x.y.z' }, { token: 42 }, { token: forged }]) {
    const socket = io(GATEWAY, { transports, auth, forceNew: true, reconnection: false });
    const error = await new Promise((resolve, reject) => {
      socket.once('connect', () => reject(new Error(`connected with ${Object.keys(auth)}`)));
      socket.once('connect_error', resolve);
    });
    socket.close();
    assert.match(error.message, /^unauthorized\b/);
    assert.ok(!error.message.includes(good), 'the refusal does not quote the token');
  }
});

await check('the greeting names the user and the socket', () =>
  cast(['alice'], async (alice) => {
    const a = await connect(alice);
    const hello = await a.next('connected');
    assert.equal(hello.userId, alice.id);
    assert.equal(hello.socketId, a.socket.id);
  }));

if (mode === 'upgrade') {
  await check('polling becomes a websocket, and nothing is lost on the way', () =>
    cast(['alice'], async (alice) => {
      const { id } = await alice.group('Upgrade');
      const acks = [];
      const a = await connect(alice, {
        onConnect: (socket) => {
          socket.emit('conversation:join', id, (ack) => acks.push(ack));
          for (let n = 1; n <= 10; n += 1) {
            socket.emit('message:send', { conversationId: id, content: `${n}` }, (ack) => acks.push(ack));
          }
        },
      });
      await waitFor(() => a.socket.io.engine.transport.name === 'websocket', 'the upgrade');
      await waitFor(() => acks.length === 11, 'every ack');
      assert.ok(acks.every((ack) => ack.ok), JSON.stringify(acks));
      assert.deepEqual(contents(await alice.history(id)), upTo(1, 10).map(String));
    }));
}

// --- rooms ---

await check("events emitted in the client's own connect callback are handled, in order", () =>
  cast(['alice', 'bob'], async (alice, bob) => {
    const { id } = await alice.direct(bob);
    const acks = [];
    await connect(alice, {
      onConnect: (socket) => {
        socket.emit('conversation:join', id, (ack) => acks.push(['join', ack]));
        socket.emit('message:send', { conversationId: id, content: 'first words' }, (ack) =>
          acks.push(['send', ack]),
        );
        socket.emit('conversation:join', { conversationId: id }, (ack) => acks.push(['again', ack]));
      },
    });
    await waitFor(() => acks.length === 3, 'three acks');
    assert.deepEqual(acks.map(([name]) => name), ['join', 'send', 'again']);
    const [join, sent, again] = acks.map(([, ack]) => ack);
    assert.deepEqual([join.ok, join.messages, join.lastSeq, join.hasMore], [true, [], 0, false]);
    assert.equal(join.conversation.id, id);
    assert.deepEqual(
      join.conversation.participants.map((p) => p.userId).sort(),
      [alice.id, bob.id].sort(),
    );
    assert.equal(sent.message.seq, 1);
    assert.deepEqual([seqs(again.messages), again.lastSeq], [[1], 1]);
  }));

await check('a direct conversation is one per pair, whoever opens it', () =>
  cast(['alice', 'bob'], async (alice, bob) => {
    const [one, two, three] = await Promise.all([alice.direct(bob), bob.direct(alice), alice.direct(bob)]);
    assert.equal(one.id, two.id);
    assert.equal(one.id, three.id);
    assert.equal(one.isGroup, false);
    assert.equal(one.participants.length, 2);
  }));

await check('joining gives the newest 50, and REST the earlier ones', () =>
  cast(['alice'], async (alice) => {
    const { id } = await alice.group('Long');
    for (let n = 1; n <= 57; n += 1) await alice.post('/api/messages', { conversationId: id, content: `${n}` });
    const a = await connect(alice);
    const page = await a.done('conversation:join', id);
    assert.deepEqual(seqs(page.messages), upTo(8, 57));
    assert.deepEqual([page.lastSeq, page.hasMore], [57, true]);
    const older = await alice.get(`/api/conversations/${id}/messages?before=8`);
    assert.deepEqual([seqs(older.messages), older.hasMore], [upTo(1, 7), false]);
    const middle = await alice.get(`/api/conversations/${id}/messages?before=8&limit=3`);
    assert.deepEqual([seqs(middle.messages), middle.hasMore], [[5, 6, 7], true]);
  }));

// --- messages ---

await check('a message reaches the other, own devices, and those outside the room', () =>
  cast(['alice', 'bob', 'carol'], async (alice, bob, carol) => {
    const { id } = await alice.group('Porch', bob, carol);
    const [a1, a2, b, c] = await Promise.all([connect(alice), connect(alice), connect(bob), connect(carol)]);
    await Promise.all([a1, a2, b].map((client) => client.done('conversation:join', id)));

    const message = await send(a1, id, 'Good evening', { type: 'text', clientId: 'evening-1' });
    const { id: messageId, timestamp, ...rest } = message;
    assert.equal(typeof messageId, 'string');
    assert.match(timestamp, ISO);
    const said = { seq: 1, conversationId: id, senderId: alice.id, content: 'Good evening', type: 'text' };
    for (const [field, value] of Object.entries({ ...said, clientId: 'evening-1' })) {
      assert.equal(rest[field], value, field);
    }

    for (const hearer of [b, a2]) {
      const heard = await hearer.next('message:new');
      for (const field of ['id', 'seq', 'conversationId', 'senderId', 'content', 'type', 'timestamp']) {
        assert.equal(heard[field], message[field], field);
      }
    }
    const notice = await c.next('notification:new');
    assert.equal(notice.conversationId, id);
    assert.match(notice.createdAt, ISO);
    for (const field of ['id', 'type', 'title', 'message']) assert.equal(typeof notice[field], 'string', field);

    await Promise.all([a1, a2, b, c].map((client) => client.fence()));
    assert.equal(b.heard('message:new').length, 0, 'heard once');
    assert.equal(a2.heard('message:new').length, 0, 'heard once');
    assert.equal(c.heard('message:new').length, 0, 'outside the room: the notification only');
    assert.equal(b.heard('notification:new').length, 0, 'inside the room: no notification');
    assert.equal(a2.heard('notification:new').length, 0);
  }));

await check('after leaving the room the notification comes instead', () =>
  cast(['alice', 'bob'], async (alice, bob) => {
    const { id, a, b } = await talk(alice, bob);
    await b.done('conversation:leave', { conversationId: id });
    await send(a, id, 'Still there?');
    await b.next('notification:new', (n) => n.conversationId === id);
    assert.equal(b.heard('message:new').length, 0);
    await b.done('conversation:join', id);
    await b.done('conversation:leave', id);
    await send(a, id, 'Hello?');
    await b.next('notification:new', (n) => n.conversationId === id);
    assert.equal(b.heard('message:new').length, 0);
  }));

await check('what one socket sends keeps its order, for everyone', () =>
  cast(['alice', 'bob'], async (alice, bob) => {
    const { id, a, b } = await talk(alice, bob);
    const texts = upTo(1, 15).map((n) => `line ${n}`);
    const acks = await Promise.all(texts.map((content) => a.raw('message:send', { conversationId: id, content })));
    assert.deepEqual(seqs(acks.map((ack) => ack.message)), upTo(1, 15));
    await waitFor(() => b.heard('message:new').length === 15, 'fifteen messages');
    assert.deepEqual(contents(b.heard('message:new')), texts);
    assert.deepEqual(contents(await bob.history(id)), texts);
  }));

await check('a send repeated with its clientId is one message', () =>
  cast(['alice', 'bob'], async (alice, bob) => {
    const { id, a, b } = await talk(alice, bob);
    const message = { conversationId: id, content: 'once', clientId: 'retry-1' };
    const [one, two] = await Promise.all([a.raw('message:send', message), a.raw('message:send', message)]);
    const other = await connect(alice);
    const three = await other.done('message:send', message);
    const { message: four } = await alice.post('/api/messages', message);
    assert.deepEqual([two.message.id, three.message.id, four.id], Array(3).fill(one.message.id));
    assert.deepEqual([two.message.seq, three.message.seq], [1, 1]);
    await b.next('message:new');
    await send(b, id, 'got it');
    await b.fence();
    assert.equal(b.heard('message:new', (m) => m.senderId === alice.id).length, 0);
    assert.deepEqual(seqs(await bob.history(id)), [1, 2]);
  }));

await check('metadata and type travel with the message; odd text arrives unchanged', () =>
  cast(['alice', 'bob'], async (alice, bob) => {
    const { id, a, b } = await talk(alice, bob);
    const odd = '"quotes" \\ 🏮 \u2028 <b>é</b>\nline\u0007 \u05d0\u05d1';
    const metadata = { replyTo: 'm-1', nested: { list: [1, 2.5, null, 'x'] } };
    await send(a, id, odd, { type: 'markdown', metadata });
    const heard = await b.next('message:new');
    assert.deepEqual([heard.content, heard.type, heard.metadata], [odd, 'markdown', metadata]);
    const [kept] = await bob.history(id);
    assert.deepEqual([kept.content, kept.type, kept.metadata], [odd, 'markdown', metadata]);
  }));
