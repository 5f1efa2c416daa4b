/** Networks on backends, ready to run. */
import { compile, DSConvError, type Plan } from '@dsconv/core';
import { type Network, preprocess, type RawImage, readNetwork } from '@dsconv/models';
import { type Tensor, type Tensor4D, tensor4d } from '@tensorflow/tfjs-core';
import type { Run, Which } from './api.js';
import { useBackend } from './backends.js';

interface Session {
  network: Network;
  tier: string | null;
  plan: Plan | null;
  firstMilliseconds: number;
}

/** One network, quantized or float, on every backend that was asked for. */
class Sessions {
  /** Gives the network's file, from which each backend gets a network with tensors of its own. */
  private file: (() => Promise<Uint8Array>) | null = null;
  private readonly sessions = new Map<string, Session>();

  constructor(private readonly which: Which) {}

  /** @param file called when the network is first run, and for every other backend */
  setFile(file: () => Promise<Uint8Array>): void {
    this.file = file;
    for (const { plan, network } of this.sessions.values()) {
      plan?.dispose();
      network.dispose();
    }
    this.sessions.clear();
  }

  /** Forgets what was on a backend that is gone. */
  drop(backend: string): void {
    this.sessions.delete(backend);
  }

  /** One run; the first on a backend makes the session. */
  async run(
    backend: string,
    picture: RawImage,
  ): Promise<Omit<Run, 'classes' | 'threads'> & { probabilities: Float32Array }> {
    const tier = await useBackend(this.which, backend);
    const known = this.sessions.get(backend);
    const network = known?.network ?? (await this.read());
    const x = inputOf(network, picture);
    try {
      if (known) {
        const { values, milliseconds } = await timed(() => runOnce(known, x));
        return describe(known, values, milliseconds);
      }
      const started = performance.now();
      const predict = (pictures: Tensor): Tensor => network.predict(pictures as Tensor4D);
      // What TensorFlow.js itself runs is run as its users run it.
      const plan = this.which === 'quantized' ? await compile(predict, x) : null;
      const session: Session = { network, tier, plan, firstMilliseconds: 0 };
      const { values, milliseconds } = await timed(() => runOnce(session, x));
      session.firstMilliseconds = performance.now() - started;
      this.sessions.set(backend, session);
      return describe(session, values, milliseconds);
    } finally {
      x.dispose();
    }
  }

  private async read(): Promise<Network> {
    if (this.file) return readNetwork(await this.file(), 'the network');
    throw new DSConvError(
      'NOT_READY',
      `the ${this.which} network is not loaded yet; expected one before a picture is run`,
    );
  }
}

function describe(
  { tier, plan, firstMilliseconds }: Session,
  probabilities: Float32Array,
  milliseconds: number,
) {
  const mode = plan ? (plan.reason ?? 'compiled') : 'as TensorFlow.js runs it';
  return { probabilities, milliseconds, firstMilliseconds, tier, plan: mode };
}

function inputOf({ preprocessing }: Network, picture: RawImage): Tensor4D {
  const { size, channels } = preprocessing;
  return tensor4d(preprocess(picture, preprocessing), [1, size, size, channels]);
}

async function runOnce({ plan, network }: Session, x: Tensor4D): Promise<Float32Array> {
  const y = plan ? ((await plan.run(x)) as Tensor) : network.predict(x);
  try {
    return (await y.data()) as Float32Array;
  } finally {
    y.dispose();
  }
}

async function timed(work: () => Promise<Float32Array>) {
  const started = performance.now();
  const values = await work();
  return { values, milliseconds: performance.now() - started };
}

const SESSIONS: Readonly<Record<Which, Sessions>> = {
  quantized: new Sessions('quantized'),
  float: new Sessions('float'),
};

export const sessionsOf = (which: Which): Sessions => SESSIONS[which];

/** After a lost device: the next run makes everything anew, on a new one. */
export function startAfresh(backend: string): void {
  for (const sessions of Object.values(SESSIONS)) sessions.drop(backend);
}
