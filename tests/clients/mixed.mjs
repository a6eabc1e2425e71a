// Several paths and dialects in one gateway, and people of every dialect in one conversation: each
// hears every message once, in its own words, however it chose them.
//
//   node mixed.mjs
//
// The gateway's paths are those of the table, each with its dialect.

import assert from 'node:assert/strict';
import { cast, check } from './lib.mjs';

/** By dialect: where it is at home and how its clients talk. */
const DIALECTS = {
  standard: {
    path: '/socket.io',
    greeting: 'connected',
    join: 'conversation:join',
    send: (client, conversationId, content) => client.done('message:send', { conversationId, content }),
    hears: 'message:new',
    text: (m) => m.content,
    /** Whether the sender's own connection hears it too. */
    echo: false,
  },
  platform: {
    path: '/api/socketio',
    greeting: 'connection:success',
    join: 'conversation:join',
    send: (client, conversationId, content) => client.done('message:send', { conversationId, content }),
    hears: 'message:received',
    text: (m) => m.message.content,
    echo: true,
  },
  inkspot: {
    path: '/inkspot/socket',
    greeting: null,
    join: 'join-conversation',
    send: (client, conversationId, content) =>
      client.done('send-message', { conversationId, content, messageType: 'text' }),
    hears: 'new-message',
    text: (m) => m.content,
    echo: false,
  },
};
const names = Object.keys(DIALECTS);

/** Ways to come to a dialect: by its path, or by another's and a word in the handshake. */
const WAYS = {
  'by path': (who, dialect) => who.connect({ ...at(dialect), greeting: greeting(dialect) }),
  'by auth.dialect': (who, dialect) =>
    who.connect({ ...at(other(dialect)), greeting: greeting(dialect), auth: { token: who.token, dialect } }),
  'by query': (who, dialect) =>
    who.connect({ ...at(other(dialect)), greeting: greeting(dialect), query: { dialect } }),
  'by query, polling': (who, dialect) =>
    who.connect({ ...at(other(dialect)), greeting: greeting(dialect), query: { dialect }, transports: ['polling'] }),
};
const at = (dialect) => ({ path: DIALECTS[dialect].path });
const greeting = (dialect) => DIALECTS[dialect].greeting;
const other = (dialect) => names[(names.indexOf(dialect) + 1) % names.length];

for (const [way, connect] of Object.entries(WAYS)) {
  await check(`${names.join(', ')} in one conversation, chosen ${way}`, () =>
    cast(names, async (...people) => {
      const { id } = await people[0].group('All words', ...people.slice(1));
      const talkers = await Promise.all(
        people.map(async (who, i) => ({ ...DIALECTS[names[i]], client: await connect(who, names[i]) })),
      );
      for (const { client, join } of talkers) await client.done(join, id);
      const said = [];
      for (const round of [1, 2]) {
        for (const [i, { client, send }] of talkers.entries()) {
          said.push({ by: i, text: `${names[i]} says ${round}` });
          await send(client, id, said.at(-1).text);
        }
      }
      for (const [i, { client, hears, text, echo }] of talkers.entries()) {
        const expected = said.filter((s) => echo || s.by !== i).map((s) => s.text);
        await client.next(hears, (m) => text(m) === expected.at(-1));
        await client.fence();
        assert.deepEqual(client.heard(hears).map(text), expected.slice(0, -1), `${names[i]}, in order and once`);
        const foreign = talkers.map((t) => t.hears).filter((event) => event !== hears);
        for (const event of foreign) assert.equal(client.heard(event).length, 0, `${names[i]} heard ${event}`);
      }
    }));
}

await check('auth.dialect counts before the query', () =>
  cast(['alice'], async (alice) => {
    const auth = { token: alice.token, dialect: 'platform' };
    await alice.connect({ ...at('inkspot'), query: { dialect: 'standard' }, auth, greeting: greeting('platform') });
  }));

await check('a dialect that does not exist is refused with those that do', () =>
  cast(['alice'], async (alice) => {
    for (const choice of [
      { auth: { token: alice.token, dialect: 'klingon' } },
      { query: { dialect: '__proto__' } },
      { query: { dialect: 'Standard' } },
    ]) {
      await assert.rejects(alice.connect({ ...at('standard'), ...choice }), (e) => {
        assert.match(e.message, /^invalid\b/);
        for (const name of names) assert.ok(e.message.includes(name), e.message);
        return true;
      });
    }
  }));

console.log('# mixed: all good');
process.exit(0);
