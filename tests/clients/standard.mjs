// The standard dialect from a real client: every event in and out, refusals, reconnects, limits.
//
//   node standard.mjs websocket|polling|upgrade
//
// PORCHLIGHT_CHAT_PRESENCE_GRACE_MS, PORCHLIGHT_CHAT_TYPING_TIMEOUT_MS and
// PORCHLIGHT_LIMITS_EVENTS_BURST have the gateway's values where they are not the default.

import { mode } from './standard/stage.mjs';

console.log(`# standard dialect over ${mode}`);
for (const part of ['messages', 'presence', 'conversations', 'resume', 'refusals']) {
  await import(`./standard/${part}.mjs`);
}
console.log(`# standard dialect over ${mode}: all good`);
process.exit(0);
