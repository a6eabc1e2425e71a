// Several paths and dialects in one gateway, and people of every dialect in one conversation: each
// hears every message once, in its own words, however it chose them.
//
//   node paths.mjs
//
// The gateway has a path for each dialect, as in the table.

import assert from 'node:assert/strict';
import { cast, check, waitFor } from './lib.mjs';
import { DIALECTS, names } from './words.mjs';

/** By dialect: where it is at home. */
const PATHS = {
  standard: '/socket.io',
  platform: '/api/socketio',
  threads: '/threads',
  inkspot: '/inkspot/socket',
  direct: '/direct',
};

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
const at = (dialect) => ({ path: PATHS[dialect] });
const greeting = (dialect) => DIALECTS[dialect].greeting;
const other = (dialect) => names[(names.indexOf(dialect) + 1) % names.length];

for (const [way, connect] of Object.entries(WAYS)) {
  await check(`${names.join(', ')} in one conversation, chosen ${way}`, () =>
    cast(names, async (...people) => {
      const { id } = await people[0].group('All words', ...people.slice(1));
      const talkers = await Promise.all(
        people.map(async (who, i) => ({ ...DIALECTS[names[i]], who, client: await connect(who, names[i]) })),
      );
      for (const { client, enter } of talkers) await enter(client, id);
      const said = [];
      for (const [i, { client, say, who }] of talkers.entries()) {
        said.push({ by: who, facts: [id, who.id, `${names[i]} says hello`] });
        await say(client, id, said.at(-1).facts[2], people[(i + 1) % people.length].id);
      }
      for (const { client, who, heard, echo } of talkers) {
        const expected = said.filter((s) => echo || s.by !== who).map((s) => s.facts);
        const [event, facts] = heard;
        await waitFor(() => client.heard(event).length >= expected.length, `all of it at ${who.id}`);
        await client.fence();
        assert.deepEqual(client.heard(event).map(facts), expected, `${who.id}: in order and once`);
        const foreign = talkers.map((t) => t.heard[0]).filter((name) => name !== event);
        for (const name of foreign) assert.equal(client.heard(name).length, 0, `${who.id} heard ${name}`);
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

console.log('# paths: all good');
process.exit(0);
