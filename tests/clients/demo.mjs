// The demo page in headless Chromium: two people talk, the gateway is killed and comes back.
//
//   node demo.mjs
//
// The gateway's limits and presence grace may be the defaults. Whoever runs this answers the lines
// `please kill` and `please restart` by doing so. Screenshots go to the folder SCREENSHOTS names.
// CHROMIUM names the browser where it is not /usr/bin/chromium.

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { GATEWAY, PATIENCE, check, rest, waitFor } from './lib.mjs';

const shots = process.env.SCREENSHOTS ?? 'target/demo';
await mkdir(shots, { recursive: true });
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium' });
process.on('exit', () => browser.close());

/** What went wrong in any page, but for requests while the gateway is down. */
const wrong = [];
let down = false;

async function open(options) {
  const context = await browser.newContext({ deviceScaleFactor: 2, locale: 'en-GB', ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  page.on('pageerror', (error) => wrong.push(error.stack));
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type()) && !down) wrong.push(message.text());
  });
  await page.goto(`${GATEWAY}/demo`);
  await Promise.all(['alice', 'bob'].map((who) => state(page, who, 'online')));
  return page;
}

const state = (page, who, what) => page.waitForSelector(`#panel-${who}[data-state=${what}]`, { state: 'attached' });
const side = (page, who) => page.locator(`#panel-${who}`);
const field = (page, who) => side(page, who).locator('textarea');
const shot = (page, name) => page.screenshot({ path: join(shots, `${name}.png`), animations: 'disabled' });

/** The bubbles of one side, in order: text, seq, tick. */
const bubbles = (page, who) =>
  side(page, who).locator('.message').evaluateAll((rows) =>
    rows.map((row) => ({
      text: row.querySelector('.text').textContent,
      seq: row.dataset.seq ? Number(row.dataset.seq) : undefined,
      tick: row.querySelector('.ticks').dataset.state,
    })),
  );

const texts = async (page, who) => (await bubbles(page, who)).map((b) => b.text);
const last = async (page, who) => (await bubbles(page, who)).at(-1);

async function say(page, who, text) {
  await field(page, who).fill(text);
  await field(page, who).press('Enter');
}

const shows = (page, who, text) =>
  waitFor(async () => (await texts(page, who)).includes(text), `"${text}" on the side of ${who}`);

const ticks = (page, who, text, tick) =>
  waitFor(
    async () => (await bubbles(page, who)).findLast((b) => b.text === text)?.tick === tick,
    `"${text}" of ${who} to be ${tick}`,
  );

/** Both sides show every message that the gateway has after `from`, once and in order. */
async function complete(page, from = 0) {
  const { messages } = await rest(alice.token, 'GET', `${path}?after=${from}&limit=200`);
  const kept = messages.map((m) => [m.seq, m.content]);
  for (const who of ['alice', 'bob']) {
    const shown = async () => (await bubbles(page, who)).filter((b) => !(b.seq <= from)).map((b) => [b.seq, b.text]);
    await waitFor(async () => (await shown()).length >= kept.length, `all of it on the side of ${who}`);
    assert.deepEqual(await shown(), kept, who);
  }
}

const session = async (user) => {
  const answer = await fetch(`${GATEWAY}/demo/session`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ user }),
  });
  return { status: answer.status, ...(await answer.json()) };
};

let alice;
let path;
let desk;

await check('only the two people of the demo are signed in, and only by JSON', async () => {
  alice = await session('alice');
  assert.deepEqual([alice.user, alice.peer], [{ id: 'alice', name: 'Alice' }, { id: 'bob', name: 'Bob' }]);
  assert.equal((await session('mallory')).code, 'not_found');
  // What a form of another origin could send without asking first.
  const form = await fetch(`${GATEWAY}/demo/session`, { method: 'POST', body: '{"user":"alice"}' });
  assert.ok(form.status >= 400, `${form.status}`);
  const { conversation } = await rest(alice.token, 'POST', '/api/conversations', { otherUserId: 'bob' });
  path = `/api/conversations/${conversation.id}/messages`;
});

await check('files have types, validators and a strict policy; the client library is served too', async () => {
  for (const [file, type] of [
    ['', 'text/html'],
    ['/main.js', 'text/javascript'],
    ['/style.css', 'text/css'],
    ['/lamp.svg', 'image/svg+xml'],
  ]) {
    const answer = await fetch(`${GATEWAY}/demo${file}`);
    assert.equal(answer.status, 200, file);
    assert.ok(answer.headers.get('content-type').startsWith(type), file);
    assert.match(answer.headers.get('content-security-policy'), /default-src 'none'/);
    assert.doesNotMatch(answer.headers.get('content-security-policy'), /unsafe|https?:|\*/);
    const etag = answer.headers.get('etag');
    const again = await fetch(`${GATEWAY}/demo${file}`, { headers: { 'if-none-match': etag } });
    assert.equal(again.status, 304, file);
  }
  for (const file of ['socket.io.js', 'socket.io.min.js', 'socket.io.esm.min.js']) {
    const answer = await fetch(`${GATEWAY}${alice.socketPath}/${file}`);
    assert.match(answer.headers.get('content-type'), /javascript/);
    assert.match(await answer.text(), /Socket\.IO v4\.\d+\.\d+[^]*MIT License/, file);
  }
});

await check('two people are there, side by side', async () => {
  desk = await open({ viewport: { width: 1180, height: 780 }, colorScheme: 'light' });
  for (const [who, other] of [['alice', 'Bob'], ['bob', 'Alice']]) {
    assert.equal(await side(desk, who).locator('.peer-name').textContent(), other);
    await waitFor(
      async () => (await side(desk, who).locator('.peer-state').textContent()) === 'online',
      `${other} to be shown online`,
    );
    assert.ok(await side(desk, who).isVisible());
  }
  await shot(desk, '1-empty');
});

await check('typing is seen on the other side', async () => {
  await field(desk, 'alice').pressSequentially('Evening! Are', { delay: 20 });
  await side(desk, 'bob').locator('.typing').waitFor();
  assert.equal(await side(desk, 'bob').locator('.peer-state').textContent(), 'typing…');
  assert.ok(await side(desk, 'alice').locator('.typing').isHidden());
});

await check('a message arrives, and its ticks tell how far it came', async () => {
  await say(desk, 'alice', 'Evening! Are you still up?');
  await shows(desk, 'bob', 'Evening! Are you still up?');
  await side(desk, 'bob').locator('.typing').waitFor({ state: 'hidden' });
  await ticks(desk, 'alice', 'Evening! Are you still up?', 'delivered');
  assert.equal(await side(desk, 'bob').locator('.owner .badge').textContent(), '1');
  assert.equal(await desk.title(), '(1) Porchlight demo');

  await field(desk, 'bob').click();
  await ticks(desk, 'alice', 'Evening! Are you still up?', 'read');
  await side(desk, 'bob').locator('.owner .badge').waitFor({ state: 'hidden' });
  assert.equal(await desk.title(), 'Porchlight demo');
});

await check('several lines, and markup stays text', async () => {
  await say(desk, 'bob', 'Just closing the shop. The kettle is on, if you feel like walking over.');
  await field(desk, 'alice').pressSequentially('Give me ten minutes.');
  await field(desk, 'alice').press('Shift+Enter');
  await field(desk, 'alice').pressSequentially('Shall I bring the rest of the plum cake?');
  await field(desk, 'alice').press('Enter');
  await shows(desk, 'bob', 'Give me ten minutes.\nShall I bring the rest of the plum cake?');
  const markup = 'You have to ask? <b>Yes</b> <img src=x onerror="document.title=1">';
  await say(desk, 'bob', markup);
  await shows(desk, 'alice', markup);
  assert.equal(await desk.locator('.text b, .text img').count(), 0);
  await complete(desk);
});

await check('a reload shows the history', async () => {
  const before = await texts(desk, 'alice');
  await desk.reload();
  await Promise.all(['alice', 'bob'].map((who) => state(desk, who, 'online')));
  await waitFor(async () => (await texts(desk, 'alice')).length === before.length, 'the history');
  assert.deepEqual(await texts(desk, 'alice'), before);
  await complete(desk);
});

await check('what is written offline waits, and goes out in order', async () => {
  await side(desk, 'bob').locator('.wire input').click();
  await state(desk, 'bob', 'paused');
  await say(desk, 'bob', 'Hm, the tunnel again.');
  await say(desk, 'bob', 'These two wait.');
  await ticks(desk, 'bob', 'These two wait.', 'waiting');
  await say(desk, 'alice', 'Did you say something?');
  await ticks(desk, 'alice', 'Did you say something?', 'sent');
  await waitFor(
    async () => /^last seen/.test(await side(desk, 'alice').locator('.peer-state').textContent()),
    'Bob to be offline on the side of Alice',
  );
  await shot(desk, '2-offline');
  await side(desk, 'bob').locator('.wire input').click();
  await shows(desk, 'alice', 'These two wait.');
  await shows(desk, 'bob', 'Did you say something?');
  await complete(desk);
});

await check('the gateway is killed: both sides reconnect by themselves, with nothing lost or doubled', async () => {
  down = true;
  console.log('please kill');
  await Promise.all(['alice', 'bob'].map((who) => state(desk, who, 'reconnecting')));
  await side(desk, 'alice').locator('.banner').waitFor();
  await say(desk, 'alice', 'Written while the light was out.');
  await say(desk, 'bob', 'Here too.');
  await ticks(desk, 'alice', 'Written while the light was out.', 'waiting');
  await shot(desk, '3-reconnecting');

  console.log('please restart');
  await Promise.all(['alice', 'bob'].map((who) => state(desk, who, 'online')));
  down = false;
  await shows(desk, 'bob', 'Written while the light was out.');
  await shows(desk, 'alice', 'Here too.');
  await side(desk, 'alice').locator('.banner').waitFor({ state: 'hidden' });
  await field(desk, 'bob').click();
  await ticks(desk, 'alice', 'Written while the light was out.', 'read');
  await complete(desk);
});

await check('what waits outlives a reload, and is said once', async () => {
  await side(desk, 'alice').locator('.wire input').click();
  await state(desk, 'alice', 'paused');
  await say(desk, 'alice', 'Kept over a reload.');
  await desk.reload();
  await shows(desk, 'bob', 'Kept over a reload.');
  await complete(desk);
  assert.equal((await texts(desk, 'bob')).filter((t) => t === 'Kept over a reload.').length, 1);
});

await check('unread messages are marked where they begin', async () => {
  await field(desk, 'alice').click();
  await say(desk, 'alice', 'On my way.');
  await field(desk, 'alice').pressSequentially('One more th', { delay: 10 });
  await side(desk, 'bob').locator('.typing').waitFor();
  await side(desk, 'bob').locator('.line.new').waitFor();
  await shot(desk, '4-talk');
  await desk.emulateMedia({ colorScheme: 'dark' });
  await shot(desk, '5-talk-dark');
  await field(desk, 'alice').fill('');
});

await check('a long history comes page by page and stays where it is', async () => {
  for (let n = 1; n <= 70; n += 1) {
    await rest(alice.token, 'POST', '/api/messages', { conversationId: path.split('/')[3], content: `Note ${n}` });
  }
  await shows(desk, 'bob', 'Note 70');
  await desk.reload();
  await shows(desk, 'alice', 'Note 70');
  assert.equal((await bubbles(desk, 'alice')).length, 50);
  const earlier = side(desk, 'alice').locator('.earlier');
  const total = (await last(desk, 'alice')).seq;
  const note = side(desk, 'alice').locator('.message', { hasText: /^\s*Note 21/ });
  while (await earlier.isVisible()) {
    const before = (await bubbles(desk, 'alice')).length;
    await earlier.scrollIntoViewIfNeeded();
    const y = (await note.boundingBox()).y;
    await earlier.click();
    await waitFor(async () => (await bubbles(desk, 'alice')).length > before, 'the page before');
    const moved = Math.abs((await note.boundingBox()).y - y);
    assert.ok(moved < 60, `what is on the screen moved by ${moved} px`);
  }
  assert.deepEqual((await bubbles(desk, 'alice')).map((b) => b.seq), Array.from({ length: total }, (_, i) => i + 1));

  await say(desk, 'bob', 'Still reading?');
  await side(desk, 'alice').locator('.jump', { hasText: '1 new' }).waitFor();
  const [card, list] = await Promise.all(
    ['.card', '.scroll'].map(async (part) => (await side(desk, 'alice').locator(part).boundingBox()).width),
  );
  assert.ok(Math.abs(card - list) <= 2, `the list is as wide as its card: ${list} of ${card}`);
  await shot(desk, '6-history');
  await side(desk, 'alice').locator('.jump').click();
  await ticks(desk, 'bob', 'Still reading?', 'read');
});

await check('on a phone there is one side at a time, with the other one’s unread count', async () => {
  await desk.close();
  const phone = await open({
    viewport: { width: 390, height: 844 },
    colorScheme: 'dark',
    isMobile: true,
    hasTouch: true,
  });
  assert.ok(await side(phone, 'alice').isVisible());
  assert.ok(await side(phone, 'bob').isHidden());
  await field(phone, 'alice').tap();
  await say(phone, 'alice', 'See you at the gate.');
  await phone.locator('#tab-bob .badge', { hasText: '1' }).waitFor();
  await shot(phone, '7-phone-alice');

  await phone.locator('#tab-bob').tap();
  assert.ok(await side(phone, 'alice').isHidden());
  await phone.locator('#tab-bob .badge').waitFor({ state: 'hidden' });
  await say(phone, 'bob', 'Bring a coat, it is getting cold.');
  await ticks(phone, 'bob', 'Bring a coat, it is getting cold.', 'delivered');
  await shot(phone, '8-phone-bob');
  await phone.emulateMedia({ colorScheme: 'light' });
  await shot(phone, '9-phone-light');

  const { wide, small } = await phone.evaluate(() => ({
    wide: document.documentElement.scrollWidth,
    small: [...document.querySelectorAll('button, .wire, textarea')]
      .map((e) => [e.className, e.getBoundingClientRect()])
      .filter(([, r]) => r.width && (r.width < 36 || r.height < 36))
      .map(([name, r]) => `${name} ${r.width}x${r.height}`),
  }));
  assert.ok(wide <= 390, `no wider than the screen: ${wide}`);
  assert.deepEqual(small, [], 'large enough for a thumb');
});

await check('nothing went wrong in the pages', () => assert.deepEqual(wrong, []));
await browser.close();
process.exit(0);
