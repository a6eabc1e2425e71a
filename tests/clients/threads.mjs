// The threads dialect from a real client, as its document and real clients use it: every event in
// and out, with two devices of one user, an intruder, and somebody who was offline.
//
//   node threads.mjs
//
// The gateway speaks threads at its path. PORCHLIGHT_CHAT_PRESENCE_GRACE_MS and
// PORCHLIGHT_CHAT_TYPING_TIMEOUT_MS have its values where they are not the default.

import assert from 'node:assert/strict';
import { cast, check, waitFor } from './lib.mjs';

const number = (name, otherwise) => Number(process.env[name] ?? otherwise);
const GRACE = number('PORCHLIGHT_CHAT_PRESENCE_GRACE_MS', 5000);
const TYPING = number('PORCHLIGHT_CHAT_TYPING_TIMEOUT_MS', 3000);
const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

const connect = (who, options) =>
  who.connect({ transports: ['websocket', 'polling'], greeting: 'connection_status', ...options });
const upTo = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

/** Two people in the thread of the two, both in its room. */
async function talk(alice, bob) {
  const { id } = await alice.direct(bob);
  const [a, b] = await Promise.all([connect(alice), connect(bob)]);
  await Promise.all([a.done('join_message_thread', id), b.done('join_message_thread', id)]);
  return { id, a, b };
}

const send = (client, messageId, message, more = {}) =>
  client.done('send_message', { messageId, message, messageType: 'text', ...more });

await check('the greeting tells that it is connected, and as whom', () =>
  cast(['alice', 'bob'], async (alice, bob) => {
    const a = await connect(alice);
    const status = await a.next('connection_status');
    assert.deepEqual([status.status, status.connected, status.userId], ['connected', true, alice.id]);
    assert.match(status.timestamp, ISO);
    await connect(alice, { auth: { token: alice.token, userId: alice.id } });
    for (const auth of [{}, { token: 'x.y.z' }]) {
      await assert.rejects(connect(alice, { auth, reconnection: false }), /^Error: unauthorized/);
    }
    const claiming = { token: alice.token, userId: bob.id };
    await assert.rejects(connect(alice, { auth: claiming, reconnection: false }), /^Error: forbidden/);
  }));

await check('a message reaches everyone in their own form', () =>
  cast(['alice', 'bob', 'carol'], async (alice, bob, carol) => {
    const { id } = await alice.group('Garden', bob, carol);
    const [a1, a2, a3, b, c] = await Promise.all([alice, alice, alice, bob, carol].map((who) => connect(who)));
    await a1.done('join_message_thread', id);
    await a2.done('join_message_thread', { threadId: id, username: 'Alice' });
    await b.done('join_message_thread', { threadId: id });

    const ack = await send(a1, id, 'hello', { clientId: 'k-1' });
    const said = { messageId: id, message: 'hello', messageType: 'text', seq: 1, id: ack.id, clientId: 'k-1' };
    const sender = { id: alice.id, name: alice.name, email: null };
    const sent = await a1.next('message_sent');
    assert.deepEqual(sent, { ...said, timestamp: sent.timestamp });
    assert.match(sent.timestamp, ISO);
    const { timestamp } = sent;
    assert.deepEqual(await b.next('new_message'), { ...said, timestamp, sender, isFromCurrentUser: false });
    assert.deepEqual(await a2.next('new_message'), { ...said, timestamp, sender, isFromCurrentUser: true });
    assert.deepEqual(await c.next('new_message_notification'), { ...said, timestamp, sender });

    await Promise.all([a1, a2, a3, b, c].map((client) => client.fence()));
    for (const client of [a1, a2, a3, b, c]) {
      const words = client.log.filter((e) => /message/.test(e.event));
      assert.deepEqual(words, [], 'each hears it once');
    }

    // The same by position, also of another sort.
    await b.done('send_message', id, 'and back');
    await b.done('send_message', id, 'look', 'image');
    for (const [message, messageType] of [['and back', 'text'], ['look', 'image']]) {
      const heard = await a1.next('new_message', (m) => m.message === message);
      assert.deepEqual([heard.messageType, heard.sender.id, heard.isFromCurrentUser], [messageType, bob.id, false]);
      await a3.next('new_message_notification', (m) => m.message === message);
    }
    await b.done('leave_message_thread', id);
    await a2.done('leave_message_thread', { threadId: id });
    await send(a1, id, 'gone?');
    await b.next('new_message_notification', (m) => m.message === 'gone?');
    await a2.fence();
    assert.equal(a2.heard('new_message', (m) => m.message === 'gone?').length, 0);
  }));

await check('no ack is needed: the confirmation and the error are events', () =>
  cast(['alice', 'bob'], async (alice, bob) => {
    const { id, a, b } = await talk(alice, bob);
    a.socket.emit('send_message', { messageId: id, message: 'quietly', messageType: 'text' });
    assert.equal((await a.next('message_sent')).message, 'quietly');
    await b.next('new_message');
    a.socket.emit('send_message', { messageId: id });
    const error = await a.next('error');
    assert.equal(typeof error.message, 'string');
    assert.equal(error.code, 'invalid');
  }));

await check('a send repeated with its clientId is one message, confirmed each time', () =>
  cast(['alice', 'bob'], async (alice, bob) => {
    const { id, a, b } = await talk(alice, bob);
    const one = await send(a, id, 'once', { clientId: 7 });
    const two = await send(a, id, 'once', { clientId: 7 });
    assert.deepEqual([two.id, two.seq], [one.id, 1]);
    await waitFor(() => a.heard('message_sent', (m) => m.id === one.id).length === 2, 'two confirmations');
    await b.next('new_message');
    await b.fence();
    assert.equal(b.heard('new_message').length, 0);
  }));

await check('joining gives the newest 50, then pages before and after', () =>
  cast(['alice', 'bob'], async (alice, bob) => {
    const { id } = await alice.direct(bob);
    for (let n = 1; n <= 57; n += 1) {
      await (n % 2 ? alice : bob).post('/api/messages', { conversationId: id, content: `${n}` });
    }
    const a = await connect(alice);
    const page = async (arg) => {
      const { messages, hasMore, lastSeq, messageId } = await a.done('join_message_thread', arg);
      assert.deepEqual([messageId, lastSeq], [id, 57]);
      for (const m of messages) assert.equal(m.isFromCurrentUser, m.seq % 2 === 1, `message ${m.seq}`);
      return [messages.map((m) => m.seq), hasMore];
    };
    assert.deepEqual(await page(id), [upTo(8, 57), true]);
    assert.deepEqual(await page({ threadId: id, before: 8 }), [upTo(1, 7), false]);
    assert.deepEqual(await page({ threadId: id, after: 55 }), [[56, 57], false]);
    const { participants } = await a.done('join_message_thread', id);
    assert.deepEqual(participants.map((p) => p.id).sort(), [alice.id, bob.id].sort());
  }));

await check('typing reaches the others, and stops when told or by itself', () =>
  cast(['alice', 'bob'], async (alice, bob) => {
    const { id, a, b } = await talk(alice, bob);
    const shown = (isTyping) => ({ messageId: id, userId: alice.id, userName: alice.name, isTyping });
    for (const shape of [{ messageId: id }, id]) {
      await a.done('typing_start', shape);
      assert.deepEqual(await b.next('user_typing'), shown(true));
      await a.done('typing_stop', shape);
      assert.deepEqual(await b.next('user_typing'), shown(false));
    }
    await a.done('typing_start', id);
    await b.next('user_typing', (t) => t.isTyping);
    const began = performance.now();
    assert.deepEqual(await b.next('user_typing'), shown(false));
    const lasted = performance.now() - began;
    assert.ok(lasted > TYPING * 0.7 && lasted < TYPING + 3000, `stopped after ${Math.round(lasted)} ms`);
    await a.fence();
    assert.equal(a.heard('user_typing').length, 0);
  }));

await check('read receipts reach the sender and the room, in every shape', () =>
  cast(['alice', 'bob', 'carol'], async (alice, bob, carol) => {
    const { id } = await alice.group('Readers', bob, carol);
    const [a, b, c] = await Promise.all([alice, bob, carol].map((who) => connect(who)));
    await Promise.all([a, c].map((client) => client.done('join_message_thread', id)));
    const shapes = [
      (m) => [{ messageId: id, threadMessageId: m.id }],
      () => [{ messageId: id, threadMessageId: null }],
      (m) => [id, m.id],
      () => [id, null],
      () => [id],
    ];
    for (const shape of shapes) {
      const message = await send(a, id, 'read?');
      await b.done('mark_message_read', ...shape(message));
      for (const hearer of [a, c]) {
        const read = await hearer.next('message_read', (r) => r.threadMessageId === message.id);
        assert.deepEqual([read.messageId, read.readBy], [id, { id: bob.id, name: bob.name }]);
        assert.match(read.readAt, ISO);
      }
    }
  }));

await check('who is there, and how they are, is told once per change', () =>
  cast(['alice', 'bob', 'stranger'], async (alice, bob, stranger) => {
    await alice.direct(bob);
    const [b, s] = await Promise.all([connect(bob), connect(stranger)]);
    const a1 = await connect(alice);
    const a2 = await connect(alice);
    const online = await b.next('user_status_change', (e) => e.userId === alice.id);
    assert.equal(online.isOnline, true);
    assert.match(online.timestamp, ISO);
    for (const status of ['away', 'busy', 'offline', 'online']) {
      await a1.done('update_status', status);
      for (const hearer of [b, a2]) {
        const update = await hearer.next('user_status_update', (e) => e.userId === alice.id);
        assert.equal(update.status, status);
        assert.match(update.timestamp, ISO);
      }
    }
    await a1.done('update_status', { status: 'busy' });
    await b.next('user_status_update', (e) => e.status === 'busy');
    await a1.refused('invalid', 'update_status', 'dancing');
    const left = performance.now();
    a1.close();
    a2.close();
    const offline = await b.next('user_status_change', (e) => e.userId === alice.id);
    assert.equal(offline.isOnline, false);
    assert.ok(performance.now() - left > GRACE * 0.7, 'not before the grace');
    await s.fence();
    assert.deepEqual(s.log.filter((e) => JSON.stringify(e).includes(alice.id)), []);
  }));

await check('an intruder gets in nowhere and hears nothing', () =>
  cast(['alice', 'bob', 'intruder'], async (alice, bob, intruder) => {
    const { id, a, b } = await talk(alice, bob);
    const x = await connect(intruder);
    const message = await send(a, id, 'between us');
    const closed = ['forbidden', 'not_found'];
    await x.refused(closed, 'join_message_thread', id);
    await x.refused(closed, 'join_message_thread', { threadId: id, username: 'alice', userId: intruder.id });
    await x.refused(closed, 'send_message', { messageId: id, message: 'boo' });
    await x.refused(closed, 'typing_start', id);
    await x.refused(closed, 'mark_message_read', id, message.id);
    await x.refused(closed, 'mark_message_read', { messageId: id, threadMessageId: null });
    await x.refused('forbidden', 'send_message', { messageId: id, message: 'boo', senderId: alice.id });
    await a.refused('forbidden', 'send_message', { messageId: id, message: 'as bob', senderId: bob.id });
    await send(a, id, 'still between us');
    await b.next('new_message', (m) => m.message === 'still between us');
    await x.fence();
    assert.deepEqual(x.log.filter((e) => JSON.stringify(e).includes(id)), []);
  }));

await check('somebody who was offline finds everything on arrival', () =>
  cast(['alice', 'offline'], async (alice, offline) => {
    const { id } = await alice.direct(offline);
    const a = await connect(alice);
    for (const text of ['are you', 'there?']) await send(a, id, text);
    const o = await connect(offline);
    const page = await o.done('join_message_thread', id);
    assert.deepEqual(page.messages.map((m) => [m.message, m.isFromCurrentUser]), [['are you', false], ['there?', false]]);
    await o.done('mark_message_read', id, null);
    await a.next('message_read', (r) => r.readBy.id === offline.id);
  }));

await check('nonsense, excess and floods are refused, and the connection stays', () =>
  cast(['alice', 'bob'], async (alice, bob) => {
    const { id, a } = await talk(alice, bob);
    const before = a.socket.id;
    const deep = JSON.parse('['.repeat(90) + ']'.repeat(90));
    const nonsense = [
      ['join_message_thread'],
      ['join_message_thread', { threadId: ['x'] }],
      ['join_message_thread', deep],
      ['send_message', id],
      ['send_message', { messageId: id, message: 7 }],
      ['send_message', { messageId: id, message: '' }],
      ['send_message', { messageId: { $ne: 1 }, message: 'x' }],
      ['send_message', { messageId: '__proto__', message: null }],
      ['typing_start', null],
      ['mark_message_read', { threadMessageId: {} }],
      ['update_status', 3],
      ['toString', 'x'],
      ['no_such_event', { x: 1 }],
    ];
    for (const [event, ...args] of nonsense) await a.refused('invalid', event, ...args);
    await a.refused('too_large', 'send_message', { messageId: id, message: 'x'.repeat(10_001) });
    await a.done('send_message', id, 'with too many arguments', 'text', 'key', 5, {}, [], null, 'more');
    const flood = await Promise.all(upTo(1, 80).map(() => a.raw('update_status', 'online')));
    const refused = flood.filter((answer) => !answer.ok);
    assert.ok(refused.length > 0 && refused.every((answer) => answer.error.code === 'rate_limited'));
    assert.equal(a.socket.id, before, 'the same connection');
    assert.equal((await alice.history(id)).length, 1);
  }));

console.log('# threads dialect: all good');
process.exit(0);
