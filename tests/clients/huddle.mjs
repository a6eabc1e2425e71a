// The dialect of docs/your-own-dialect.md from a real client: every event in both directions.
//
//   node huddle.mjs
//
// The gateway speaks it at /live.

import assert from 'node:assert/strict';
import { cast, check } from './lib.mjs';

const connect = (who) => who.connect({ path: '/live', greeting: 'hello' });

/** Acks of this dialect say `done`. */
async function done(client, event, ...args) {
  const answer = await client.raw(event, ...args);
  assert.equal(answer.done, true, `${event}: ${JSON.stringify(answer)}`);
  return answer;
}

async function refused(client, code, event, ...args) {
  const answer = await client.raw(event, ...args);
  assert.deepEqual([answer.done, answer.code, typeof answer.reason], [false, code, 'string']);
}

await check('Huddle: every event in both directions', () =>
  cast(['ann', 'ben', 'cem', 'mallory'], async (ann, ben, cem, mallory) => {
    const { id: room } = await ann.group('Kitchen', ben, cem);
    const [a1, a2, b, c] = [await connect(ann), await connect(ann), await connect(ben), await connect(cem)];
    assert.deepEqual(await a1.next('hello'), { me: ann.id, name: ann.name });

    for (const who of [ben, cem]) await a1.next('mood', (m) => m.who === who.id && m.mood === 'here');
    for (const [client, shape] of [[a1, room], [a2, { room }], [b, { room }]]) {
      await done(client, 'enter', shape);
      const { room: entered, posts, people } = await client.next('entered');
      assert.deepEqual([entered, posts], [room, []]);
      assert.deepEqual(people.map((p) => p.id).sort(), [ann.id, ben.id, cem.id].sort());
      assert.equal(people.find((p) => p.id === ann.id).role, 'admin');
      assert.deepEqual(people.filter((p) => p.id !== ann.id).map((p) => p.online), [true, true]);
    }

    const post = { room, text: 'Who took the milk?', nonce: 'n-1', author: ann.id };
    const { posted, at } = await done(a1, 'post', post);
    assert.ok(Math.abs(at - Date.now()) < 60_000, 'milliseconds');
    assert.equal((await done(a1, 'post', post)).posted, posted, 'a repeated post is one');
    const author = { id: ann.id, name: ann.name };
    const expected = { id: posted, seq: 1, room, text: post.text, author, at, nonce: 'n-1' };
    assert.deepEqual(await a2.next('posted'), { ...expected, mine: true });
    assert.deepEqual(await b.next('posted'), { ...expected, mine: false });
    assert.deepEqual(await c.next('nudge'), { room, from: ann.name, preview: post.text });
    await a1.fence();
    assert.equal(a1.heard('posted').length, 0);

    await done(b, 'composing', { room, active: true });
    const who = { id: ben.id, name: ben.name };
    assert.deepEqual(await a1.next('composing'), { room, who, active: true });
    await done(b, 'composing', { room, active: false });
    assert.equal((await a1.next('composing')).active, false);

    await done(b, 'seen', posted);
    const seen = await a1.next('seen');
    assert.deepEqual([seen.post, seen.by, typeof seen.at], [posted, ben.id, 'number']);

    b.forget();
    for (const [mood] of [['dnd'], ['away'], ['here']]) {
      await done(a1, 'mood', mood);
      await b.next('mood', (m) => m.who === ann.id && m.mood === mood);
    }

    await done(b, 'exit', { room });
    await done(a1, 'post', { room, text: 'It was me' });
    await b.next('nudge', (n) => n.preview === 'It was me');
    await done(b, 'enter', { room, after: 1 });
    assert.deepEqual((await b.next('entered')).posts.map((p) => p.text), ['It was me']);

    const m = await connect(mallory);
    await refused(m, 'forbidden', 'enter', room);
    await refused(m, 'forbidden', 'post', { room, text: 'boo' });
    await refused(m, 'forbidden', 'post', { room, text: 'boo', author: ann.id });
    await refused(a1, 'too_large', 'post', { room, text: 'x'.repeat(2001) });
    await refused(a1, 'invalid', 'mood', 'dancing');
    a1.socket.emit('warble', 'a word that no log has');
    a1.socket.emit('post', { room });
    assert.equal((await a1.next('oops')).code, 'invalid');
  }));

console.log('# huddle: all good');
process.exit(0);
