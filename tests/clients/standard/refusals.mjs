// The standard dialect: nonsense and floods.

import assert from 'node:assert/strict';
import { cast, check, pause, waitFor } from '../lib.mjs';
import { BURST, connect, send, talk } from './stage.mjs';

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
      ['message:read', { messageIds: 7 }],
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
      await pause(250); // nothing is left of the burst, and what is refused is not looked at
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
