// A typed client of the direct dialect: every event in both directions, and what must not compile.

import { io, type Socket } from 'socket.io-client';
import type { ClientToServerEvents, ServerToClientEvents } from './dialects/direct.js';

const socket: Socket<ServerToClientEvents, ClientToServerEvents> = io('http://127.0.0.1:4000', {
  auth: { token: 'a token' },
});

// --- what clients hear ---

socket.on('getMessage', ({ text, senderId, chatId, metadata, colour }) =>
  // What the sender may choose is whatever the sender chose.
  console.log(text, senderId, chatId, metadata.read === true, typeof colour),
);
socket.on('getOnlineUsers', (users) => console.log(users.map((id) => id.length)));
socket.on('error', ({ message, code }) => console.log(message, code));

// --- what clients say ---

socket.emit('newUser', 'ann');
socket.emit('reconnectUser', 'ann', ({ ok }) => console.log(ok));
socket.emit('heartbeat', 'ann');
socket.emit('logout');
const data = { text: 'Hello', senderId: 'ann', chatId: 'c-1', timestamp: Date.now(), colour: 'red' };
socket.emit('sendMessage', { receiverId: 'bob', data });
socket.timeout(5000).emit('sendMessage', { receiverId: 'bob', data }, (late, answer) => {
  if (!late && answer.ok) console.log(answer.messageId, answer.seq);
});

// --- what must not compile ---

socket.emit('newUser'); // wrong
socket.emit('newUser', 7); // wrong
socket.emit('sendMessage', { receiverId: 'bob' }); // wrong
socket.emit('sendMessage', { data }); // wrong
socket.emit('sendMessage', { receiverId: ['bob'], data }); // wrong
socket.on('getMessage', ({ text }) => console.log(text.toFixed())); // wrong
socket.on('getOnlineUsers', ({ users }) => console.log(users)); // wrong
