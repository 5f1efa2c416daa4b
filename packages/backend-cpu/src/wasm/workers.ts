/** Workers for helper threads: those of browsers, or of Node's worker_threads. */

/** What the caller needs of a worker. */
export interface HelperWorker {
  post(message: unknown): void;
  /** Ends it at once. */
  terminate(): void;
  /** Whether it keeps a Node process alive. */
  hold(alive: boolean): void;
}

export interface WorkerEvents {
  onMessage(message: unknown): void;
  /** It could not start, or ended by itself. */
  onEnd(why: string): void;
}

/** @throws Error where no worker can be made */
export type StartWorker = (events: WorkerEvents) => Promise<HelperWorker>;

/** Not a literal where it is used, so that bundlers see the address once: where a browser's worker is made. */
const HELPER = '../../wasm/helper.js';

export const startWorker: StartWorker = (events) => (isNode() ? startInNode(events) : startInBrowser(events));

export function isNode(): boolean {
  return typeof process !== 'undefined' && process.versions?.node !== undefined;
}

async function startInNode({ onMessage, onEnd }: WorkerEvents): Promise<HelperWorker> {
  const { Worker } = await import(/* @vite-ignore */ /* webpackIgnore: true */ 'node:worker_threads');
  // Without the process's options, which may load whatever the program wants for itself.
  const worker = new Worker(new URL(HELPER, import.meta.url), { name: 'dsconv helper', execArgv: [] });
  worker.on('message', onMessage);
  worker.on('error', (error) => onEnd(error.message));
  worker.on('exit', (code) => onEnd(`it ended with code ${code}`));
  return {
    post: (message) => worker.postMessage(message),
    terminate: () => void worker.terminate(),
    hold: (alive) => (alive ? worker.ref() : worker.unref()),
  };
}

async function startInBrowser({ onMessage, onEnd }: WorkerEvents): Promise<HelperWorker> {
  const worker = new Worker(new URL('../../wasm/helper.js', import.meta.url), {
    type: 'module',
    name: 'dsconv helper',
  });
  worker.addEventListener('message', ({ data }) => onMessage(data));
  worker.addEventListener('messageerror', () => onEnd('it could not be sent the WebAssembly module'));
  worker.addEventListener('error', (event) => {
    event.preventDefault();
    onEnd(event.message || 'its script could not be loaded, or a content security policy forbids it');
  });
  return {
    post: (message) => worker.postMessage(message),
    terminate: () => worker.terminate(),
    hold: () => undefined,
  };
}
