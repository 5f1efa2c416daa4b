/** Where onnxruntime's time goes in the int8 network, by its own profiler, on one thread. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { calibrate, inputTensor, readOperations, sessionOptions } from '../engines/ort.mjs';
import { int8Graph } from '../onnx/int8-graph.mjs';
import { loadOnnxRuntime } from '../peers.mjs';
import { layerKey } from '../sections/layers.mjs';

/**
 * @param {{ file: string, runs: number }} parameters path of the float network
 * @returns {Promise<Record<string, number>>} mean over equal layers of the median microseconds, by layerKey
 */
export default async function ortProfile({ file, runs }) {
  const network = await readOperations(file);
  const { model } = int8Graph(network, 1, await calibrate(network), 'qlinear');
  const folder = await mkdtemp(join(tmpdir(), 'dsconv-bench-'));
  try {
    const profiling = { enableProfiling: true, profileFilePrefix: join(folder, 'profile') };
    const session = await loadOnnxRuntime().InferenceSession.create(model, {
      ...sessionOptions(1),
      ...profiling,
    });
    const feeds = { input: inputTensor(1) };
    for (let n = 0; n < runs + WARM_UPS; n++) await session.run(feeds);
    session.endProfiling();
    await session.release();
    const [name] = await readdir(folder);
    if (name === undefined) throw new Error('onnxruntime wrote no profile');
    return timesOf(JSON.parse(await readFile(join(folder, name), 'utf8')), network.operations);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const WARM_UPS = 5;

/** The graph's convolutions were named with growing numbers in the order of the operations. */
function timesOf(events, operations) {
  const durations = new Map();
  for (const { name, dur } of events) {
    const found = /QLinearConv_(\d+).*_kernel_time$/.exec(name ?? '');
    if (!found) continue;
    const number = Number(found[1]);
    if (!durations.has(number)) durations.set(number, []);
    durations.get(number).push(dur);
  }
  const convolutions = operations.filter(({ kind }) => kind === 'conv');
  const numbers = [...durations.keys()].sort((a, b) => a - b);
  if (numbers.length !== convolutions.length) {
    throw new Error(`its profile has ${numbers.length} convolutions; expected ${convolutions.length}`);
  }
  const byLayer = new Map();
  convolutions.forEach(({ geometry }, n) => {
    const key = layerKey(geometry, geometry.groups > 1);
    if (!byLayer.has(key)) byLayer.set(key, []);
    const times = durations
      .get(numbers[n])
      .slice(WARM_UPS)
      .sort((a, b) => a - b);
    byLayer.get(key).push(times[times.length >> 1]);
  });
  const mean = (values) => values.reduce((a, b) => a + b) / values.length;
  return Object.fromEntries([...byLayer].map(([key, times]) => [key, mean(times)]));
}
