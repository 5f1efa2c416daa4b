/** The convolutions of networks one by one, engines in turns on each. */
import { convolutionShapes, createArchitecture } from '@dsconv/models';
import { BITS } from '../cpu/networks.mjs';
import { layerKey } from '../cpu/sections/layers.mjs';
import { ENGINES } from './engines.mjs';

/** What has layers that others do not have; by the name of the architecture. */
export const LAYER_NETWORKS = { resnet50: 'ResNet-50', 'mobilenet_v1_1.0': 'MobileNet v1 1.0' };
/** First and depthwise layers, as `quantize` has them by default. */
const SENSITIVE_BITS = 8;
/** Turns per engine and layer, the median of which counts; fewer where one call takes longer than a turn should (ms). */
const TURNS = 7;
const SLOW_TURNS = 3;
const TURN_MS = 100;

/** @returns {import('./layer-input.mjs').Layer[]} equal ones once */
export function layersOf(network, blockSize) {
  const layers = new Map();
  for (const { kind, role, geometry, shape, macs } of convolutionShapes(
    createArchitecture({ name: network }),
  )) {
    if (kind === 'dense') continue;
    const depthwise = kind === 'depthwise';
    const name = layerKey(geometry, depthwise);
    const bits = role === 'stem' || depthwise ? SENSITIVE_BITS : BITS;
    const layer = { name, depthwise, geometry, filter: shape, bits, blockSize, macs, count: 0 };
    if (!layers.has(name)) layers.set(name, layer);
    layers.get(name).count++;
  }
  return [...layers.values()];
}

/**
 * @param {string} network of {@link LAYER_NETWORKS}
 * @param {import('./runtimes.mjs').Runtime} runtime with an adapter
 * @param {{ engines: string[], blockSize: number, onLayer: (row: object) => void }} options
 * @returns {Promise<object>} `layers` with `ms` by engine, null where it could not compute the layer, and `notes` why
 */
export async function measureLayers(network, runtime, { engines, blockSize, onLayer }) {
  const names = engines.filter((name) => ENGINES[name].layer);
  const children = names.map((engine) => ({ engine, child: runtime.start({ engine }) }));
  const layers = [];
  const notes = {};
  try {
    for (const layer of layersOf(network, blockSize)) {
      const ms = await measureLayer(layer, children, notes);
      const { name, count, macs, bits } = layer;
      layers.push({ layer: name, count, macs, bits, ms });
      onLayer(layers.at(-1));
    }
  } finally {
    await Promise.all(children.map(({ child }) => child.stop()));
  }
  return { runtime: runtime.name, network, blockSize, layers, notes, totals: totalsOf(layers, names) };
}

async function measureLayer(layer, children, notes) {
  const entrants = [];
  for (const { engine, child } of children) {
    const { module, layer: prepare } = ENGINES[engine];
    try {
      const { estimateMs } = await child.ask('prepareLayer', { module, prepare, layer });
      entrants.push({ engine, child, count: Math.max(1, Math.round(TURN_MS / estimateMs)), times: [] });
    } catch (error) {
      notes[engine] ??= `${layer.name}: ${error.message}`;
    }
  }
  const slow = entrants.some(({ count }) => count === 1);
  for (let turn = 0; turn < (slow ? SLOW_TURNS : TURNS); turn++) {
    for (let n = 0; n < entrants.length; n++) {
      // Another engine begins each turn.
      const { child, count, times } = entrants[(n + turn) % entrants.length];
      times.push((await child.ask('runLayer', { count })).ms);
    }
  }
  const measured = new Map(entrants.map(({ engine, times }) => [engine, median(times)]));
  return Object.fromEntries(children.map(({ engine }) => [engine, measured.get(engine) ?? null]));
}

/** Milliseconds of all convolutions of the network, for engines that computed every one. */
function totalsOf(layers, engines) {
  return Object.fromEntries(
    engines.map((engine) => {
      const complete = layers.every(({ ms }) => ms[engine] !== null);
      const total = layers.reduce((sum, { ms, count }) => sum + count * ms[engine], 0);
      return [engine, complete ? round(total) : null];
    }),
  );
}

const median = (times) => round(times.toSorted((a, b) => a - b)[times.length >> 1]);
const round = (ms) => Number(ms.toPrecision(4));
