/** One network on every engine, in turns: the argument is its architecture, the answer a message. */
import { availableParallelism } from 'node:os';
import * as cpu from '@dsconv/backend-cpu';
import { compile, DSConvFilter, getDSConvBackend } from '@dsconv/core';
import { createArchitecture, Network, randomQuantizedParameters } from '@dsconv/models';
import { setBackend, tensor4d } from '@tensorflow/tfjs-core';
import { useTfjsWasm } from '../cpu/engines/tfjs-backend.mjs';

const OPTIONS = { bits: 4, blockSize: 64 };
const SEED = 1;
/** Engines take turns of about this long (ms), so that all meet the same weather. */
const TURN_MS = 60;
const ROUNDS = 9;
/** But no engine more than this in all (ms), and three turns at least. */
const MOST_MS = 900;
/** Below this time of one run (ms), each turn starts with an untimed one, which brings the weights back to the caches. */
const REFRESH_BELOW_MS = 200;
/** Activations of 8 bits between float and quantized weights that are the same numbers. */
const COSINE_LIMIT = 0.98;

const architecture = createArchitecture(JSON.parse(process.argv[2]));
const { inputSize, channels } = architecture;
const pixels = Float32Array.from({ length: inputSize * inputSize * channels }, (_, n) =>
  Math.sin(n * 0.37 + n * n * 1e-5),
);
const preprocessing = {
  size: inputSize,
  channels,
  resize: { mode: 'shorterSide', cropRatio: 1 },
  interpolation: 'bilinear',
  antialias: true,
  range: [0, 1],
  mean: new Array(channels).fill(0),
  std: new Array(channels).fill(1),
};
const weights = randomQuantizedParameters(architecture, SEED, OPTIONS);

const cores = availableParallelism();
const ENGINES = {
  'native plan': () => dsconvPlan('native', cores),
  'native plan, 1 thread': () => dsconvPlan('native', 1),
  'wasm plan': () => dsconvPlan('wasm-relaxed-simd', 1),
  'tfjs-wasm float32': tfjsWasm,
};

async function dsconvPlan(tier, threads) {
  const name = getDSConvBackend(cpu.BACKEND_NAME).pinTier(tier);
  const found = await getDSConvBackend(name).probe();
  if (found !== true) throw new Error(found.reason);
  await setBackend(name);
  const network = new Network({ architecture, weights, preprocessing });
  const x = tensor4d(pixels, [1, inputSize, inputSize, channels]);
  const plan = await compile((input) => network.logits(input), x);
  if (plan.mode !== 'compiled') throw new Error(`does not compile: ${plan.reason}`);
  const inputs = [pixels];
  const outputs = plan.outputShapes.map((shape) => new Float32Array(shape.reduce((a, b) => a * b, 1)));
  return {
    begin: async () => {
      await cpu.setThreads(threads);
    },
    run: async () => {
      await plan.compiled.run(inputs, outputs);
      return outputs[0];
    },
  };
}

/** The same numbers as float32. */
async function tfjsWasm() {
  await useTfjsWasm(1);
  const floats = new Map(
    [...weights].map(([name, { filter, bias }]) => [
      name,
      { filter: filter instanceof DSConvFilter ? filter.dequantize() : filter, bias },
    ]),
  );
  const network = new Network({ architecture, weights: floats, preprocessing });
  const x = tensor4d(pixels, [1, inputSize, inputSize, channels]);
  return {
    begin: () => setBackend('wasm'),
    run: async () => {
      const logits = network.logits(x);
      const values = await logits.data();
      logits.dispose();
      return values;
    },
  };
}

async function measure() {
  const engines = {};
  const entrants = [];
  let reference = null;
  for (const [name, prepare] of Object.entries(ENGINES)) {
    try {
      const engine = await prepare();
      await engine.begin();
      const logits = Float32Array.from(await engine.run());
      reference ??= logits;
      const cosine = cosineOf(logits, reference);
      // Written so that NaN fails.
      if (!(cosine > COSINE_LIMIT)) throw new Error(`computed another network (cosine ${cosine.toFixed(3)})`);
      const { ms } = await timed(engine.run);
      const perTurn = Math.max(1, Math.round(TURN_MS / ms));
      entrants.push({ name, ...engine, times: [], cpuTimes: [], perTurn, refreshes: ms < REFRESH_BELOW_MS });
    } catch (error) {
      engines[name] = { medianMs: null, note: firstLine(error) };
    }
  }
  for (let round = 0; round < ROUNDS; round++) {
    // Another engine begins each round, so that none always follows the same neighbour.
    for (let n = 0; n < entrants.length; n++) await takeTurn(entrants[(n + round) % entrants.length], round);
  }
  for (const { name, times, cpuTimes } of entrants) {
    engines[name] = { ...statistics(times), medianCpuMs: statistics(cpuTimes).medianMs };
  }
  return Object.fromEntries(Object.keys(ENGINES).map((name) => [name, engines[name]]));
}

async function takeTurn({ begin, run, times, cpuTimes, perTurn, refreshes }, round) {
  if (round >= 3 && times.reduce((a, b) => a + b, 0) > MOST_MS) return;
  await begin();
  if (refreshes) await run();
  const before = process.cpuUsage();
  for (let n = 0; n < perTurn; n++) times.push((await timed(run)).ms);
  const { user, system } = process.cpuUsage(before);
  cpuTimes.push((user + system) / 1000 / perTurn);
}

async function timed(run) {
  const start = performance.now();
  await run();
  return { ms: performance.now() - start };
}

function statistics(times) {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share) => Math.round(sorted[Math.floor(share * (sorted.length - 1))] * 1000) / 1000;
  return { medianMs: at(0.5), p10Ms: at(0.1), p90Ms: at(0.9), runs: times.length };
}

function cosineOf(a, b) {
  let [dot, aa, bb] = [0, 0, 0];
  a.forEach((value, n) => {
    dot += value * b[n];
    aa += value ** 2;
    bb += b[n] ** 2;
  });
  return dot / Math.sqrt(aa * bb);
}

const firstLine = (error) => String(error instanceof Error ? error.message : error).split('\n')[0];

process.on('unhandledRejection', (error) => process.send({ error: firstLine(error) }, () => process.exit(1)));
process.send({ engines: await measure() }, () => process.exit(0));
