/** Frozen networks as files, in memory, and what cannot be frozen. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BACKEND_NAME } from '@dsconv/backend-cpu';
import { convertModel, layersModelFiles, readFloatNetwork, writeModelFiles } from '@dsconv/converter';
import { FrozenLayer, fromOneFile, toOneFile } from '@dsconv/converter/runtime-layers';
import { NotFiniteError } from '@dsconv/core';
import { FileFormatError, readSafetensors, writeSafetensors } from '@dsconv/models';
import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-core/dist/register_all_gradients.js';
import * as tfl from '@tensorflow/tfjs-layers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadLayersFromDisk, saveAsIs } from '../../../converter/test/support/layers-files.js';
import { DSConv2D, dsConv2d, freeze, toDSConv } from '../../src/index.js';
import { functionalModel, lesson, pictures, sequentialModel, train } from './trained-models.js';

const folder = mkdtempSync(join(tmpdir(), 'dsconv-freeze-'));
const path = (name: string): string => join(folder, name);
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeAll(() => tf.setBackend(BACKEND_NAME));

const answers = (model: tfl.LayersModel, x: tf.Tensor): number[] =>
  tf.tidy(() => [...(model.predict(x) as tf.Tensor).dataSync()]);

const classesOf = (model: tfl.LayersModel): Record<string, string> =>
  Object.fromEntries(model.layers.map((layer) => [layer.name, layer.getClassName()]));

test('layers are folded as far as nothing else reads what lies between, and the rest stays', async () => {
  const told: Record<string, string | null> = {};
  const line = await freeze(sequentialModel(), { onLayer: (name, left) => (told[name] = left) });
  expect(told).toEqual({ stem: null, dw: null, point: null, whole: null });
  expect(classesOf(line)).toEqual({
    stem: 'FrozenDSConv2D',
    dw_relu: 'FrozenDSDepthwiseConv2D',
    point_swish: 'FrozenDSConv2D',
    whole_norm: 'FrozenDSConv2D',
    pooled: 'GlobalAveragePooling2D',
    logits: 'Dense',
  });
  const graph = await freeze(functionalModel());
  expect(classesOf(graph)).toEqual({
    picture: 'InputLayer',
    stem: 'FrozenDSConv2D',
    grouped_relu: 'FrozenDSConv2D',
    shifted_norm: 'FrozenDSConv2D',
    sum: 'Add',
    sum_relu: 'ReLU',
    block: 'FrozenDSConv2D',
    outer: 'FrozenDSConv2D',
    shared: 'FrozenDSConv2D',
    pooled: 'GlobalAveragePooling2D',
    logits: 'Dense',
  });
  const activations = Object.fromEntries(
    graph.layers.flatMap((layer) => {
      if (!(layer instanceof FrozenLayer)) return [];
      const { activation, outerActivation } = layer.getConfig();
      return [[layer.name, outerActivation ?? activation]];
    }),
  );
  expect(activations).toEqual({
    ...{ stem: 'silu', grouped_relu: 'relu', shifted_norm: 'linear', block: 'silu' },
    ...{ outer: 'sigmoid', shared: 'linear' },
  });
  expect((graph.getLayer('outer') as FrozenLayer).getConfig()).toMatchObject({
    padding: 'explicit',
    explicitPaddings: [1, 0, 2, 1],
  });
});

test('files are written, loaded and converted, and give the same answers', async () => {
  const trained = functionalModel();
  await train(trained);
  const x = pictures(3, 9);
  const frozen = await freeze(trained);
  const expected = answers(frozen, x);
  const written = await writeModelFiles(path('frozen'), await layersModelFiles(frozen));
  expect(readdirSync(path('frozen'))).toHaveLength(2);
  const loaded = await loadLayersFromDisk(join(path('frozen'), 'model.json'));
  expect(answers(loaded, x)).toEqual(expected);
  // TensorFlow.js' own saving keeps the same.
  await saveAsIs(frozen, path('saved'));
  expect(answers(await loadLayersFromDisk(join(path('saved'), 'model.json')), x)).toEqual(expected);
  const bytes = await toOneFile(frozen);
  expect(answers(await tfl.loadLayersModel(fromOneFile(bytes)), x)).toEqual(expected);
  expect(bytes.length).toBeLessThan(1.3 * written);
  const size = (name: string): number => readFileSync(join(path('trained'), name)).length;
  await saveAsIs(trained, path('trained'));
  expect(written).toBeLessThan(0.6 * readdirSync(path('trained')).reduce((sum, name) => sum + size(name), 0));

  // The trained model as it was saved is frozen by the converter too; what never learned is quantized there.
  const plain = await convertModel(path('trained'), { bits: 8, dense: false });
  expect(plain.report.layers.map(({ name, bits, snrDb }) => [name, bits, snrDb])).toEqual([
    ['stem', 8, null],
    ['grouped_relu', 4, null],
    ['shifted_norm', 2, null],
    ['block', 3, null],
    ['outer', 4, null],
    ['shared', 4, null],
  ]);
  expect(plain.report.kept).toEqual({
    ...{ InputLayer: 1, Add: 1, ReLU: 1, GlobalAveragePooling2D: 1, Dense: 1 },
  });
  await writeModelFiles(path('converted'), plain.files);
  const converted = await loadLayersFromDisk(join(path('converted'), 'model.json'));
  expect(answers(converted, x)).toEqual(expected);

  const read = async (index: number, shape: readonly number[]): Promise<Float32Array> =>
    new Float32Array(shape.reduce((a, b) => a * b, 1)).map((_, n) => Math.sin((n + index) * 3.1 + index));
  for (const more of [{}, { pictures: { count: 12, read } }]) {
    const { report } = await convertModel(path('trained'), { bits: 4, ...more });
    expect(report.layers.at(-1)).toMatchObject({ name: 'logits', kind: 'dense', bits: 4 });
    expect(report.verification.outputs[0]!.snrDb).toBeGreaterThan(12);
    expect(report.verification.foldingSnrDb ?? Infinity).toBeGreaterThan(60);
  }
  await expect(readFloatNetwork(join(path('trained'), 'model.json'))).rejects.toThrow(
    /layer 'stem' \(DSConvBlock\) has learned the integers of its filter; expected a float network, while `dsconv convert`/,
  );
  await expect(readFloatNetwork(join(path('frozen'), 'model.json'))).rejects.toThrow(
    /layer 'stem' \(FrozenDSConv2D\) is quantized already; expected a float network/,
  );
  x.dispose();
});

test('a file that is damaged is refused by what is wrong', async () => {
  const bytes = await toOneFile(await freeze(sequentialModel()));
  const { tensors, metadata } = readSafetensors(bytes, 'it');
  const damaged = (change: { tensors?: typeof tensors; metadata?: [string, string][] }): Uint8Array =>
    writeSafetensors(change.tensors ?? tensors, new Map([...metadata, ...(change.metadata ?? [])]));
  const refused = (file: Uint8Array, message: RegExp): void => {
    expect(() => fromOneFile(file, 'small.safetensors')).toThrow(FileFormatError);
    expect(() => fromOneFile(file, 'small.safetensors')).toThrow(message);
  };
  refused(bytes.subarray(0, 100), /^small.safetensors: /);
  refused(writeSafetensors(tensors), /the metadata has no 'format'; expected a LayersModel in one file/);
  refused(
    damaged({ metadata: [['format', 'dsconv-network']] }),
    /format is "dsconv-network"; expected 'dsconv-la/,
  );
  refused(damaged({ metadata: [['topology', '{']] }), /topology is not JSON/);
  refused(damaged({ metadata: [['weights', '{}']] }), /topology or weights are no object and list/);
  refused(damaged({ metadata: [['weights', '[{"name":"a"}]']] }), /a weight is {"name":"a"}; expected name/);
  const filter = tensors.get('stem/filter')!;
  const others = new Map(tensors);
  others.delete('stem/filter');
  refused(damaged({ tensors: others }), /weight 'stem\/filter' is missing; expected U8 \[bytes\]/);
  const short = { ...filter, shape: [filter.shape[0]! - 1], data: filter.data.slice(1) };
  refused(
    damaged({ tensors: new Map([...tensors, ['stem/filter', short]]) }),
    /weight 'stem\/filter' is cut off; expected 5 strings/,
  );
});

test('freezing owns what it makes and nothing else; the trained model learns on', async () => {
  const trained = sequentialModel();
  await train(trained);
  const x = pictures(1);
  await freeze(trained).then((model) => model.dispose());
  const before = tf.memory().numTensors;
  const own = answers(trained, x);
  const frozen = await freeze(trained);
  const expected = answers(frozen, x);
  const [batch, labels] = lesson();
  await trained.fit(batch, labels, { epochs: 1, verbose: 0 });
  tf.dispose([batch, labels]);
  expect(answers(trained, x)).not.toEqual(own);
  expect(answers(frozen, x)).toEqual(expected);
  frozen.dispose();
  expect(() => frozen.predict(x)).toThrow();
  expect(answers(trained, x)).toHaveLength(4);
  expect(tf.memory().numTensors).toBe(before);
  x.dispose();
});

test('models in models, replaced layers, a second freezing', async () => {
  const inner = tfl.sequential({
    name: 'inner',
    layers: [
      tfl.layers.conv2d({ filters: 16, kernelSize: 3, inputShape: [8, 8, 3], name: 'deep' }),
      tfl.layers.batchNormalization({ name: 'deep_norm' }),
      tfl.layers.separableConv2d({ filters: 8, kernelSize: 3, activation: 'relu', name: 'apart' }),
    ],
  });
  const float = tfl.sequential({
    name: 'outer',
    layers: [
      inner,
      tfl.layers.flatten({ name: 'flat' }),
      tfl.layers.dense({ units: 3, activation: 'softmax', name: 'out' }),
    ],
  });
  const trained = await toDSConv(float, { bits: 4, dense: true, separable: true, activationBits: null });
  const x = pictures(2);
  const frozen = await freeze(trained);
  expect(classesOf(frozen.layers[0] as unknown as tfl.LayersModel)).toMatchObject({
    ...{ deep_norm: 'FrozenDSConv2D', apart_depthwise: 'FrozenDSDepthwiseConv2D', apart: 'FrozenDSConv2D' },
  });
  const expected = answers(trained, x);
  answers(frozen, x).forEach((value, n) => {
    expect(value).toBeCloseTo(expected[n]!, 5);
  });
  expect(answers(await freeze(frozen), x)).toEqual(answers(frozen, x));
});

/** A layer of a user's own. */
class Doubled extends tfl.layers.Layer {
  static className = 'Doubled';
  override call(inputs: tf.Tensor | tf.Tensor[]): tf.Tensor {
    return tf.mul(Array.isArray(inputs) ? inputs[0]! : inputs, 2);
  }
}

/** One that computes something else than the layer it was made of. */
class Shy extends DSConv2D {
  static override className = 'Shy';
  override call(inputs: tf.Tensor | tf.Tensor[], kwargs: object): tf.Tensor {
    return tf.neg(super.call(inputs, kwargs));
  }
}

test('what cannot be frozen stays or is refused by name', async () => {
  const make = (): tfl.LayersModel =>
    tfl.sequential({
      layers: [
        dsConv2d({ filters: 4, kernelSize: 1, inputShape: [4, 4, 16], name: 'plain' }),
        new Doubled({ name: 'twice' }),
        new Shy({ filters: 4, kernelSize: 1, name: 'shy' }),
        dsConv2d({ filters: 4, kernelSize: 1, bits: 8, blockSize: 2048, name: 'deep' }),
        dsConv2d({ filters: 4, kernelSize: 1, activation: 'softmax', name: 'soft' }),
      ],
    });
  await expect(freeze(make())).rejects.toThrow(
    /layer 'twice' is a Doubled, which TensorFlow.js does not know; expected tf.serialization.registerClass/,
  );
  tf.serialization.registerClass(Doubled);
  tf.serialization.registerClass(Shy);
  const told: Record<string, string | null> = {};
  const model = make();
  const frozen = await freeze(model, { onLayer: (name, left) => (told[name] = left) });
  expect(told).toEqual({
    plain: null,
    shy: 'its class Shy is not of @dsconv/layers and may compute something else',
    deep: 'its blocks of 2048 are too deep for exact sums at 8 weight bits and 8 activation bits',
    soft: null,
  });
  expect(classesOf(frozen)).toMatchObject({ plain: 'FrozenDSConv2D', twice: 'Doubled', shy: 'Shy' });
  const x = tf.randomNormal([2, 4, 4, 16], 0, 1, 'float32', 3);
  const expected = answers(model, x);
  answers(frozen, x).forEach((value, n) => {
    expect(value).toBeCloseTo(expected[n]!, 2);
  });
  await expect(freeze(tfl.sequential({ name: 'empty' }))).rejects.toThrow(
    /the model 'empty' has no input yet; expected one whose first layer has an inputShape, or that was built/,
  );
  const layer = model.getLayer('soft') as DSConv2D;
  layer.setWeights(layer.getWeights().map((w, n) => (n === 1 ? tf.fill(w.shape, Number.NaN) : w)));
  await expect(freeze(model)).rejects.toThrow(NotFiniteError);
  await expect(freeze(model)).rejects.toThrow(/bias\[0\] of layer 'soft' is NaN; expected finite numbers/);
});
