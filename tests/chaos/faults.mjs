// What goes wrong, one kind at a time. A fault has
//
//   strike()  does it and returns the moment from which the healing counts: what broke is back, or, where
//             others take over, was lost
//   mend()    afterwards, once the rest has healed: brings back what is still missing
//
// Whoever runs this does what is printed as `do ...`, and writes into the file CHAOS_DONE how many it has done.

import { readFile } from 'node:fs/promises';
import { pause, waitFor } from '../clients/lib.mjs';

const list = (name) => process.env[name].split(',');

/** Where the nodes listen themselves: for clients, for operators. */
export const NODES = list('CHAOS_NODES');
export const OPS = list('CHAOS_OPS');

/** Nodes that are down for longer than a fault's strike. */
export const down = new Set();
export const up = () => [...NODES.keys()].filter((n) => !down.has(n));

/** How long something done to a server may take. */
const DONE_WITHIN = 120_000;

let asked = 0;

/** Has something done and waits until it is. */
async function act(what) {
  asked += 1;
  const mine = asked;
  console.log(`do ${what}`);
  const done = async () => Number(await readFile(process.env.CHAOS_DONE, 'utf8')) >= mine;
  await waitFor(done, what, DONE_WITHIN);
}

const now = () => performance.now();
const whole = async () => {};

/** The faults; `short` holds back for less long. */
export function faults(short) {
  const away = short ? 3_000 : 30_000;
  const cut = short ? 3_000 : 12_000;
  let killed = 0;
  const rounds = { postgres: 0, line: 0 };
  return {
    'kill -9 a node': {
      async strike() {
        killed = (killed + 1) % NODES.length;
        down.add(killed);
        const at = now();
        await act(`node ${killed} kill`);
        return at;
      },
      async mend() {
        await act(`node ${killed} start`);
        down.delete(killed);
      },
    },
    'Redis restarted empty': {
      async strike() {
        await act('redis stop');
        await act('redis start');
        return now();
      },
      mend: whole,
    },
    [`Redis away for ${away / 1000} s`]: {
      async strike() {
        await act('redis stop');
        await pause(away);
        await act('redis start');
        return now();
      },
      mend: whole,
    },
    'PostgreSQL restarted': {
      async strike() {
        // As operators do it, and as a crash does.
        await act(`postgres ${rounds.postgres++ % 2 ? 'crash' : 'stop'}`);
        await act('postgres start');
        return now();
      },
      mend: whole,
    },
    'a node cut off from Redis': {
      async strike() {
        // Packets are lost, or connections refused.
        await act(`line ${rounds.line++ % 2 ? 'closed' : 'silent'}`);
        await pause(cut);
        await act('line open');
        return now();
      },
      mend: whole,
    },
    'rolling deploy': {
      async strike() {
        for (const n of NODES.keys()) {
          await act(`node ${n} terminate`);
          await act(`node ${n} start`);
        }
        return now();
      },
      mend: whole,
    },
  };
}

/** Waits until every node that should be up says that it has all it needs. */
export async function allReady(ms) {
  const status = async (n) => {
    try {
      return (await (await fetch(`${OPS[n]}/ready`)).json()).status;
    } catch {
      return undefined;
    }
  };
  const ready = async () => (await Promise.all(up().map(status))).every((s) => s === 'ready');
  await waitFor(ready, 'every node to be ready', ms);
}
