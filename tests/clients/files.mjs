// Files and search with clients of every dialect: what one uploads the others see and may fetch, and
// nobody else; what is said is found by its words.
//
//   node files.mjs
//
// The gateway speaks standard at its path; the others choose theirs in the handshake.

import assert from 'node:assert/strict';
import { crc32, deflateSync } from 'node:zlib';
import { GATEWAY, cast, check, waitFor } from './lib.mjs';
import { DIALECTS, names } from './words.mjs';

/** A picture of one colour (W3C PNG, third edition). */
function png(width, height) {
  const chunk = (type, data) => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(data.length);
    sum.writeUInt32BE(crc32(body));
    return Buffer.concat([length, body, sum]);
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, 2, 0, 0, 0], 8);
  const row = Buffer.alloc(1 + 3 * width, 90).fill(0, 0, 1);
  const rows = deflateSync(Buffer.concat(Array(height).fill(row)));
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([signature, chunk('IHDR', head), chunk('IDAT', rows), chunk('IEND', Buffer.alloc(0))]);
}

const authorization = (who) => ({ authorization: `Bearer ${who.token}` });

async function upload(who, bytes, name, type) {
  const body = new FormData();
  body.append('file', new Blob([bytes], { type }), name);
  const answer = await fetch(`${GATEWAY}/api/uploads`, { method: 'POST', headers: authorization(who), body });
  return [answer.status, await answer.json()];
}

async function download(who, url, headers = {}) {
  const answer = await fetch(GATEWAY + url, { headers: { ...authorization(who), ...headers } });
  return [answer.status, Buffer.from(await answer.arrayBuffer()), answer.headers];
}

/** A device of somebody who speaks that dialect, in the conversation. */
async function enter(who, dialect, id) {
  const { greeting, enter: go } = DIALECTS[dialect];
  const client = await who.connect({ greeting, auth: { token: who.token, dialect } });
  await go(client, id);
  return { client, dialect, who };
}

await check('what is uploaded is what its content shows', () =>
  cast(['alice'], async (alice) => {
    const [status, picture] = await upload(alice, png(640, 480), 'cat.txt', 'text/plain');
    assert.equal(status, 201);
    assert.deepEqual(
      [picture.type, picture.width, picture.height, picture.url],
      ['image/png', 640, 480, `/api/uploads/${picture.id}`],
    );
    const html = Buffer.from('<!DOCTYPE html><script>alert(1)</script>');
    assert.equal((await upload(alice, html, 'cat.png', 'image/png'))[0], 422);
    const [, bytes, headers] = await download(alice, picture.thumbnailUrl);
    assert.ok(bytes.length > 0);
    assert.match(headers.get('content-type'), /^image\//);
    assert.equal(headers.get('x-content-type-options'), 'nosniff');
  }));

await check(`pictures between people of each dialect: ${names.join(', ')}`, () =>
  cast([...names, 'mallory'], async (...people) => {
    const mallory = people.pop();
    const { id } = await people[0].group('Pictures', ...people.slice(1));
    const devices = await Promise.all(people.map((who, n) => enter(who, names[n], id)));
    for (const [n, { client, dialect, who }] of devices.entries()) {
      const bytes = png(40 + n, 30);
      const [, file] = await upload(who, bytes, `${dialect}.png`, 'image/png');
      const other = people.find((p) => p !== who);
      assert.equal((await download(other, file.url))[0], 404, 'it is nobody else\'s before it is sent');

      const [event, ...args] = DIALECTS[dialect].show(client, id, `look at ${dialect}`, [file], other.id);
      await client.done(event, ...args);
      for (const hearer of devices.filter((d) => d.who !== who)) {
        const [name, facts] = DIALECTS[hearer.dialect].heard;
        const heard = await hearer.client.next(name, (m) => facts(m)[2] === `look at ${dialect}`);
        const [seen] = DIALECTS[hearer.dialect].files(heard);
        assert.deepEqual(
          [seen.id, seen.name, seen.type, seen.width, seen.height, seen.url],
          [file.id, `${dialect}.png`, 'image/png', 40 + n, 30, file.url],
          `${dialect} to ${hearer.dialect}`,
        );
        const [status, fetched] = await download(hearer.who, seen.url);
        assert.equal(status, 200);
        assert.deepEqual(fetched, bytes);
      }
      const [part, first, headers] = await download(other, file.url, { range: 'bytes=0-7' });
      assert.deepEqual([part, first], [206, bytes.subarray(0, 8)]);
      assert.equal(headers.get('content-range'), `bytes 0-7/${bytes.length}`);
      assert.equal((await download(mallory, file.url))[0], 404, 'nor an intruder\'s afterwards');

      const unknown = DIALECTS[dialect].show(client, id, 'nothing', [{ id: 'never-was', url: '/api/uploads/never-was' }], other.id);
      await client.refused(['invalid', 'not_found', 'forbidden'], ...unknown);
      const stolen = (await upload(mallory, bytes, 'x.png', 'image/png'))[1];
      await client.refused(['invalid', 'not_found', 'forbidden'], ...DIALECTS[dialect].show(client, id, 'x', [stolen], other.id));
    }
  }));

await check('a picture needs no words', () =>
  cast(['alice', 'bob'], async (alice, bob) => {
    const { id } = await alice.direct(bob);
    for (const dialect of names) {
      const { client } = await enter(alice, dialect, id);
      const [, file] = await upload(alice, png(8, 8), 'a.png', 'image/png');
      const [event, ...args] = DIALECTS[dialect].show(client, id, '', [file], bob.id);
      await client.done(event, ...args);
    }
    const { messages } = await bob.get(`/api/conversations/${id}/messages`);
    assert.deepEqual(messages.map((m) => [m.content, m.attachments.length]), names.map(() => ['', 1]));
  }));

await check('what was said is found in every dialect, by those who take part', () =>
  cast(['alice', 'bob', 'mallory'], async (alice, bob, mallory) => {
    const { id } = await alice.direct(bob);
    const a = await enter(alice, 'standard', id);
    for (const text of ['The Zürich café at noon', 'no coffee here', 'Zurich again, Zürich always']) {
      await DIALECTS.standard.say(a.client, id, text);
    }
    // SQLite's index follows within a moment.
    await waitFor(async () => (await alice.get('/api/search?q=zurich')).hits.length === 2, 'the index to follow');
    for (const dialect of names) {
      const { client } = await enter(bob, dialect, id);
      const { search } = DIALECTS[dialect];
      const { hits, nextCursor } = await client.done(search, { query: 'zurich' });
      assert.equal(hits.length, 2, dialect);
      assert.equal(nextCursor, null);
      const marked = hits.map(({ highlight: h }) => h.ranges.map((r) => h.text.slice(r.start, r.end)));
      assert.deepEqual(marked, [['Zurich', 'Zürich'], ['Zürich']], dialect);
      assert.equal((await client.done(search, 'coffee')).hits.length, 1, dialect);
      const page = await client.done(search, { query: 'zurich', limit: 1 });
      const rest = await client.done(search, { query: 'zurich', limit: 1, cursor: page.nextCursor });
      assert.deepEqual([page.hits[0], rest.hits[0]], hits, dialect);
      await client.refused('invalid', search, { query: '-' });

      const stranger = await enter(mallory, dialect === 'direct' ? 'direct' : dialect, (await mallory.direct(bob)).id);
      assert.deepEqual((await stranger.client.done(search, 'zurich')).hits, [], dialect);
    }
    await assert.rejects(mallory.get(`/api/search?q=zurich&conversation=${id}`), { code: 'forbidden' });
  }));

console.log('# files and search: all good');
