// A backend in Python, for scripts in JavaScript.

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const python = new URL('.venv/bin/python', import.meta.url).pathname;
const CODE = `
import sys, socketio
url, event, room = sys.argv[1:]
socketio.RedisManager(url, write_only=True).emit(event, 1, room=room)
`;

/** Emits by python-socketio's manager, in a process that lives for nothing else. */
export const emitByPython = (url, event, room) => promisify(execFile)(python, ['-c', CODE, url, event, room]);
