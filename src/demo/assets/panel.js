// One person's screen. Draws what its Chat knows and hands over what the person does.

import { ago, day, exactly, otherDay, timeOfDay } from '/demo/format.js';

const CLOSE = 5 * 60_000;
const NEAR_END = 48;

/** Fills a round picture with somebody's initial and colour. */
export function avatar(element, { id, name }) {
  element.textContent = name.slice(0, 1).toUpperCase();
  element.dataset.person = id;
}

/** Shows a number, or nothing for none. */
export function badge(element, count) {
  element.hidden = count === 0;
  element.textContent = count > 99 ? '99+' : String(count);
  element.setAttribute('aria-label', `${count} unread`);
}

const template = (id) => document.querySelector(`#t-${id}`).content.firstElementChild.cloneNode(true);

const TICKS = {
  waiting: ['i-waiting', 'waiting to be sent'],
  failed: ['i-failed', 'not sent'],
  sent: ['i-sent', 'sent'],
  delivered: ['i-delivered', 'delivered'],
  read: ['i-delivered', 'read'],
};

export class Panel {
  #chat;
  #rows = new Map();
  #wanted = false;
  #drawing = 0;
  #atEnd = true;
  #endTop = 0;
  #newFrom = Infinity;
  #seenUpTo = 0;

  /** `onLook` is told when the person turns to this panel. */
  constructor(chat, onLook) {
    this.#chat = chat;
    this.root = template('panel');
    this.root.id = `panel-${chat.me.id}`;
    this.root.dataset.person = chat.me.id;
    this.el = new Proxy({}, { get: (_, name) => this.root.querySelector(`.${name}`) });
    const { scroll, composer, wire, earlier, jump } = this.el;
    const text = composer.querySelector('textarea');

    this.root.addEventListener('pointerdown', onLook);
    this.root.addEventListener('focusin', onLook);
    chat.addEventListener('change', () => this.#soon());

    scroll.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    new ResizeObserver(() => this.#atEnd && this.#toEnd()).observe(scroll);
    jump.addEventListener('click', () => {
      this.#toEnd();
      text.focus({ preventScroll: true });
    });
    earlier.addEventListener('click', () => this.#earlier());

    wire.querySelector('input').addEventListener('change', (event) =>
      event.target.checked ? chat.resume() : chat.pause(),
    );

    text.addEventListener('input', () => {
      this.#fit(text);
      chat.type(text.value.trim());
    });
    text.addEventListener('blur', () => chat.stopTyping());
    text.addEventListener('keydown', (event) => {
      if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        composer.requestSubmit();
      }
    });
    composer.addEventListener('submit', (event) => {
      event.preventDefault();
      const content = text.value.trim();
      if (!content) return;
      text.value = '';
      this.#fit(text);
      this.#toEnd();
      this.#atEnd = true;
      this.#newFrom = Infinity;
      chat.send(content);
      text.focus({ preventScroll: true });
    });
    // The send button must not take the focus, or a phone's keyboard would go.
    this.el.send.addEventListener('pointerdown', (event) => event.preventDefault());
  }

  /** Whether the person looks at this panel. */
  attend(on) {
    if (this.#wanted && !on) this.#newFrom = Infinity;
    this.#wanted = on;
    this.#attention();
    this.#soon();
  }

  #attention() {
    this.#chat.attend(this.#wanted && this.#atEnd);
  }

  #soon() {
    // A hidden page has no animation frames, yet its title and badges go on.
    this.#drawing ||= setTimeout(() => this.draw(), 0);
  }

  /** Puts everything where it belongs. */
  draw() {
    clearTimeout(this.#drawing);
    this.#drawing = 0;
    // A scroll is told of in the next frame only; it is not to be undone before.
    if (this.el.scroll.scrollTop < this.#endTop) this.#scrolled();
    this.#drawHead();
    this.#drawMessages();
    if (this.#atEnd) this.#toEnd();
    const { unread } = this.#chat;
    this.el.jump.hidden = this.#atEnd;
    this.el['jump-text'].textContent = unread ? `${unread} new` : '';
    this.el.jump.setAttribute('aria-label', unread ? `${unread} new, go to the end` : 'Go to the end');
  }

  #drawHead() {
    const { me, peer, state, reason, presence, peerTypes, unread, transport } = this.#chat;
    const online = state === 'online';
    avatar(this.el.owner.querySelector('.avatar'), me);
    avatar(this.el.face.querySelector('.avatar'), peer);
    this.el['owner-name'].textContent = me.name;
    badge(this.el.owner.querySelector('.badge'), unread);
    this.el.transport.textContent = transport === 'websocket' ? 'WebSocket' : transport;
    this.el['peer-name'].textContent = peer.name;
    this.el.dot.dataset.presence = !online ? 'unknown' : presence.online ? presence.status : 'offline';
    say(this.el['peer-state'], online ? peerState(presence, peerTypes) : 'waiting for the connection');
    this.el['peer-state'].classList.toggle('busy-typing', online && peerTypes);

    const { wire, banner, composer } = this.el;
    wire.querySelector('input').checked = state !== 'paused';
    wire.querySelector('.wire-label').textContent =
      { online: 'Connected', paused: 'Offline', refused: 'Refused' }[state] ?? 'Connecting';
    this.root.dataset.state = state;

    const waiting = this.#chat.pending.filter((p) => !p.trouble).length;
    const queue = waiting ? ` ${waiting === 1 ? 'One message waits' : `${waiting} messages wait`} to be sent.` : '';
    const what = {
      connecting: 'Connecting…',
      reconnecting: `Reconnecting…${queue || ' What you write is kept.'}`,
      paused: `You are offline.${queue || ' What you write is kept.'}`,
      refused: `The gateway said no: ${reason}. Trying again…`,
    }[state];
    banner.hidden = online;
    if (what) say(this.el['banner-text'], what);

    const text = composer.querySelector('textarea');
    text.placeholder = `Message ${peer.name}`;
    text.setAttribute('aria-label', `Message from ${me.name} to ${peer.name}`);
    this.el.scroll.setAttribute('aria-label', `Messages between ${me.name} and ${peer.name}`);
    wire.querySelector('input').setAttribute('aria-label', `${me.name}'s connection`);
  }

  #drawMessages() {
    const { me, peer, pending, loaded, hasEarlier, peerTypes, read } = this.#chat;
    const messages = this.#chat.sorted();
    const list = this.el.messages;
    const wanted = [];
    let previous;

    const firstUnread = messages.find((m) => m.seq > read && m.senderId !== me.id);
    if (firstUnread && !(this.#wanted && this.#atEnd)) {
      this.#newFrom = Math.min(this.#newFrom, firstUnread.seq);
    }

    const put = (entry) => {
      if (!previous || otherDay(previous.timestamp, entry.timestamp)) {
        wanted.push(this.#line(`day ${day(entry.timestamp)}`, day(entry.timestamp), 'day'));
        previous = undefined;
      }
      if (entry.seq === this.#newFrom) {
        wanted.push(this.#line('new', 'New', 'new'));
        previous = undefined;
      }
      const follows =
        previous?.senderId === entry.senderId &&
        new Date(entry.timestamp) - new Date(previous.timestamp) < CLOSE;
      const row = this.#message(entry, follows);
      if (follows) wanted.at(-1).classList.add('followed');
      wanted.push(row);
      previous = entry;
    };
    messages.forEach(put);
    for (const { clientId, content, at, trouble } of pending) {
      put({ clientId, content, trouble, timestamp: at, senderId: me.id, waiting: true });
    }

    const keep = new Set(wanted);
    for (const [key, row] of this.#rows) {
      if (keep.has(row)) continue;
      row.remove();
      this.#rows.delete(key);
    }
    wanted.forEach((row, i) => {
      if (list.children[i] !== row) list.insertBefore(row, list.children[i] ?? null);
    });

    this.el.earlier.hidden = !hasEarlier;
    this.el.empty.hidden = !loaded || wanted.length > 0;
    this.el['empty-text'].textContent = `Say hello: it shows up on ${peer.name}’s side.`;
    this.el.typing.hidden = !peerTypes;
    this.#seenUpTo = messages.at(-1)?.seq ?? 0;
  }

  #line(key, text, kind) {
    const row = this.#row(key, 'line');
    row.classList.add(kind);
    row.firstElementChild.textContent = text;
    return row;
  }

  #message({ seq, clientId, senderId, content, timestamp, waiting, trouble }, follows) {
    const mine = senderId === this.#chat.me.id;
    const key = mine && clientId ? `own ${clientId}` : `seq ${seq}`;
    const isNew = !this.#rows.has(key);
    const row = this.#row(key, 'message');
    if (isNew) {
      // History appears as it is; only what is said now moves.
      row.classList.toggle('fresh', waiting || seq === this.#seenUpTo + 1);
      row.classList.toggle('mine', mine);
      row.querySelector('.text').textContent = content;
      row.querySelector('.again').addEventListener('click', () => this.#chat.again(clientId));
      row.querySelector('.discard').addEventListener('click', () => this.#chat.discard(clientId));
    }
    row.classList.remove('followed');
    row.classList.toggle('follows', follows);
    if (seq) row.dataset.seq = seq;
    const time = row.querySelector('time');
    time.textContent = timeOfDay(timestamp);
    time.title = exactly(timestamp);

    if (mine) {
      const state = trouble ? 'failed' : waiting ? 'waiting' : this.#progress(seq);
      const ticks = row.querySelector('.ticks');
      ticks.hidden = false;
      if (ticks.dataset.state !== state) {
        const [icon, label] = TICKS[state];
        ticks.dataset.state = state;
        ticks.title = label;
        ticks.querySelector('use').setAttribute('href', `#${icon}`);
        ticks.querySelector('.hidden').textContent = label;
      }
      row.querySelector('.trouble').hidden = !trouble;
      row.querySelector('.trouble-text').textContent = trouble ?? '';
    }
    return row;
  }

  #progress(seq) {
    if (seq <= this.#chat.peerRead) return 'read';
    return seq <= this.#chat.peerDelivered ? 'delivered' : 'sent';
  }

  #row(key, kind) {
    let row = this.#rows.get(key);
    if (!row) {
      row = template(kind);
      this.#rows.set(key, row);
    }
    return row;
  }

  #scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.el.scroll;
    const atEnd = scrollHeight - scrollTop - clientHeight < NEAR_END;
    if (atEnd === this.#atEnd) return;
    this.#atEnd = atEnd;
    this.#attention();
    this.#soon();
  }

  #toEnd() {
    this.el.scroll.scrollTop = this.el.scroll.scrollHeight;
    this.#endTop = this.el.scroll.scrollTop;
  }

  /** Loads the page before, and keeps what is on the screen where it is. */
  async #earlier() {
    const { scroll, earlier } = this.el;
    earlier.disabled = true;
    try {
      this.#atEnd = false;
      await this.#chat.earlier();
      const fromEnd = scroll.scrollHeight - scroll.scrollTop;
      this.draw();
      scroll.scrollTop = scroll.scrollHeight - fromEnd;
    } catch (error) {
      say(earlier, `${error.message}. Try again`);
    } finally {
      earlier.disabled = false;
      this.#scrolled();
    }
  }

  #fit(text) {
    this.el.send.disabled = !text.value.trim();
    text.style.height = 'auto';
    text.style.height = `${text.scrollHeight}px`;
  }
}

function peerState({ online, status, lastSeen }, types) {
  if (types) return 'typing…';
  if (online) return status;
  return lastSeen ? `last seen ${ago(lastSeen)}` : 'offline';
}

/** Sets the text of a live region only when it differs, or it would be read out again. */
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
