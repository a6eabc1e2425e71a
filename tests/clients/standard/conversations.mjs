// The standard dialect: groups that change, and those who have no business in a conversation.

import assert from 'node:assert/strict';
import { RestError, cast, check } from '../lib.mjs';
import { connect, contents, send, talk } from './stage.mjs';

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
