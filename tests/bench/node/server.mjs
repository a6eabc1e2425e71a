// The Node server that Porchlight is measured against: socket.io with its default `ws` engine, the
// `standard` vocabulary as far as the load generator uses it, tokens and membership checked, and
// everything in memory. It stores nothing, unless DATABASE_URL is set: an acknowledged message is
// gone with the process.
//
// Environment: PORT (0 picks one), JWT_SECRET, PING_INTERVAL_MS; REDIS_URL makes it one of several
// nodes, by the adapter that REDIS_ADAPTER names (`classic` or `sharded`); DATABASE_URL (PostgreSQL)
// has it keep messages. Prints `listening PORT`.

import { createHmac, randomUUID, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";
import { Server } from "socket.io";

import { memory, postgres } from "./keep.mjs";

const secret = process.env.JWT_SECRET;
if (!secret) {
  console.error("JWT_SECRET is not set");
  process.exit(2);
}

/** The user id of a valid HS256 token, or undefined. */
function verify(token) {
  const [header, payload, signature, rest] = String(token ?? "").split(".");
  if (!header || !payload || !signature || rest !== undefined) return undefined;
  const expected = createHmac("sha256", secret).update(`${header}.${payload}`).digest();
  const given = Buffer.from(signature, "base64url");
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) return undefined;
  try {
    const { alg } = JSON.parse(Buffer.from(header, "base64url"));
    const claims = JSON.parse(Buffer.from(payload, "base64url"));
    if (alg !== "HS256" || !(claims.exp > Date.now() / 1000)) return undefined;
    return claims.sub;
  } catch {
    return undefined;
  }
}

const { DATABASE_URL, REDIS_URL, REDIS_ADAPTER } = process.env;
const kept = DATABASE_URL ? await postgres(DATABASE_URL) : memory();

/** What makes several nodes one, or undefined. */
async function adapter() {
  if (!REDIS_URL) return undefined;
  const { createClient } = await import("redis");
  const { createAdapter, createShardedAdapter } = await import("@socket.io/redis-adapter");
  const publisher = createClient({ url: REDIS_URL });
  const subscriber = publisher.duplicate();
  await Promise.all([publisher.connect(), subscriber.connect()]);
  const create = REDIS_ADAPTER === "sharded" ? createShardedAdapter : createAdapter;
  return create(publisher, subscriber);
}

/** id -> { id, members: Set of user ids, seq, sent: Map of sender and clientId -> message } */
const conversations = new Map();

const remember = (id, members) =>
  conversations.set(id, { id, members: new Set(members), seq: 0, sent: new Map() });

/** Makes a conversation that every node knows when this resolves. */
async function create(members) {
  const id = randomUUID();
  await kept.create(id);
  remember(id, members);
  if (REDIS_URL) await io.serverSideEmitWithAck("conversation", id, members);
  return id;
}

const http = createServer((request, response) => {
  const answer = (status, body) => {
    response.writeHead(status, { "content-type": "application/json" });
    response.end(JSON.stringify(body));
  };
  if (request.method !== "POST" || request.url !== "/api/conversations") {
    return answer(404, { code: "not_found" });
  }
  const user = verify(request.headers.authorization?.replace(/^Bearer /, ""));
  if (!user) return answer(401, { code: "unauthorized" });
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", async () => {
    try {
      const { participantIds } = JSON.parse(Buffer.concat(chunks));
      const id = await create([user, ...participantIds]);
      answer(201, { conversation: { id } });
    } catch {
      answer(400, { code: "invalid" });
    }
  });
});

const io = new Server(http, {
  pingInterval: Number(process.env.PING_INTERVAL_MS ?? 25000),
  pingTimeout: 60000,
  maxHttpBufferSize: 1e6,
  adapter: await adapter(),
});

io.on("conversation", (id, members, known) => {
  remember(id, members);
  known();
});

io.use((socket, next) => {
  socket.data.userId = verify(socket.handshake.auth.token);
  next(socket.data.userId ? undefined : new Error("unauthorized"));
});

io.on("connection", (socket) => {
  const { userId } = socket.data;
  socket.join(`user:${userId}`);
  socket.emit("connected", { userId, socketId: socket.id });

  /** The conversation if the user may use it; otherwise the caller is told. */
  const allowed = (id, ack) => {
    const conversation = conversations.get(id);
    if (conversation?.members.has(userId)) return conversation;
    ack?.({ ok: false, error: { code: "forbidden", message: "not a participant" } });
    return undefined;
  };

  socket.on("conversation:join", (argument, ack) => {
    const conversation = allowed(argument?.conversationId ?? argument, ack);
    if (!conversation) return;
    socket.join(`conversation:${conversation.id}`);
    ack?.({ ok: true, lastSeq: conversation.seq });
  });

  socket.on("message:send", async (sent, ack) => {
    const conversation = allowed(sent?.conversationId, ack);
    if (!conversation) return;
    const appended = kept.append(conversation, userId, sent);
    // What is in memory is there at once.
    const { message, fresh } = appended instanceof Promise ? await appended : appended;
    if (fresh) socket.to(`conversation:${conversation.id}`).emit("message:new", message);
    ack?.({ ok: true, message });
  });
});

http.listen(Number(process.env.PORT ?? 0), "127.0.0.1", () => {
  console.log(`listening ${http.address().port}`);
});
