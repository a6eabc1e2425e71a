// The standard dialect: receipts, typing, presence.

import assert from 'node:assert/strict';
import { cast, check, pause, waitFor } from '../lib.mjs';
import { GRACE, ISO, TYPING, connect, send, talk } from './stage.mjs';

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
