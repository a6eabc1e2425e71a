// One person's side of a direct conversation: the socket, what is known, and what waits to be
// sent. Knows no page. Fires `change` whenever something that can be seen has changed.
//
// The rules that every client of the gateway can follow:
// - a message has a place, its `seq`: 1, 2, 3, ... without a gap, so a set by seq has no doubles;
// - after each connect, join with `after`, the last seq known without a gap, and take the pages;
// - a send carries a `clientId` of its own and is repeated with it until there is an answer.

import { io } from '/demo/vendor/socket.io.esm.min.js';

const ACK_TIMEOUT = 8000;
const TYPING_EVERY = 2000;
const TYPING_LASTS = 6000;
const EARLIER = 30;

export class Chat extends EventTarget {
  /** `connecting`, `online`, `reconnecting`, `paused` by the person, or `refused` by the gateway. */
  state = 'connecting';
  /** Why, where the state is `refused`. */
  reason = '';
  /** Messages by seq. */
  messages = new Map();
  /** What is written and not acknowledged: `{clientId, content, at, trouble}`, oldest first. */
  pending = [];
  /** Whether there are messages before the earliest one known. */
  hasEarlier = false;
  /** Whether the first page came. */
  loaded = false;
  /** How the other one is: `{online, status, lastSeen}`. */
  presence = { online: false, status: 'offline', lastSeen: null };
  /** Whether the other one is typing. */
  peerTypes = false;
  /** Up to which seq the other one received and read. */
  peerDelivered = 0;
  peerRead = 0;
  /** Up to which seq this person has read. */
  read = 0;

  #token = '';
  #path = '';
  #store = '';
  #complete = 0;
  #confirmed = 0;
  #byId = new Map();
  #attended = false;
  #sending = false;
  #typedAt = 0;
  #peerTyping = 0;
  #receipts = 0;
  #presenceChanges = 0;
  #retry = 0;

  constructor(me) {
    super();
    this.me = { id: me, name: me };
    this.peer = { id: '', name: '' };
  }

  // --- connecting ---

  /** Signs in, opens the conversation and connects. Throws where the demo cannot begin. */
  async start() {
    await this.#signIn();
    const { conversation } = await this.#rest('POST', '/api/conversations', { otherUserId: this.peer.id });
    this.conversationId = conversation.id;
    this.#store = `porchlight.demo.${this.me.id}.${conversation.id}`;
    this.pending = this.#kept();
    this.#take(conversation);
    this.#connect();
  }

  async #signIn() {
    const answer = await fetch('/demo/session', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ user: this.me.id }),
    });
    if (!answer.ok) throw new Error(`signing in failed (${answer.status})`);
    const { token, user, peer, socketPath } = await answer.json();
    Object.assign(this, { me: user, peer });
    this.#token = token;
    this.#path = socketPath;
  }

  #connect() {
    this.socket = io({
      path: this.#path,
      auth: (give) => give({ token: this.#token, dialect: 'standard' }),
      transports: ['websocket', 'polling'],
      tryAllTransports: true,
      forceNew: true,
      reconnectionDelay: 300,
      reconnectionDelayMax: 2500,
    });
    const on = (event, handle) => this.socket.on(event, handle);

    on('connect', () => this.#arrived());
    on('disconnect', (reason) => this.#gone(reason));
    on('connect_error', (error) => this.#notConnected(error));
    on('message:new', (message) => message.conversationId === this.conversationId && this.#came([message], true));
    on('message:delivered', (receipt) => this.#receipt(receipt, false));
    on('message:read', (receipt) => this.#receipt(receipt, true));
    on('typing:start', (e) => this.#fromPeer(e) && this.#peerTypes(true));
    on('typing:stop', (e) => this.#fromPeer(e) && this.#peerTypes(false));
    on('user:online', (e) => this.#peerIs(e, { online: true, status: e.status ?? 'online', lastSeen: null }));
    on('user:offline', (e) =>
      this.#peerIs(e, { online: false, status: 'offline', lastSeen: e.lastSeen ?? new Date().toISOString() }),
    );
  }

  #fromPeer({ userId, conversationId }) {
    return userId === this.peer.id && conversationId === this.conversationId;
  }

  async #arrived() {
    try {
      await this.#catchUp();
    } catch (error) {
      if (!this.socket.connected) return; // the next connect tries again
      this.#later(error.retryAfter ?? 1000, () => this.socket.connected && this.#arrived());
      return;
    }
    this.state = 'online';
    this.reason = '';
    this.#changed();
    this.#flush();
    this.#confirm();
    this.#lookForPeer();
  }

  /** How the other one is now; later changes come as events. */
  async #lookForPeer() {
    const changes = this.#presenceChanges;
    try {
      const { presence } = await this.#rest('GET', `/api/presence?users=${this.peer.id}`);
      // An event that came meanwhile is newer.
      if (changes === this.#presenceChanges) this.#peerIs(presence[0], presence[0]);
    } catch {
      this.#later(1000, () => this.state === 'online' && this.#lookForPeer());
    }
  }

  /** Joins the room and takes whatever was missed, page by page. */
  async #catchUp() {
    for (let more = true; more; ) {
      const known = this.loaded ? { after: this.#complete } : {};
      const page = await this.#ask('conversation:join', { conversationId: this.conversationId, ...known });
      more = this.loaded && page.hasMore;
      if (!this.loaded) {
        this.loaded = true;
        this.hasEarlier = page.hasMore;
        this.#complete = (page.messages[0]?.seq ?? page.lastSeq + 1) - 1;
      }
      this.#take(page.conversation);
      this.#came(page.messages, false);
    }
  }

  #gone(reason) {
    this.#peerTypes(false);
    if (reason === 'io client disconnect') {
      this.state = 'paused';
    } else {
      this.state = 'reconnecting';
      // Closed for good by the gateway: the client does not come back by itself. Once is worth it.
      if (reason === 'io server disconnect') this.#again(500);
    }
    this.#changed();
  }

  #notConnected(error) {
    if (this.state === 'paused') return;
    if (this.socket.active) {
      // No way to the gateway; the client keeps trying.
      if (this.state !== 'connecting') this.state = 'reconnecting';
    } else {
      this.state = 'refused';
      this.reason = error.message;
      this.#again(error.message.startsWith('forbidden') ? 30_000 : 2000);
    }
    this.#changed();
  }

  /** With a fresh token, for the old one may be what the gateway did not like. */
  #again(ms) {
    this.#later(ms, async () => {
      if (this.state === 'paused' || this.socket.connected) return;
      try {
        await this.#signIn();
      } catch {
        return this.#again(ms);
      }
      this.socket.connect();
    });
  }

  /** The person's own switch. */
  pause() {
    clearTimeout(this.#retry);
    this.state = 'paused';
    this.socket.disconnect();
    this.#changed();
  }

  resume() {
    this.state = this.loaded ? 'reconnecting' : 'connecting';
    this.socket.connect();
    this.#changed();
  }

  /** `websocket`, `polling`, or nothing. */
  get transport() {
    return this.socket?.connected ? this.socket.io.engine.transport.name : '';
  }

  // --- what comes ---

  #take(conversation) {
    for (const participant of conversation.participants) {
      const { userId, readSeq, deliveredSeq } = participant;
      if (userId === this.me.id) {
        this.read = Math.max(this.read, readSeq);
      } else {
        this.peerRead = Math.max(this.peerRead, readSeq);
        this.peerDelivered = Math.max(this.peerDelivered, deliveredSeq, readSeq);
      }
    }
    this.#changed();
  }

  #came(messages, live) {
    for (const message of messages) {
      if (message.clientId) this.#settle(message.clientId);
      this.messages.set(message.seq, message);
      this.#byId.set(message.id, message.seq);
      // Whoever answers has read: the gateway moves the sender's cursors with each message.
      if (message.senderId === this.me.id) {
        this.read = Math.max(this.read, message.seq);
      } else {
        this.peerRead = Math.max(this.peerRead, message.seq);
        this.peerDelivered = Math.max(this.peerDelivered, message.seq);
        if (live) this.#peerTypes(false);
      }
    }
    while (this.messages.has(this.#complete + 1)) this.#complete += 1;
    if (messages.length) {
      this.#changed();
      this.#confirm();
    }
  }

  #receipt({ messageId, userId, seq }, isRead) {
    const upTo = seq ?? this.#byId.get(messageId);
    if (upTo === undefined) return;
    if (userId === this.me.id) {
      // Read on another device of the same person.
      if (isRead) this.read = Math.max(this.read, upTo);
    } else {
      this.peerDelivered = Math.max(this.peerDelivered, upTo);
      if (isRead) this.peerRead = Math.max(this.peerRead, upTo);
    }
    this.#changed();
  }

  #peerTypes(on) {
    clearTimeout(this.#peerTyping);
    if (on) this.#peerTyping = setTimeout(() => this.#peerTypes(false), TYPING_LASTS);
    if (this.peerTypes === on) return;
    this.peerTypes = on;
    this.#changed();
  }

  #peerIs({ userId }, presence) {
    if (userId !== this.peer.id) return;
    this.#presenceChanges += 1;
    this.presence = presence;
    if (!presence.online) this.#peerTypes(false);
    this.#changed();
  }

  /** The page before the earliest message known. */
  async earlier() {
    const [first] = this.sorted();
    const path = `/api/conversations/${this.conversationId}/messages?before=${first.seq}&limit=${EARLIER}`;
    const page = await this.#rest('GET', path);
    this.hasEarlier = page.hasMore;
    this.#came(page.messages, false);
  }

  /** The messages known, by seq. */
  sorted() {
    return [...this.messages.values()].sort((a, b) => a.seq - b.seq);
  }

  // --- receipts ---

  /** How many messages of the other one are unread. */
  get unread() {
    let count = 0;
    for (const { seq, senderId } of this.messages.values()) {
      if (seq > this.read && senderId !== this.me.id) count += 1;
    }
    return count;
  }

  /** Whether the person is looking at the newest messages. */
  attend(on) {
    if (this.#attended === on) return;
    this.#attended = on;
    if (on) this.#confirm();
  }

  /** Tells soon, once for many, what was received and what was read. */
  #confirm() {
    clearTimeout(this.#receipts);
    this.#receipts = setTimeout(async () => {
      const newest = this.sorted().findLast((m) => m.senderId !== this.me.id);
      if (!newest || this.state !== 'online') return;
      const { id: messageId, seq } = newest;
      try {
        if (this.#attended && seq > this.read) {
          await this.#ask('message:read', { conversationId: this.conversationId, messageId });
          this.read = Math.max(this.read, seq);
          this.#confirmed = Math.max(this.#confirmed, seq);
          this.#changed();
        } else if (seq > this.#confirmed && seq > this.read) {
          await this.#ask('message:delivered', { conversationId: this.conversationId, messageId });
          this.#confirmed = Math.max(this.#confirmed, seq);
        }
      } catch (error) {
        if (error.retryAfter) this.#later(error.retryAfter, () => this.#confirm());
      }
    }, 120);
  }

  // --- what goes ---

  /** Puts a message into the queue; it goes when it can. */
  send(content) {
    this.pending.push({ clientId: randomId(), content, at: Date.now(), trouble: '' });
    this.stopTyping(false);
    this.#keep();
    this.#changed();
    this.#flush();
  }

  /** Tries a refused message again. */
  again(clientId) {
    const item = this.pending.find((p) => p.clientId === clientId);
    if (!item) return;
    item.trouble = '';
    this.#changed();
    this.#flush();
  }

  /** Forgets a refused message. */
  discard(clientId) {
    this.#settle(clientId);
    this.#changed();
  }

  /** Sends what waits, one after the other, so that it stays in order. */
  async #flush() {
    if (this.#sending) return;
    this.#sending = true;
    try {
      for (;;) {
        const item = this.pending.find((p) => !p.trouble);
        if (!item || this.state !== 'online') return;
        const { clientId, content } = item;
        try {
          const { message } = await this.#ask('message:send', {
            conversationId: this.conversationId,
            content,
            clientId,
          });
          this.#came([message], false);
          this.#settle(clientId);
        } catch (error) {
          if (error.code && !error.retryAfter) {
            item.trouble = error.message;
          } else {
            // No answer or not now. Offline, the next connect goes on; otherwise wait as told.
            await new Promise((done) => setTimeout(done, error.retryAfter ?? 500));
          }
        }
        this.#changed();
      }
    } finally {
      this.#sending = false;
    }
  }

  /** Told on each keystroke. */
  type(text) {
    if (!text) return this.stopTyping();
    if (this.state !== 'online' || Date.now() - this.#typedAt < TYPING_EVERY) return;
    this.#typedAt = Date.now();
    this.socket.emit('typing:start', { conversationId: this.conversationId });
  }

  /** With `tell` false the gateway knows anyway, from the message that follows. */
  stopTyping(tell = true) {
    const was = this.#typedAt;
    this.#typedAt = 0;
    if (was && tell && this.state === 'online') {
      this.socket.emit('typing:stop', { conversationId: this.conversationId });
    }
  }

  // --- the rest ---

  /** Emits and returns the ack. Throws with `code` and, where trying again helps, `retryAfter`. */
  async #ask(event, payload) {
    const ack = await this.socket.timeout(ACK_TIMEOUT).emitWithAck(event, payload);
    if (ack.ok) return ack;
    const { code, message, retry_after_ms } = ack.error;
    const retryAfter = retry_after_ms ?? (['unavailable', 'internal'].includes(code) ? 1000 : undefined);
    throw Object.assign(new Error(message), { code, retryAfter });
  }

  async #rest(method, path, body) {
    const answer = await fetch(path, {
      method,
      headers: { authorization: `Bearer ${this.#token}`, 'content-type': 'application/json' },
      body: body && JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(`${method} ${path} failed (${answer.status})`);
    return answer.json();
  }

  #later(ms, what) {
    clearTimeout(this.#retry);
    this.#retry = setTimeout(what, ms);
  }

  #settle(clientId) {
    const before = this.pending.length;
    this.pending = this.pending.filter((p) => p.clientId !== clientId);
    if (this.pending.length !== before) this.#keep();
  }

  /** What waits outlives a reload: its clientId makes sure that it is said once. */
  #keep() {
    try {
      localStorage.setItem(this.#store, JSON.stringify(this.pending));
    } catch {
      // Without storage the queue lives as long as the page.
    }
  }

  #kept() {
    try {
      return JSON.parse(localStorage.getItem(this.#store)) ?? [];
    } catch {
      return [];
    }
  }

  #changed() {
    this.dispatchEvent(new Event('change'));
  }
}

/** Unlike `crypto.randomUUID`, also on a plain http page of another machine. */
function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('');
}
