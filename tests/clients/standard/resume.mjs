// The standard dialect: coming back, after a moment and after a long while.

import assert from 'node:assert/strict';
import { cast, check, token, waitFor } from '../lib.mjs';
import { connect, contents, send, seqs, upTo } from './stage.mjs';

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
