// The standard dialect from a real client: every event in and out, refusals, reconnects, limits.
//
//   node standard.mjs websocket|polling|upgrade
//
// PORCHLIGHT_CHAT_PRESENCE_GRACE_MS, PORCHLIGHT_CHAT_TYPING_TIMEOUT_MS and
// PORCHLIGHT_LIMITS_EVENTS_BURST have the gateway's values where they are not the default.

import assert from 'node:assert/strict';
import { io } from 'socket.io-client';
import { Client, GATEWAY, RestError, cast, check, pause, token, waitFor } from './lib.mjs';

const mode = process.argv[2] ?? 'websocket';
const transports = { websocket: ['websocket'], polling: ['polling'], upgrade: ['polling', 'websocket'] }[mode];
assert.ok(transports, 'usage: node standard.mjs websocket|polling|upgrade');

const number = (name, otherwise) => Number(process.env[name] ?? otherwise);
const GRACE = number('PORCHLIGHT_CHAT_PRESENCE_GRACE_MS', 5000);
const TYPING = number('PORCHLIGHT_CHAT_TYPING_TIMEOUT_MS', 3000);
const BURST = number('PORCHLIGHT_LIMITS_EVENTS_BURST', 20);

const connect = (who, options) => who.connect({ transports, ...options });
const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const contents = (messages) => messages.map((m) => m.content);
const seqs = (messages) => messages.map((m) => m.seq);
const upTo = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

/** Two people in their direct conversation, both in its room. */
async function talk(alice, bob) {
  const { id } = await alice.direct(bob);
  const [a, b] = await Promise.all([connect(alice), connect(bob)]);
  await Promise.all([a.done('conversation:join', id), b.done('conversation:join', id)]);
  return { id, a, b };
}

const send = (client, conversationId, content, more = {}) =>
  client.done('message:send', { conversationId, content, ...more }).then((ack) => ack.message);

console.log(`# standard dialect over ${mode}`);

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

// --- receipts ---

await check('delivered goes to the sender, in every shape that clients use', () =>
  cast(['alice', 'bob'], async (alice, bob) => {
    const { id, a, b } = await talk(alice, bob);
    const shapes = [
      (m) => ({ messageId: m.id }),
      (m) => ({ messageId: m.id, conversationId: id }),
      (m) => ({ conversationId: id, messageIds: [m.id] }),
    ];
    for (const shape of shapes) {
      const message = await send(a, id, 'delivered?');
      await b.done('message:delivered', shape(message));
      const receipt = await a.next('message:delivered', (r) => r.messageId === message.id);
      assert.equal(receipt.conversationId, id);
    }
    const { conversation } = await alice.get(`/api/conversations/${id}`);
    const cursor = conversation.participants.find((p) => p.userId === bob.id);
    assert.deepEqual([cursor.deliveredSeq, cursor.readSeq], [3, 0]);
  }));

await check('read goes to the sender and the room, in every shape that clients use', () =>
  cast(['alice', 'bob', 'carol'], async (alice, bob, carol) => {
    const { id } = await alice.group('Readers', bob, carol);
    const [a, b, c] = await Promise.all([connect(alice), connect(bob), connect(carol)]);
    await Promise.all([b.done('conversation:join', id), c.done('conversation:join', id)]);
    const shapes = [
      (m) => ({ messageId: m.id }),
      (m) => ({ conversationId: id, messageId: m.id }),
      (m) => ({ conversationId: id, messageIds: [m.id] }),
      () => ({ conversationId: id }),
      (m) => m.id,
    ];
    for (const shape of shapes) {
      const message = await send(a, id, 'read?');
      await b.done('message:read', shape(message));
      for (const hearer of [a, c]) {
        const receipt = await hearer.next('message:read', (r) => r.messageId === message.id);
        assert.deepEqual([receipt.conversationId, receipt.userId], [id, bob.id]);
      }
    }
    const { conversations } = await bob.get('/api/conversations');
    assert.equal(conversations.find((x) => x.id === id).unreadCount, 0);
    const hers = await carol.get('/api/conversations');
    assert.equal(hers.conversations.find((x) => x.id === id).unreadCount, 5);
  }));

// --- typing ---

await check('typing reaches the others in the room and stops when told', () =>
  cast(['alice', 'bob'], async (alice, bob) => {
    const { id, a, b } = await talk(alice, bob);
    await a.done('typing:start', { conversationId: id });
    const start = await b.next('typing:start');
    assert.deepEqual([start.userId, start.conversationId], [alice.id, id]);
    await a.done('typing:stop', { conversationId: id });
    const stop = await b.next('typing:stop');
    assert.deepEqual([stop.userId, stop.conversationId], [alice.id, id]);
    await a.fence();
    assert.equal(a.heard('typing:start').length, 0, 'not to the one who types');
  }));

await check(`typing stops by itself after ${TYPING} ms`, () =>
  cast(['alice', 'bob'], async (alice, bob) => {
    const { id, a, b } = await talk(alice, bob);
    await a.done('typing:start', { conversationId: id });
    await b.next('typing:start');
    const began = performance.now();
    await b.next('typing:stop');
    const lasted = performance.now() - began;
    assert.ok(lasted > TYPING * 0.7 && lasted < TYPING + 3000, `stopped after ${Math.round(lasted)} ms`);
  }));

await check('typing is gone when the socket goes', () =>
  cast(['alice', 'bob'], async (alice, bob) => {
    const { id, a, b } = await talk(alice, bob);
    await a.done('typing:start', { conversationId: id });
    await b.next('typing:start');
    const began = performance.now();
    a.close();
    await b.next('typing:stop');
    assert.ok(performance.now() - began < TYPING * 0.7, 'before the indicator would have run out');
  }));

// --- presence ---

await check('one online and one offline per user over devices; a reload is not seen', () =>
  cast(['alice', 'bob'], async (alice, bob) => {
    await alice.direct(bob);
    const b = await connect(bob);
    const a1 = await connect(alice);
    await b.next('user:online', (e) => e.userId === alice.id);
    const a2 = await connect(alice);
    const seen = async () => (await bob.get(`/api/presence?users=${alice.id}`)).presence[0];
    assert.deepEqual([(await seen()).online, (await seen()).status], [true, 'online']);

    a1.close();
    a2.close();
    await connect(alice);
    await pause(GRACE + 300);
    await b.fence();
    assert.equal(b.heard('user:online', (e) => e.userId === alice.id).length, 0, 'announced once');
    assert.equal(b.heard('user:offline', (e) => e.userId === alice.id).length, 0, 'the reload is not seen');

    const left = performance.now();
    alice.close();
    await b.next('user:offline', (e) => e.userId === alice.id);
    assert.ok(performance.now() - left > GRACE * 0.7, 'not before the grace');
    const gone = await waitFor(async () => {
      const info = await seen();
      return !info.online && info;
    }, 'alice to be offline');
    assert.equal(gone.status, 'offline');
    assert.match(gone.lastSeen, ISO);
    await b.fence();
    assert.equal(b.heard('user:offline').length, 0, 'announced once');
  }));

await check('a status is shown to those who share a conversation, and to nobody else', () =>
  cast(['alice', 'bob', 'stranger'], async (alice, bob, stranger) => {
    const { a, b } = await talk(alice, bob);
    const s = await connect(stranger);
    for (const status of ['away', 'busy', 'online']) {
      await a.done('user:status', status);
      await b.next('user:online', (e) => e.userId === alice.id && e.status === status);
      const { presence } = await bob.get(`/api/presence?users=${alice.id}`);
      assert.deepEqual([presence[0].userId, presence[0].status], [alice.id, status]);
    }
    await a.refused('invalid', 'user:status', 'dancing');
    await s.fence();
    assert.equal(s.heard('user:online', (e) => e.userId === alice.id).length, 0);
  }));

// --- conversations ---

await check('a group tells its participants what changes', () =>
  cast(['alice', 'bob', 'carol'], async (alice, bob, carol) => {
    const [a, b, c] = await Promise.all([connect(alice), connect(bob), connect(carol)]);
    const { id } = await alice.group('Before', bob);
    const made = await b.next('conversation:updated', (e) => e.id === id);
    assert.deepEqual([made.conversationId, made.title, made.isGroup], [id, 'Before', true]);
    assert.equal(made.lastMessage ?? null, null);

    await a.done('conversation:join', id);
    const message = await send(a, id, 'news');
    await alice.patch(`/api/conversations/${id}`, { title: 'After' });
    const renamed = await b.next('conversation:updated', (e) => e.title === 'After');
    assert.equal(renamed.lastMessage.id, message.id);

    await alice.post(`/api/conversations/${id}/participants`, { participantIds: [carol.id] });
    const added = await c.next('conversation:updated', (e) => e.id === id);
    assert.equal(added.participants.length, 3);
    await c.done('conversation:join', id);

    await alice.delete(`/api/conversations/${id}`);
    for (const client of [a, b, c]) {
      const gone = await client.next('conversation:deleted');
      assert.equal(gone.conversationId, id);
    }
    await a.refused(['not_found', 'forbidden'], 'message:send', { conversationId: id, content: 'too late' });
  }));

await check('somebody removed hears nothing more and may do nothing more', () =>
  cast(['alice', 'bob', 'mallory'], async (alice, bob, mallory) => {
    const { id } = await alice.group('Trio', bob, mallory);
    const [a, b, m1, m2] = await Promise.all([connect(alice), connect(bob), connect(mallory), connect(mallory)]);
    await Promise.all([a, b, m1].map((client) => client.done('conversation:join', id)));
    await send(a, id, 'for all three');
    await m1.next('message:new');
    await m2.next('notification:new');

    await alice.delete(`/api/conversations/${id}/participants/${mallory.id}`);
    await m1.next('conversation:deleted', (e) => e.conversationId === id);
    await m2.next('conversation:deleted', (e) => e.conversationId === id);
    m1.forget();
    m2.forget();

    const secret = await send(a, id, 'for two');
    await b.next('message:new', (m) => m.id === secret.id);
    await b.done('message:read', { messageId: secret.id });
    await a.next('message:read');
    await a.done('typing:start', { conversationId: id });
    await b.next('typing:start');
    for (const m of [m1, m2]) {
      await m.fence();
      assert.deepEqual(m.log.filter((e) => JSON.stringify(e).includes(id)), []);
      await m.refused('forbidden', 'conversation:join', id);
      await m.refused('forbidden', 'message:send', { conversationId: id, content: 'let me in' });
      await m.refused(['forbidden', 'not_found'], 'message:read', { messageId: secret.id });
      await m.refused('forbidden', 'typing:start', { conversationId: id });
      const sync = await m.done('conversation:sync', { conversations: { [id]: 0 } });
      assert.deepEqual([sync.conversations, sync.gone], [[], [id]]);
    }
    await assert.rejects(mallory.history(id), (e) => e instanceof RestError && e.status === 403);
  }));

await check('an intruder gets in nowhere', () =>
  cast(['alice', 'bob', 'intruder'], async (alice, bob, intruder) => {
    const { id, a, b } = await talk(alice, bob);
    const x = await connect(intruder);
    const message = await send(a, id, 'between us');
    await b.next('message:new');
    const closed = ['forbidden', 'not_found'];
    await x.refused(closed, 'conversation:join', id);
    await x.refused(closed, 'conversation:join', { conversationId: id, after: 0 });
    await x.refused(closed, 'message:send', { conversationId: id, content: 'boo' });
    await x.refused(closed, 'message:read', { messageId: message.id, conversationId: id });
    await x.refused(closed, 'message:read', message.id);
    await x.refused(closed, 'message:delivered', { messageId: message.id });
    await x.refused(closed, 'typing:start', { conversationId: id });
    const sync = await x.done('conversation:sync', { conversations: { [id]: 0 } });
    assert.deepEqual(sync.conversations, []);
    const paths = [
      ['GET', `/api/conversations/${id}`],
      ['GET', `/api/conversations/${id}/messages`],
      ['PATCH', `/api/conversations/${id}`, { title: 'mine' }],
      ['POST', `/api/conversations/${id}/participants`, { participantIds: [intruder.id] }],
      ['POST', `/api/conversations/${id}/read`, {}],
      ['POST', '/api/messages', { conversationId: id, content: 'boo' }],
      ['DELETE', `/api/conversations/${id}`],
    ];
    for (const [method, path, body] of paths) {
      const call = method === 'GET' ? intruder.get(path) : intruder[method.toLowerCase()](path, body);
      await assert.rejects(call, (e) => [403, 404].includes(e.status), `${method} ${path}`);
    }
    await send(a, id, 'still between us');
    await b.next('message:new');
    await x.fence();
    assert.deepEqual(x.log.filter((e) => JSON.stringify(e).includes(id)), []);
    assert.deepEqual(contents(await bob.history(id)), ['between us', 'still between us']);
  }));

await check('a payload that names somebody else as its sender is refused', () =>
  cast(['alice', 'bob'], async (alice, bob) => {
    const { id, a, b } = await talk(alice, bob);
    const forged = { conversationId: id, content: 'I am Bob' };
    await a.refused('forbidden', 'message:send', { ...forged, senderId: bob.id });
    await a.refused('forbidden', 'message:send', { ...forged, userId: bob.id });
    await a.refused('forbidden', 'typing:start', { conversationId: id, userId: bob.id });
    await a.done('message:send', { conversationId: id, content: 'I am Alice', senderId: alice.id });
    const heard = await b.next('message:new');
    assert.deepEqual([heard.content, heard.senderId], ['I am Alice', alice.id]);
  }));

// --- coming back ---

await check('after a broken connection `after` gives exactly what was missed', () =>
  cast(['alice', 'bob'], async (alice, bob) => {
    const { id } = await alice.direct(bob);
    const a = await connect(alice);
    let last = 0;
    const caught = [];
    const b = await connect(bob, {
      onConnect: (socket) =>
        socket.emit('conversation:join', { conversationId: id, after: last }, (ack) => caught.push(ack)),
    });
    b.socket.on('message:new', (m) => (last = Math.max(last, m.seq)));
    await waitFor(() => caught.length === 1, 'the first join');
    for (const content of ['one', 'two', 'three']) await send(a, id, content);
    await waitFor(() => last === 3, 'three messages');
    b.forget();

    b.socket.io.engine.close();
    for (const content of ['four', 'five']) {
      await alice.post('/api/messages', { conversationId: id, content });
    }
    await waitFor(() => caught.length === 2, 'the join after the reconnect');
    const live = () => b.heard('message:new', (m) => m.seq > caught[1].lastSeq);
    await waitFor(() => caught[1].lastSeq + live().length === 5, 'the rest live');
    await b.fence();
    assert.deepEqual(seqs([...caught[1].messages, ...live()]), [4, 5]);

    await send(a, id, 'six');
    await b.next('message:new', (m) => m.seq === 6);
  }));

await check('a long absence comes in pages', () =>
  cast(['alice', 'bob'], async (alice, bob) => {
    const { id } = await alice.direct(bob);
    for (let n = 1; n <= 120; n += 1) await alice.post('/api/messages', { conversationId: id, content: `${n}` });
    const b = await connect(bob);
    const got = [];
    for (let more = true; more; ) {
      const page = await b.done('conversation:join', { conversationId: id, after: got.at(-1)?.seq ?? 3 });
      assert.equal(page.lastSeq, 120);
      assert.ok(page.messages.length > 0);
      got.push(...page.messages);
      more = page.hasMore;
    }
    assert.deepEqual(seqs(got), upTo(4, 120));
    await alice.post('/api/messages', { conversationId: id, content: 'live' });
    await b.next('message:new', (m) => m.seq === 121);
  }));

await check('conversation:sync brings back every conversation in one call', () =>
  cast(['alice', 'bob', 'carol'], async (alice, bob, carol) => {
    const [one, two, three] = await Promise.all([
      alice.direct(bob),
      alice.group('Second', bob),
      alice.group('Third', carol),
    ]);
    for (const c of [one, two]) {
      for (const content of ['x', 'y', 'z']) await alice.post('/api/messages', { conversationId: c.id, content });
    }
    const b = await connect(bob);
    const ack = await b.done('conversation:sync', {
      conversations: { [one.id]: 1, [two.id]: 3, [three.id]: 0, 'never-was': 7 },
    });
    const by = Object.fromEntries(ack.conversations.map((c) => [c.conversation.id, c]));
    assert.deepEqual(Object.keys(by).sort(), [one.id, two.id].sort());
    assert.deepEqual([seqs(by[one.id].messages), by[one.id].lastSeq, by[one.id].hasMore], [[2, 3], 3, false]);
    assert.deepEqual([by[two.id].messages, by[two.id].lastSeq, by[two.id].hasMore], [[], 3, false]);
    assert.deepEqual([...ack.gone].sort(), [three.id, 'never-was'].sort());
    for (const c of [one, two]) {
      await alice.post('/api/messages', { conversationId: c.id, content: 'live' });
      await b.next('message:new', (m) => m.conversationId === c.id && m.seq === 4);
    }
  }));

await check('somebody who was never there finds everything on arrival', () =>
  cast(['alice', 'offline'], async (alice, offline) => {
    const { id } = await alice.direct(offline);
    const a = await connect(alice);
    await a.done('conversation:join', id);
    for (const content of ['are you', 'there?']) await send(a, id, content);
    const { conversations } = await offline.get('/api/conversations');
    const mine = conversations.find((c) => c.id === id);
    assert.deepEqual([mine.unreadCount, mine.lastSeq, mine.lastMessage.content], [2, 2, 'there?']);
    assert.equal(mine.participants.find((p) => p.userId === alice.id).online, true);
    const o = await connect(offline);
    const page = await o.done('conversation:join', id);
    assert.deepEqual(contents(page.messages), ['are you', 'there?']);
  }));

await check('a fresh token is taken in-band, of the same user only', () =>
  cast(['alice', 'bob'], async (alice, bob) => {
    const a = await connect(alice);
    await a.done('authenticate', { token: await token(alice.id) });
    await a.refused('forbidden', 'authenticate', { token: bob.token });
    await a.refused('unauthorized', 'authenticate', { token: 'x.y.z' });
    await a.refused('invalid', 'authenticate', {});
    const { id } = await alice.direct(bob);
    await a.done('conversation:join', id);
  }));

// --- nonsense ---

await check('unknown events and malformed payloads are answered, and the connection stays', () =>
  cast(['alice', 'bob'], async (alice, bob) => {
    const { id, a } = await talk(alice, bob);
    const before = a.socket.id;
    await a.refused(['invalid', 'not_found'], 'no:such:event', { x: 1 });
    a.socket.emit('no:such:event');
    const nonsense = [
      ['conversation:join'],
      ['conversation:join', null],
      ['conversation:join', 7],
      ['conversation:join', 'no spaces allowed'],
      ['conversation:join', { conversationId: id, after: -1 }],
      ['conversation:join', { conversationId: id, after: 'x' }],
      ['message:send'],
      ['message:send', 'text'],
      ['message:send', []],
      ['message:send', { conversationId: id }],
      ['message:send', { conversationId: id, content: 7 }],
      ['message:send', { conversationId: id, content: '' }],
      ['message:send', { conversationId: { $ne: 1 }, content: 'x' }],
      ['message:send', { conversationId: id, content: 'x', clientId: '' }],
      ['message:send', { conversationId: id, content: 'x', clientId: 'x'.repeat(129) }],
      ['message:send', { conversationId: id, content: 'x', metadata: 'x' }],
      ['message:read', {}],
      ['message:read', { messageIds: 'x' }],
      ['typing:start', {}],
      ['user:status', 3],
      ['conversation:sync', { conversations: [] }],
      ['conversation:sync', {}],
    ];
    for (const [event, ...args] of nonsense) await a.refused('invalid', event, ...args);
    await a.refused('too_large', 'message:send', { conversationId: id, content: 'x'.repeat(10_001) });
    await a.refused(['not_found', 'forbidden'], 'conversation:join', 'never-was');
    await a.refused(['not_found', 'forbidden'], 'message:read', { messageId: 'never-was' });

    a.forget();
    await waitFor(async () => {
      a.socket.emit('message:send', { conversationId: id });
      await a.fence();
      return a.heard('error', (e) => e.code === 'invalid').length > 0;
    }, 'an error event where no ack was asked');
    assert.equal(typeof a.heard('error')[0].message, 'string');
    assert.equal(a.socket.id, before, 'the same connection');
    assert.deepEqual(await alice.history(id), []);
  }));

await check('a flood is refused with the time to wait, and others feel nothing', () =>
  cast(['alice', 'bob', 'flooder'], async (alice, bob, flooder) => {
    const { id, a, b } = await talk(alice, bob);
    const f = await connect(flooder);
    const flood = Array.from({ length: BURST + 60 }, () => f.raw('user:status', 'online'));
    const message = await send(a, id, 'unbothered');
    await b.next('message:new', (m) => m.id === message.id);
    const answers = await Promise.all(flood);
    const refusals = answers.filter((x) => !x.ok);
    assert.ok(refusals.length > 0, 'some are refused');
    assert.ok(answers.length - refusals.length >= Math.min(BURST, 10), 'the burst is allowed');
    for (const { error } of refusals) {
      assert.equal(error.code, 'rate_limited');
      assert.ok(Number.isInteger(error.retry_after_ms) && error.retry_after_ms >= 1, JSON.stringify(error));
    }
    await pause(refusals.at(-1).error.retry_after_ms + 200);
    assert.equal((await f.raw('user:status', 'online')).ok, true, 'after waiting as told');
  }));

console.log(`# standard dialect over ${mode}: all good`);
process.exit(0);
