/** Answers for pictures. One thing at a time: TensorFlow.js has one current backend. */
import { DSConvError } from '@dsconv/core';
import {
  createArchitecture,
  listModels,
  loadModel,
  type RawImage,
  storedSize,
  writeNetwork,
} from '@dsconv/models';
import type { NetworkChoice, Run, RunnerApi, RunRequest, Timing } from './api.js';
import { listBackends, threadsInUse } from './backends.js';
import { serve } from './channel.js';
import { decodePicture } from './pictures.js';
import { sessionsOf, startAfresh } from './sessions.js';
import { shippedFloat } from './shipped.js';

/** Runs are repeated until this many milliseconds or this many runs. */
const [MOST_MILLISECONDS, MOST_RUNS] = [1500, 30];
/** Runs before timing gives way to a call that is not about another picture. */
const LEAST_RUNS = 3;

/** Of a float network, several copies of which a page needs. */
const MOST_BYTES = 200e6;

let current: RawImage | null = null;
let labels: readonly string[] = [];
let queue: Promise<unknown> = Promise.resolve();
/** Calls that wait or run; timing gives way to others. */
let waiting = 0;
/** Pictures that were chosen; another one makes timing useless. */
let chosen = 0;

function inTurn<T>(work: () => Promise<T>): Promise<T> {
  waiting++;
  const mine = queue.then(work);
  queue = mine.catch(() => undefined).finally(() => waiting--);
  return mine;
}

serve<RunnerApi>({
  networks: async () => listNetworks(),
  backends: () => inTurn(listBackends),
  openShipped: (id) =>
    inTurn(async () => {
      const network = await loadModel(id);
      labels = network.labels;
      sessionsOf('quantized').setFile(async () => writeNetwork(network));
      sessionsOf('float').setFile(async () => {
        const { float } = await shippedFloat(id, network, () => undefined);
        return writeNetwork(float);
      });
      return null;
    }),
  setFile: ({ which, file, labels: names }) =>
    inTurn(async () => {
      labels = names;
      sessionsOf(which).setFile(async () => file);
      return null;
    }),
  picture: ({ name, blob, invert }) => {
    chosen++;
    return inTurn(async () => {
      current = await decodePicture(name, blob, invert);
      return { width: current.width, height: current.height };
    });
  },
  run: (request) => inTurn(() => watched(request, run)),
  time: (request) => inTurn(() => watched(request, time)),
});

/** What is too large for a page is left out. */
function listNetworks(): NetworkChoice[] {
  return listModels()
    .filter(({ weights }) => weights.shipped || weights.download !== null)
    .map(({ id, title, weights, architecture }) => {
      const { bytes } = storedSize(createArchitecture(architecture), 32, null);
      return { id, title, shipped: weights.shipped, floatBytes: bytes };
    })
    .filter(({ floatBytes }) => floatBytes <= MOST_BYTES);
}

/** What was on a device that is lost is given up, so that another try takes a new device. */
async function watched<T>(request: RunRequest, work: (request: RunRequest) => Promise<T>): Promise<T> {
  try {
    return await work(request);
  } catch (error) {
    if ((error as { code?: unknown }).code === 'DEVICE_LOST') startAfresh(request.backend);
    throw error;
  }
}

async function run({ which, backend }: RunRequest): Promise<Run> {
  const { probabilities, ...run } = await sessionsOf(which).run(backend, picture());
  const classes = Array.from(probabilities.keys())
    .sort((a, b) => probabilities[b]! - probabilities[a]!)
    .slice(0, 5)
    .map((index) => ({ index, label: labels[index] ?? null, probability: probabilities[index]! }));
  return { ...run, classes, threads: await threadsInUse(backend, run.tier) };
}

async function time({ which, backend }: RunRequest): Promise<Timing> {
  const times: number[] = [];
  let tier: string | null = null;
  const started = performance.now();
  const before = chosen;
  while (times.length < MOST_RUNS && performance.now() - started < MOST_MILLISECONDS) {
    const run = await sessionsOf(which).run(backend, picture());
    times.push(run.milliseconds);
    tier = run.tier;
    // A message can come in only when the event loop turns.
    await new Promise((resolve) => setTimeout(resolve));
    if (chosen !== before || (waiting > 1 && times.length >= LEAST_RUNS)) break;
  }
  times.sort((a, b) => a - b);
  const threads = await threadsInUse(backend, tier);
  return { median: times[times.length >> 1]!, runs: times.length, threads };
}

function picture(): RawImage {
  if (current) return current;
  throw new DSConvError('NOT_READY', 'no picture was chosen yet; expected one before a network is run');
}
