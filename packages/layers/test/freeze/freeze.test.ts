/** Trained models against their frozen networks: the same integers and scales, and outputs within the bound of NUMERICS §5, element by element. */
import { BACKEND_NAME } from '@dsconv/backend-cpu';
import { FrozenLayer } from '@dsconv/converter/runtime-layers';
import { compile, getDSConvBackend, roundHalfEven } from '@dsconv/core';
import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-core/dist/register_all_gradients.js';
import * as tfl from '@tensorflow/tfjs-layers';
import { beforeAll, describe, expect, test } from 'vitest';
import { type DSConv2D, freeze } from '../../src/index.js';
import { judge } from './court.js';
import { functionalModel, pictures, sequentialModel, train } from './trained-models.js';

const pin = (tier: string): string => getDSConvBackend(BACKEND_NAME)!.pinTier!(tier);
const read = (tensor: tf.Tensor): Float32Array => Float32Array.from(tensor.dataSync());
const maybe = (tensor: tf.Tensor | null): Float32Array | null => tensor && read(tensor);

interface Case {
  trained: tfl.LayersModel;
  frozen: tfl.LayersModel;
}

const makers: Record<string, () => tfl.LayersModel> = {
  'a Sequential': () => sequentialModel(),
  'a functional model': () => functionalModel(),
  'a Sequential with float activations': () => sequentialModel(null),
  'a functional model with float activations': () => functionalModel(null),
};
const cases = new Map<string, Promise<Case>>();

beforeAll(() => tf.setBackend(BACKEND_NAME));

/** Trained when it is first asked for. */
function given(name: string): Promise<Case> {
  const make = async (): Promise<Case> => {
    await tf.setBackend(BACKEND_NAME);
    const trained = makers[name]!();
    await train(trained);
    return { trained, frozen: await freeze(trained) };
  };
  const found = cases.get(name) ?? make();
  cases.set(name, found);
  return found;
}

/** Frozen layers by the name of the trained one. */
function pairs({ trained, frozen }: Case): { name: string; layer: DSConv2D; made: FrozenLayer }[] {
  const learned = trained.layers.filter((layer) => 'trainedConvolution' in layer) as DSConv2D[];
  const made = frozen.layers.filter((layer) => layer instanceof FrozenLayer);
  expect(made.length).toBe(learned.length);
  return learned.map((layer, n) => ({ name: layer.name, layer, made: made[n]! }));
}

describe.each(Object.keys(makers))('%s', (which) => {
  test('keeps the integers and scales of its forward pass', async () => {
    for (const { name, layer, made } of pairs(await given(which))) {
      tf.tidy(() => {
        const { settings, partition, ...state } = layer.state;
        const filter = made.filter()!;
        expect([name, filter.bits, filter.blockSize]).toEqual([name, settings.bits, settings.blockSize]);
        expect(made.getConfig()).toMatchObject({
          activationBits: settings.activationBits ?? 0,
          groups: settings.groups,
          strides: state.strides,
          dilations: state.dilations,
        });
        // NUMERICS §2 and §6 once more, written down from the layer's variables.
        const w = read(state.unshifted());
        const scales = read(state.kds);
        const shifts = maybe(state.kdsBias);
        const [low, high] = [-(2 ** (settings.bits - 1)), 2 ** (settings.bits - 1) - 1];
        const [kh, kw, inner, outer] = partition.shape;
        const outputs = filter.outChannels;
        const depth = filter.kind === 'depthwise' ? 1 : inner;
        const blocks = Math.ceil(inner / settings.blockSize);
        const q = w.map((value, n) => {
          const [o, i] = [n % outputs, Math.floor(n / outputs) % depth];
          const tap = Math.floor(n / outputs / depth);
          const s = partition.perChannel
            ? o
            : (tap * blocks + Math.floor(i / settings.blockSize)) * outputs + o;
          const scale = stored(scales[s]!, settings.scaleFormat);
          const shift = shifts ? stored(shifts[s]!, settings.scaleFormat) : 0;
          if (scale === 0) return 0;
          const rounded = roundHalfEven(Math.fround(Math.fround(value - shift) / scale));
          return Math.min(high, Math.max(low, rounded));
        });
        expect(q.length).toBe(kh * kw * inner * outer);
        expect([...filter.unpack()]).toEqual([...q]);
        if (!partition.perChannel) {
          const all = (values: Float32Array) => [...values].map((v) => stored(v, settings.scaleFormat));
          expect([...filter.scales('kds')!]).toEqual(all(scales));
          if (shifts) expect([...filter.scales('kdsBias')!]).toEqual(all(shifts));
          // Scales so small that float16 would lose too much stay float32, and their filter's with them.
          const isNormal = scales.every((v) => v === 0 || Math.abs(v) >= 2 ** -14);
          const half = settings.scaleFormat === 'float16' && isNormal;
          if (half) expect(filter.stored('kds')!.format).toBe('float16');
        }
      });
    }
  });

  test.each(['native', 'wasm-simd', 'js'])('every layer on %s, eager and as a plan', async (tier) => {
    const { trained, frozen } = await given(which);
    const x = pictures(2, 17);
    for (const { name, made } of pairs({ trained, frozen })) {
      const { from, to } = ends(trained, made);
      await tf.setBackend(BACKEND_NAME);
      const [before, expected] = tf.tidy(() => {
        const both = tfl.model({ inputs: trained.inputs, outputs: [from, to] });
        return both.predict(x) as [tf.Tensor4D, tf.Tensor4D];
      });
      const court = judge(before, made, trained);
      court.trained(read(expected), `${name}, trained`);
      // The float composite of stock operators, as plain TensorFlow.js computes it.
      await tf.setBackend('cpu');
      const plain = tf.tidy(() => after(trained, from, to, before));
      court.trained(read(plain), `${name}, trained, by plain TensorFlow.js`);
      plain.dispose();
      await tf.setBackend(pin(tier));
      const eager = tf.tidy(() => made.apply(before) as tf.Tensor4D);
      court.frozen(read(eager), `${name}, eager on ${tier}`);
      const plan = await compile((y) => made.apply(y) as tf.Tensor, before);
      expect(plan.reason).toEqual(tier === 'js' ? expect.stringContaining('no plans') : null);
      const planned = (await plan.run(before)) as tf.Tensor;
      court.frozen(read(planned), `${name}, planned on ${tier}`);
      plan.dispose();
      tf.dispose([before, expected, eager, planned]);
    }
    const [whole, plain] = await Promise.all([answers(trained, x, 'cpu'), answers(trained, x, BACKEND_NAME)]);
    const found = await answers(frozen, x, pin(tier));
    expect(noise(whole, plain)).toBeLessThan(MOVED);
    expect(noise(whole, found)).toBeLessThan(which.endsWith('float activations') ? 1e-5 : MOVED);
    const plan = await compile((input) => frozen.predict(input) as tf.Tensor, x);
    expect(plan.reason).toEqual(tier === 'js' ? expect.stringContaining('no plans') : null);
    const planned = (await plan.run(x)) as tf.Tensor;
    expect(noise(whole, read(planned))).toBeLessThan(which.endsWith('float activations') ? 1e-5 : MOVED);
    plan.dispose();
    tf.dispose([x, planned]);
  });
});

/** A difference in the last bit of a float may move a mantissa by one: of 6 bits that is up to a sixteenth of a block. Layer by layer it is excluded above. */
const MOVED = 0.05;

async function answers(model: tfl.LayersModel, x: tf.Tensor, backend: string): Promise<Float32Array> {
  await tf.setBackend(backend);
  return tf.tidy(() => read(model.predict(x) as tf.Tensor));
}

/** Largest difference relative to the largest number. */
function noise(a: Float32Array, b: Float32Array): number {
  const largest = a.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  expect(a.length).toBe(b.length);
  return a.reduce((most, value, n) => Math.max(most, Math.abs(value - b[n]!)), 0) / largest;
}

/** A scale as its filter stores it: the nearest float16, where that loses at most 2^-10. */
function stored(value: number, format: string): number {
  if (format === 'float32') return value;
  const exponent = Math.max(-14, Math.floor(Math.log2(Math.abs(value) || 1)));
  const unit = 2 ** (exponent - 10);
  const rounded = roundHalfEven(value / unit) * unit;
  return Math.abs(rounded - value) <= Math.abs(value) * 2 ** -10 ? rounded : value;
}

/** Where the frozen layer begins and ends in the trained model. */
function ends(trained: tfl.LayersModel, made: FrozenLayer) {
  const source = (made.inboundNodes[0]!.inputTensors as tfl.SymbolicTensor[])[0]!;
  const at = (layer: tfl.layers.Layer): tfl.SymbolicTensor =>
    layer.getClassName() === 'InputLayer'
      ? trained.inputs[0]!
      : (trained.getLayer(layer.name).getOutputAt(0) as tfl.SymbolicTensor);
  return { from: at(source.sourceLayer), to: at(made) };
}

/** What the trained model makes of a tensor between two of its layers' outputs, which follow each other in a line. */
function after(
  trained: tfl.LayersModel,
  from: tfl.SymbolicTensor,
  to: tfl.SymbolicTensor,
  x: tf.Tensor,
): tf.Tensor {
  const line: tfl.layers.Layer[] = [];
  for (let layer = to.sourceLayer; layer !== from.sourceLayer; ) {
    line.unshift(layer);
    layer = (layer.inboundNodes[0]!.inputTensors as tfl.SymbolicTensor[])[0]!.sourceLayer;
  }
  expect(trained.layers).toEqual(expect.arrayContaining(line));
  return line.reduce((y, layer) => layer.apply(y) as tf.Tensor, x);
}
