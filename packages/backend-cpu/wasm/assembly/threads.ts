/**
 * Jobs in parts, for several threads. The caller publishes a job and computes parts itself until none is left; helpers that are awake or
 * wake up in time take parts too. A helper enters an open job and leaves it again, and the caller goes on when the job is closed and all
 * have left: whoever never entered is not waited for, so that helpers that are late, or gone, cost nothing.
 *
 * Which thread computes a part never changes its result: parts do not overlap, and each is computed as it would be by one thread.
 */
import { JOB, stopAddress, takenAddress } from './memory-map';
import { beginJob, runPart } from './jobs';

// @ts-ignore: decorator
@external("env", "slot")
declare const slot: i32;
// @ts-ignore: decorator
@external("env", "may_wait")
declare const mayWait: i32;
/** Called while the caller waits for a helper, rounds counted from 0; throws when that takes too long. With -1: throws since a helper failed. */
// @ts-ignore: decorator
@external("env", "overdue")
declare function overdue(round: i32): void;

/** Words that all threads change, each in a cache line of its own (src/wasm/interface.ts, THREADS). */
/** Counts jobs; helpers sleep on it. */
const EPOCH: usize = 1024;
/** OPEN, and how many helpers are inside the job. The caller sleeps on it. */
const STATE: usize = 1088;
/** The next part. */
const NEXT: usize = 1152;
/** Helpers that sleep or are about to. */
const SLEEPING: usize = 1216;
/** Helpers that have begun to serve. */
const READY: usize = 1280;
/** Threads that may be used, the caller among them; 0 (a fresh memory) means 1. */
const LIMIT: usize = 1344;
/** Not 0 when a helper has failed in the middle of a job. */
const FAILED: usize = 1408;
/** Work below which a job is the caller's alone. */
const LEAST: usize = 1472;

const OPEN: i32 = 1 << 16;

const J_KIND: usize = 0;
const J_PARTS: usize = 4;

/** Looks at a word before a helper sleeps: about 20 µs, longer than from one layer to the next. */
const HELPER_SPINS: i32 = 20000;
/** Looks before the caller sleeps, or asks whether it has waited too long. */
const CALLER_SPINS: i32 = 4000;
const ASK_SPINS: i32 = 1000000;
/** Nanoseconds of one sleep of the caller. */
const NAP: i64 = 250000000;

/** Threads for a job of so much work: multiply-accumulates, or four to a moved byte. */
export function threadsFor(work: u64): i32 {
  if (!ASC_FEATURE_THREADS || work < load<u32>(LEAST)) return 1;
  return max(1, min(atomic.load<i32>(LIMIT), 1 + atomic.load<i32>(READY)));
}

/** Scratch slots of a job on so many threads: a helper has the slot that it was started with, whoever else is there. */
export function slotsFor(threads: i32): i32 {
  if (!ASC_FEATURE_THREADS || threads == 1) return 1;
  return atomic.load<i32>(LIMIT);
}

/** This thread's scratch slot. */
// @ts-ignore: decorator
@inline export function ownSlot(): i32 { return ASC_FEATURE_THREADS ? slot : 0; }

/** Even parts of `count` units: how many, when each is a multiple of `unit` units and there are several for each thread. */
export function partsOf(count: i32, unit: i32, threads: i32): i32 {
  if (threads == 1) return 1;
  return max(1, min((count + unit - 1) / unit, PARTS_PER_THREAD * threads));
}
/** So that a thread that is held up or began late leaves the others something to do. */
export const PARTS_PER_THREAD: i32 = 6;

/** First unit of a part; of part `parts`: the end. */
// @ts-ignore: decorator
@inline export function partBegin(part: i32, parts: i32, count: i32, unit: i32): i32 {
  const units = (count + unit - 1) / unit;
  return min(count, <i32>(<i64>units * part / parts) * unit);
}

/** Computes all parts of the job whose record is set, here and on whichever helpers come. */
export function runJob(kind: i32, parts: i32, threads: i32): void {
  if (!ASC_FEATURE_THREADS || threads == 1 || parts <= 1) {
    for (let part = 0; part < parts; part++) runPart(kind, part, parts);
    return;
  }
  store<i32>(JOB, kind, J_KIND);
  store<i32>(JOB, parts, J_PARTS);
  atomic.store<i32>(NEXT, 0);
  atomic.store<i32>(STATE, OPEN);
  atomic.add<i32>(EPOCH, 1);
  // A helper says that it sleeps before it looks at EPOCH for the last time.
  if (atomic.load<i32>(SLEEPING)) atomic.notify(EPOCH, min(parts, threads) - 1);
  takeParts(kind, parts);
  atomic.and<i32>(STATE, ~OPEN);
  for (let round = 0; !hasEnded(); round++) {
    if (mayWait) {
      const inside = atomic.load<i32>(STATE);
      if (inside) atomic.wait<i32>(STATE, inside, NAP);
    }
    overdue(round);
  }
  if (atomic.load<i32>(FAILED)) overdue(-1);
}

/** Looks for a while whether all helpers have left the closed job. */
function hasEnded(): bool {
  for (let n = mayWait ? CALLER_SPINS : ASK_SPINS; n > 0; n--) if (!atomic.load<i32>(STATE)) return true;
  return false;
}

function takeParts(kind: i32, parts: i32): void {
  for (;;) {
    const part = atomic.add<i32>(NEXT, 1);
    if (part >= parts) return;
    runPart(kind, part, parts);
    store<u32>(takenAddress(), load<u32>(takenAddress()) + 1);
  }
}

/** Enters the job that is open, if one is. */
function enter(): bool {
  let state = atomic.load<i32>(STATE);
  while (state & OPEN) {
    const found = atomic.cmpxchg<i32>(STATE, state, state + 1);
    if (found == state) return true;
    state = found;
  }
  return false;
}

/** What a helper does until its area says that it shall leave. */
export function serve(): void {
  while (!atomic.load<i32>(stopAddress())) {
    const seen = atomic.load<i32>(EPOCH);
    if (enter()) {
      const kind = load<i32>(JOB, J_KIND);
      beginJob(kind);
      takeParts(kind, load<i32>(JOB, J_PARTS));
      if (atomic.sub<i32>(STATE, 1) == 1) atomic.notify(STATE, 1);
    }
    let n = HELPER_SPINS;
    while (n > 0 && atomic.load<i32>(EPOCH) == seen) n--;
    if (n > 0) continue;
    atomic.add<i32>(SLEEPING, 1);
    if (!atomic.load<i32>(stopAddress())) atomic.wait<i32>(EPOCH, seen, -1);
    atomic.sub<i32>(SLEEPING, 1);
  }
}
