/** Calls across the border of a worker: numbered, typed, with progress on the way and errors that keep their kind. */

/** What a worker offers: each method takes one value and gives one. */
export type Api<T> = { [K in keyof T]: (input: never) => Promise<unknown> };

/** Something is under way; told while a call runs. */
export interface Progress {
  /** For people, such as 'Downloading model.safetensors'. */
  task: string;
  /** Done and to be done, in any unit; null where the end is not known. */
  done: number;
  total: number | null;
}

export type Tell = (progress: Progress) => void;

/** A failure as it crosses the border. */
export interface PlainError {
  name: string;
  /** `code` of a DSConvError, else null. */
  code: string | null;
  message: string;
}

/** A failure inside a worker, as its caller gets it. */
export class RemoteError extends Error {
  readonly code: string | null;

  constructor({ name, code, message }: PlainError) {
    super(message);
    this.name = name;
    this.code = code;
  }
}

export function plainError(error: unknown): PlainError {
  if (!(error instanceof Error)) return { name: 'Error', code: null, message: String(error) };
  const code = (error as { code?: unknown }).code;
  return { name: error.name, code: typeof code === 'string' ? code : null, message: error.message };
}

interface Request {
  id: number;
  method: string;
  input: unknown;
}

type Reply =
  | { id: number; progress: Progress }
  | { id: number; value: unknown }
  | { id: number; error: PlainError };

const TRANSFERS = new WeakMap<object, Transferable[]>();

/** Marks a result whose buffers shall move to the caller rather than be copied. */
export function moving<T extends object>(value: T, buffers: Transferable[]): T {
  TRANSFERS.set(value, buffers);
  return value;
}

type Handlers<T> = {
  [K in keyof T]: T[K] extends (input: infer I) => Promise<infer O>
    ? (input: I, tell: Tell) => Promise<O> | O
    : never;
};

/** In a worker: answers calls. They may overlap; whoever minds has to queue. */
export function serve<T extends Api<T>>(handlers: Handlers<T>): void {
  const scope = self as unknown as Worker;
  scope.onmessage = async ({ data }: MessageEvent<Request>) => {
    const { id, method, input } = data;
    const reply = (message: Reply, transfer: Transferable[] = []): void =>
      scope.postMessage(message, transfer);
    try {
      const handler = handlers[method as keyof T] as (input: unknown, tell: Tell) => unknown;
      const value = await handler(input, (progress) => reply({ id, progress }));
      const buffers = typeof value === 'object' && value !== null ? TRANSFERS.get(value) : undefined;
      reply({ id, value }, buffers);
    } catch (error) {
      reply({ id, error: plainError(error) });
    }
  };
}

interface Pending {
  resolve(value: unknown): void;
  reject(error: Error): void;
  tell: Tell | undefined;
}

/** On the page: calls a worker. */
export class Remote<T extends Api<T>> {
  private readonly pending = new Map<number, Pending>();
  private count = 0;

  constructor(private readonly worker: Worker) {
    worker.onmessage = ({ data }: MessageEvent<Reply>) => this.receive(data);
    worker.onerror = (event) => this.fail(event.message || 'a worker could not be started');
    worker.onmessageerror = () => this.fail('a worker sent something that cannot be read');
  }

  call<K extends keyof T & string>(
    method: K,
    input: Parameters<T[K]>[0],
    { tell, transfer = [] }: { tell?: Tell; transfer?: Transferable[] } = {},
  ): ReturnType<T[K]> {
    const id = this.count++;
    const answer = new Promise((resolve, reject) => this.pending.set(id, { resolve, reject, tell }));
    this.worker.postMessage({ id, method, input } satisfies Request, transfer);
    return answer as ReturnType<T[K]>;
  }

  private receive(reply: Reply): void {
    const pending = this.pending.get(reply.id);
    if (!pending) return;
    if ('progress' in reply) {
      pending.tell?.(reply.progress);
      return;
    }
    this.pending.delete(reply.id);
    if ('error' in reply) pending.reject(new RemoteError(reply.error));
    else pending.resolve(reply.value);
  }

  /** Nothing that is under way will be answered any more. */
  private fail(message: string): void {
    for (const { reject } of this.pending.values()) {
      reject(new RemoteError({ name: 'WorkerError', code: 'WORKER', message }));
    }
    this.pending.clear();
  }
}
