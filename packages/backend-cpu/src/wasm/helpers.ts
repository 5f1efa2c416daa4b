/** The helper threads of one module: started, counted, ended. The module itself gives them work (wasm/assembly/threads.ts). */
import { ThreadError } from '../errors.js';
import { type DSConvWasm, type Ptr, THREAD } from './interface.js';
import { type HelperWorker, type StartWorker, startWorker } from './workers.js';

/** Milliseconds for helpers to start before `resize` goes on without them; they are used when they come. */
const START_LIMIT = 10_000;
const LOST_AFTER = 30_000;
/** Work of 20 µs or so, below which another thread is no gain: to wake it takes nearly as long. */
const LEAST_WORK = 2 ** 19;

/** A helper from its start to its end. */
interface Helper {
  slot: number;
  /** Null until it is made. */
  worker: HelperWorker | null;
  /** It serves. */
  ready: Promise<void>;
  /** It is gone. */
  left: Promise<void>;
  onMessage(message: { kind: 'ready' | 'left' | 'failed'; message?: string }): void;
  onEnd(why: string): void;
}

export class Helpers {
  /** Why there are none although they were wanted, or null. */
  failure: string | null = null;
  private exports: DSConvWasm | null = null;
  private readonly helpers = new Map<number, Helper>();
  /** Words of each slot, kept for the next helper that has it. */
  private readonly areas = new Map<number, Ptr>();
  private readonly words: Int32Array;
  private changes: Promise<void> = Promise.resolve();
  /** Those who wait for helpers; while there are some, helpers keep a Node process alive. */
  private waiting = 0;
  private waitingSince = 0;
  private disposed = false;

  /**
   * @param start how workers are made; another one is for tests
   * @param lostAfter milliseconds without an end of a helper's part, which takes a few, before it counts as lost
   */
  constructor(
    private readonly module: WebAssembly.Module,
    private readonly memory: WebAssembly.Memory,
    private readonly start: StartWorker = startWorker,
    private readonly lostAfter = LOST_AFTER,
  ) {
    // These words stay where they are when the memory grows, and in the buffer that it had before.
    this.words = new Int32Array(memory.buffer, 0, 1024);
    this.leastWork = LEAST_WORK;
  }

  /** What the module calls while it waits for helpers. */
  readonly overdue = (round: number): void => {
    if (round === 0) this.waitingSince = performance.now();
    if (round >= 0 && performance.now() - this.waitingSince < this.lostAfter) return;
    this.fail(
      round < 0 ? 'a helper thread failed' : `a helper thread did not answer for ${this.lostAfter} ms`,
    );
    throw new ThreadError(
      `${this.failure}; the kernel has no result, and the next ones compute on one thread`,
    );
  };

  /** Once the module is instantiated for the caller. */
  attach(exports: DSConvWasm): void {
    this.exports = exports;
  }

  /** Threads that kernels compute with now, the caller's among them. */
  get threads(): number {
    return Math.max(1, Math.min(this.load(THREAD.limit), 1 + this.load(THREAD.ready)));
  }

  /** Multiply-accumulates, or bytes moved times four, from which on a kernel is worth several threads. */
  set leastWork(work: number) {
    this.words[THREAD.least >> 2] = work;
  }

  /** Parts of kernels that helpers have computed so far. */
  get partsTaken(): number {
    const counts = [...this.areas.values()].map(
      (area) => new Uint32Array(this.memory.buffer, area + THREAD.taken, 1)[0]!,
    );
    return counts.reduce((a, b) => a + b, 0);
  }

  /**
   * Starts or ends helpers, so that kernels compute on so many threads. Kernels may be called meanwhile.
   *
   * @param wait whether the process lives at least until then; else the Promise may be left alone
   * @returns when the helpers serve or failed to start, or those too many are gone
   */
  async resize(threads: number, wait: boolean): Promise<void> {
    if (wait) this.hold(1);
    try {
      await (this.changes = this.changes.then(() => this.change(threads)));
    } finally {
      if (wait) this.hold(-1);
    }
  }

  /** Resolves when no helper is starting or leaving. The process lives at least until then. */
  async settle(): Promise<void> {
    this.hold(1);
    await this.changes;
    this.hold(-1);
  }

  /** Ends all helpers at once; no kernel may be running. */
  dispose(): void {
    this.disposed = true;
    this.endAll();
  }

  private async change(threads: number): Promise<void> {
    if (this.disposed || this.failure !== null) return;
    if (threads >= this.load(THREAD.limit)) {
      // Scratch for a slot must be there before its helper.
      Atomics.store(this.words, THREAD.limit >> 2, threads);
      for (let slot = 1; slot < threads; slot++) if (!this.helpers.has(slot)) this.begin(slot);
      await within(START_LIMIT, Promise.all([...this.helpers.values()].map(({ ready }) => ready)));
      return;
    }
    const surplus = [...this.helpers.values()].filter(({ slot }) => slot >= threads);
    for (const { slot } of surplus) this.tellToLeave(slot);
    await Promise.all(surplus.map(({ left }) => left));
    if (this.failure === null) Atomics.store(this.words, THREAD.limit >> 2, threads);
  }

  private begin(slot: number): void {
    let [isReady, isGone] = [() => {}, () => {}];
    const helper: Helper = {
      slot,
      worker: null,
      ready: new Promise((resolve) => {
        isReady = resolve;
      }),
      left: new Promise((resolve) => {
        isGone = resolve;
      }),
      onMessage: ({ kind, message = '' }) => {
        if (kind === 'ready') isReady();
        else helper.onEnd(kind === 'left' ? '' : message);
      },
      onEnd: (why) => {
        isReady();
        isGone();
        // What a worker says after its end, or that of all, is nothing new.
        if (this.helpers.get(slot) !== helper) return;
        this.helpers.delete(slot);
        if (why !== '') this.fail(`a helper thread failed: ${why}`);
      },
    };
    this.helpers.set(slot, helper);
    this.startHelper(helper).catch((error: unknown) => {
      helper.onEnd(error instanceof Error ? error.message : String(error));
    });
  }

  private async startHelper(helper: Helper): Promise<void> {
    const area = this.areaOf(helper.slot);
    const worker = await this.start({
      onMessage: (message) => helper.onMessage(message as Parameters<Helper['onMessage']>[0]),
      onEnd: (why) => helper.onEnd(why),
    });
    helper.worker = worker;
    worker.hold(this.waiting > 0);
    if (this.helpers.get(helper.slot) !== helper) {
      // All were ended while it was made.
      worker.terminate();
      return;
    }
    const { module, memory } = this;
    const { ready, state, failed } = THREAD;
    worker.post({ module, memory, area, slot: helper.slot, words: { ready, state, failed } });
  }

  /** The words of a slot, as a helper finds them when it begins. */
  private areaOf(slot: number): Ptr {
    let area = this.areas.get(slot);
    if (area === undefined) {
      area = this.exports!.alloc(THREAD.areaBytes) >>> 0;
      if (area === 0) throw new Error('the WebAssembly memory has no room for it');
      new Uint8Array(this.memory.buffer, area, THREAD.areaBytes).fill(0);
      this.areas.set(slot, area);
    }
    Atomics.store(this.stopWord(area), 0, 0);
    return area;
  }

  private stopWord(area: Ptr): Int32Array {
    return new Int32Array(this.memory.buffer, area + THREAD.stop, 1);
  }

  private tellToLeave(slot: number): void {
    const area = this.areas.get(slot);
    if (area === undefined) return;
    Atomics.store(this.stopWord(area), 0, 1);
    Atomics.add(this.words, THREAD.epoch >> 2, 1);
    Atomics.notify(this.words, THREAD.epoch >> 2);
  }

  private fail(why: string): void {
    this.failure = why;
    this.endAll();
  }

  private endAll(): void {
    Atomics.store(this.words, THREAD.limit >> 2, 1);
    const ended = [...this.helpers.values()];
    this.helpers.clear();
    for (const { slot, worker, onEnd } of ended) {
      this.tellToLeave(slot);
      worker?.terminate();
      onEnd('');
    }
  }

  private hold(change: 1 | -1): void {
    this.waiting += change;
    for (const { worker } of this.helpers.values()) worker?.hold(this.waiting > 0);
  }

  private load(address: number): number {
    return Atomics.load(this.words, address >> 2);
  }
}

async function within(milliseconds: number, work: Promise<unknown>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const limit = new Promise((resolve) => {
    timer = setTimeout(resolve, milliseconds);
    // Whoever waits holds the process by the helpers.
    if (typeof timer === 'object') (timer as { unref?(): void }).unref?.();
  });
  await Promise.race([work, limit]);
  clearTimeout(timer);
}
