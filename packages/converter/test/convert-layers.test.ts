/** LayersModels converted and loaded again by TensorFlow.js alone. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BACKEND_NAME } from '@dsconv/backend-cpu';
import { compile, NotFiniteError, selectBackend } from '@dsconv/core';
import { getModel, preprocess } from '@dsconv/models';
import { memory, mul, serialization, type Tensor, tensor, tidy } from '@tensorflow/tfjs-core';
import {
  model as createModel,
  input,
  type LayersModel,
  layers,
  loadLayersModel,
  type SymbolicTensor,
  sequential,
} from '@tensorflow/tfjs-layers';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { dataMissing, dataPath } from '../../models/test/support/shared-data.js';
import { rectified } from '../src/calibration/moments.js';
import { convertModel, signalToNoise, writeModelFiles } from '../src/index.js';
import { FrozenDSConv2D, registerDSConvLayers } from '../src/layers/runtime/index.js';
import { conversionPaths } from './support/conversion-paths.js';
import { everyLayer } from './support/every-layer.js';
import {
  fillWeights,
  loadLayersFromDisk,
  type Storage,
  saveAsIs,
  saveLayers,
} from './support/layers-files.js';
import { layersArtifacts } from './support/mobilenet-graph.js';

const paths = conversionPaths();

beforeAll(async () => {
  await selectBackend([BACKEND_NAME]);
  registerDSConvLayers();
});

const numbers = (length: number, phase = 0): Float32Array =>
  Float32Array.from({ length }, (_, n) => Math.sin(n * 7.13 + n * n * 0.011 + phase));

const run = (model: LayersModel, x: Tensor): Float32Array =>
  tidy(() => Float32Array.from((model.predict(x) as Tensor).dataSync()));

describe('a LayersModel', () => {
  it('folds every layer, keeps the outputs, and TensorFlow.js loads the result', async () => {
    const original = everyLayer();
    await saveLayers(original, paths.source);
    const before = memory().numTensors;
    const { files, report } = await convertModel(paths.source, { bits: 8, blockSize: 16 });
    expect(memory().numTensors).toBe(before);
    expect(report.format).toBe('layers-model');
    expect(report.layers.map(({ name, kind, folded }) => [name, kind, folded])).toEqual([
      ['stem_relu6', 'conv2d', ['pad', 'stem', 'stem_bn', 'stem_relu6']],
      ['dw_relu', 'depthwise', ['dw', 'dw_bn', 'dw_relu']],
      ['sep_depthwise', 'depthwise', ['sep']],
      ['sep', 'conv2d', ['sep']],
      ['leaky', 'conv2d', ['wide', 'leaky']],
      ['outer', 'conv2d', ['outer']],
      ['prelu', 'conv2d', ['pre', 'prelu']],
      ['hidden_swish', 'dense', ['hidden', 'hidden_bn', 'hidden_swish']],
      ['classes', 'dense', ['classes']],
    ]);
    expect(report.left).toEqual([]);
    expect(report.kept).toEqual({ InputLayer: 1, Add: 1, Dropout: 1, GlobalAveragePooling2D: 1 });
    expect(report.verification.notCompared).toBeNull();
    expect(report.verification.foldingSnrDb).toBeGreaterThan(90);
    expect(report.verification.storedSnrDb).toBeGreaterThan(90);
    // Behind the normalized stem, the normalized depthwise layer and the normalized hidden layer.
    expect(report.accuracy).toMatchObject({ correctedBiases: 3, scaledRanges: 0, notCorrected: null });

    const written = await writeModelFiles(paths.target, files);
    expect(written).toBe(report.bytesAfter);
    const x = tensor(numbers(2 * 243), [2, 9, 9, 3]);
    const expected = run(original, x);
    const converted = await loadLayersFromDisk(join(paths.target, 'model.json'));
    expect(converted.outputNames).toEqual(original.outputNames);
    expect(signalToNoise(expected, run(converted, x))).toBeGreaterThan(30);
    x.dispose();
    original.dispose();
    converted.dispose();
  });

  it.each<Storage>(['float16', 'uint8'])('is read where its weights are stored as %s', async (storage) => {
    const original = everyLayer();
    await saveLayers(original, paths.source, storage);
    const { files, report } = await convertModel(paths.source, { bits: 8, blockSize: 16 });
    expect(report.verification.foldingSnrDb).toBeGreaterThan(90);
    await writeModelFiles(paths.target, files);
    const x = tensor(numbers(243), [1, 9, 9, 3]);
    const stored = await loadLayersFromDisk(join(paths.source, 'model.json'));
    const converted = await loadLayersFromDisk(join(paths.target, 'model.json'));
    expect(signalToNoise(run(stored, x), run(converted, x))).toBeGreaterThan(30);
  });

  it('runs as a plan what it runs eagerly, saves again, and leaves no tensor behind', async () => {
    await saveLayers(everyLayer('sigmoid'), paths.source);
    const { files } = await convertModel(paths.source, { bits: 4, blockSize: 16, verify: false });
    await writeModelFiles(paths.target, files);
    const x = tensor(numbers(243), [1, 9, 9, 3]);
    const before = memory().numTensors;
    const converted = await loadLayersFromDisk(join(paths.target, 'model.json'));
    const eager = run(converted, x);
    const plan = await compile((given) => converted.predict(given) as Tensor, x);
    expect(plan.reason).toBeNull();
    const planned = (await plan.run(x)) as Tensor;
    expect(signalToNoise(eager, Float32Array.from(planned.dataSync())) ?? Infinity).toBeGreaterThan(90);
    planned.dispose();
    plan.dispose();
    const resaved = join(paths.scratch, 'resaved');
    await saveAsIs(converted, resaved);
    converted.dispose();
    expect(memory().numTensors).toBe(before);
    const again = await loadLayersFromDisk(join(resaved, 'model.json'));
    expect(run(again, x)).toEqual(eager);
    again.dispose();
    expect(memory().numTensors).toBe(before);
  });

  it('becomes the same layer again from its configuration', async () => {
    await saveLayers(everyLayer(), paths.source);
    const { files } = await convertModel(paths.source, { bits: 4, blockSize: 16, verify: false });
    await writeModelFiles(paths.target, files);
    const converted = await loadLayersFromDisk(join(paths.target, 'model.json'));
    const layer = converted.getLayer('stem_relu6') as FrozenDSConv2D;
    expect(layer).toBeInstanceOf(FrozenDSConv2D);
    expect(layer.trainableWeights).toEqual([]);
    const copy = new FrozenDSConv2D(layer.getConfig());
    const x = tensor(numbers(243), [1, 9, 9, 3]);
    const zeros = copy.apply(x) as Tensor;
    expect(zeros.shape).toEqual([1, 4, 4, 16]);
    expect(copy.computeOutputShape([null, null, 9, 3])).toEqual([null, null, 4, 16]);
    copy.setWeights(layer.getWeights());
    expect((copy.apply(x) as Tensor).dataSync()).toEqual((layer.apply(x) as Tensor).dataSync());
    expect(() => new FrozenDSConv2D({ ...layer.getConfig(), bits: 9 })).toThrow(
      /layer 'stem_relu6' has bits 9; expected an integer from 2 to 8, or 0/,
    );
    expect(() => new FrozenDSConv2D(layer.getConfig()).apply(tensor(numbers(4), [1, 1, 1, 4]))).toThrow(
      /expected 3 channels/,
    );
  });

  it('may be a Sequential, whose first layer says what it reads', async () => {
    const original = fillWeights(
      sequential({
        layers: [
          layers.conv2d({ inputShape: [8, 8, 1], filters: 16, kernelSize: 3, name: 'a' }),
          layers.batchNormalization({ name: 'a_bn' }),
          layers.reLU({ name: 'a_relu' }),
          layers.separableConv2d({ filters: 20, kernelSize: 3, activation: 'sigmoid', name: 'b' }),
          layers.maxPooling2d({ poolSize: 2, name: 'pool' }),
          layers.flatten({ name: 'flat' }),
          layers.dense({ units: 5, name: 'c' }),
          layers.softmax({ name: 'y' }),
        ],
      }),
    );
    await saveLayers(original, paths.source);
    const { files, report } = await convertModel(paths.source, { bits: 8, blockSize: 16 });
    expect(report.verification.outputs).toMatchObject([{ name: 'y', shape: [1, 5] }]);
    expect(report.layers.map(({ name, folded }) => [name, folded])).toEqual([
      ['a_relu', ['a', 'a_bn', 'a_relu']],
      ['b_depthwise', ['b']],
      ['b', ['b']],
      ['c', ['c']],
    ]);
    await writeModelFiles(paths.target, files);
    const converted = await loadLayersFromDisk(join(paths.target, 'model.json'));
    expect(converted.inputs[0]!.shape).toEqual([null, 8, 8, 1]);
    const x = tensor(numbers(64), [1, 8, 8, 1]);
    expect(signalToNoise(run(original, x), run(converted, x))).toBeGreaterThan(30);
  });

  it('may hold models, and layers that are called twice', async () => {
    const inner = sequential({
      name: 'inner',
      layers: [
        layers.conv2d({ inputShape: [6, 6, 4], filters: 16, kernelSize: 3, padding: 'same', name: 'in_a' }),
        layers.batchNormalization({ name: 'in_bn' }),
        layers.reLU({ name: 'in_relu' }),
      ],
    });
    const apply = (layer: layers.Layer, to: SymbolicTensor | SymbolicTensor[]): SymbolicTensor =>
      layer.apply(to) as SymbolicTensor;
    const [a, b] = ['left', 'right'].map((name) => input({ shape: [6, 6, 3], name })) as [
      SymbolicTensor,
      SymbolicTensor,
    ];
    const shared = layers.conv2d({ filters: 4, kernelSize: 1, activation: 'relu', name: 'shared' });
    const [p, q] = [a, b].map((x) => apply(inner as unknown as layers.Layer, apply(shared, x)));
    const joined = apply(layers.concatenate({ name: 'joined' }), [p!, q!]);
    const y = apply(layers.conv2d({ filters: 8, kernelSize: 1, name: 'y' }), joined);
    const original = fillWeights(createModel({ inputs: [a, b], outputs: y }));
    await saveLayers(original, paths.source);
    const { files, report } = await convertModel(paths.source, { bits: 8, blockSize: 16 });
    expect(report.layers.map(({ name, bits, perChannel }) => [name, bits, perChannel])).toEqual([
      ['shared', 8, true],
      ['in_relu', 8, true],
      ['y', 8, false],
    ]);
    expect(report.verification.foldingSnrDb ?? Infinity).toBeGreaterThan(90);
    await writeModelFiles(paths.target, files);
    const converted = await loadLayersFromDisk(join(paths.target, 'model.json'));
    const xs = [1, 2].map((phase) => tensor(numbers(108, phase), [1, 6, 6, 3]));
    const outputs = [original, converted].map((model) =>
      Float32Array.from((model.predict(xs) as Tensor).dataSync()),
    );
    expect(signalToNoise(outputs[0]!, outputs[1]!)).toBeGreaterThan(30);
  });

  it('learns mean inputs from normalizations before activations that it cannot fold', async () => {
    const original = fillWeights(
      sequential({
        layers: [
          layers.maxPooling2d({ inputShape: [9, 9, 16], poolSize: 3, strides: 1, name: 'pool' }),
          layers.batchNormalization({ name: 'bn' }),
          layers.reLU({ name: 'relu' }),
          layers.conv2d({ filters: 24, kernelSize: 1, name: 'y' }),
        ],
      }),
    );
    await saveLayers(original, paths.source);
    const { files, report } = await convertModel(paths.source, { bits: 2, firstBits: 2, blockSize: 16 });
    expect(report.kept).toMatchObject({ BatchNormalization: 1, ReLU: 1 });
    expect(report.accuracy).toMatchObject({ correctedBiases: 1, notCorrected: null });
    await writeModelFiles(paths.target, files);
    const converted = await loadLayersFromDisk(join(paths.target, 'model.json'));
    const vectors = (model: LayersModel, name: string) =>
      (model.getLayer(name) as layers.Layer).getWeights().map((t) => t.dataSync() as Float32Array);
    const [gamma, beta] = vectors(original, 'bn');
    const [kernel, bias] = vectors(original, 'y');
    const found = (converted.getLayer('y') as FrozenDSConv2D).filter()!.dequantize();
    // Of normally distributed values with mean β and deviation γ, cut off at 0.
    const { mean } = rectified(
      { mean: Float64Array.from(beta!), variance: Float64Array.from(gamma!, (g) => g * g) },
      Infinity,
    );
    const correct = Float32Array.from(bias!, (value, o) =>
      mean.reduce((sum, m, i) => sum + m * (kernel![i * 24 + o]! - found[i * 24 + o]!), value),
    );
    const stored = converted.getLayer('y').getWeights()[1]!.dataSync() as Float32Array;
    expect(signalToNoise(correct, stored) ?? Infinity).toBeGreaterThan(100);
    expect(signalToNoise(bias!, stored)).toBeLessThan(30);
  });

  it('does not fold what something else reads', async () => {
    const x = input({ shape: [5, 5, 3], name: 'x' });
    const conv = layers.conv2d({ filters: 8, kernelSize: 1, name: 'conv' }).apply(x) as SymbolicTensor;
    const relu = layers.reLU({ name: 'relu' }).apply(conv) as SymbolicTensor;
    const sum = layers.add({ name: 'sum' }).apply([conv, relu]) as SymbolicTensor;
    await saveLayers(fillWeights(createModel({ inputs: x, outputs: [sum, relu] })), paths.source);
    const { report } = await convertModel(paths.source, { bits: 8 });
    expect(report.layers.map(({ name }) => name)).toEqual(['conv']);
    expect(report.kept).toEqual({ InputLayer: 1, ReLU: 1, Add: 1 });
    expect(report.verification.outputs.map(({ name }) => name)).toEqual(['sum', 'relu']);
  });

  it('leaves what DSConv has not, and names it', async () => {
    const model = sequential({
      layers: [
        layers.conv2d({ inputShape: [6, 6, 2], filters: 4, kernelSize: 3, name: 'conv' }),
        layers.conv2dTranspose({ filters: 4, kernelSize: 3, name: 'up' }),
        layers.reshape({ targetShape: [36, 4], name: 'rows' }),
        layers.lstm({
          units: 3,
          returnSequences: true,
          recurrentInitializer: 'glorotUniform',
          name: 'memory',
        }),
        layers.timeDistributed({ layer: layers.dense({ units: 2, name: 'each_dense' }), name: 'each' }),
        layers.dense({ units: 4, name: 'last' }),
      ],
    });
    const path = await saveLayers(model, paths.source);
    const { report } = await convertModel(paths.source, { bits: 8 });
    expect(report.layers.map(({ name }) => name)).toEqual(['conv', 'last']);
    expect(report.left).toEqual([
      { name: 'up', op: 'Conv2DTranspose', reason: 'it is a transposed convolution' },
      { name: 'memory', op: 'LSTM', reason: 'it is recurrent' },
      { name: 'each', op: 'TimeDistributed', reason: 'it wraps another layer' },
    ]);
    expect(report.verification.foldingSnrDb ?? Infinity).toBeGreaterThan(90);
    const json = JSON.parse(readFileSync(path, 'utf8'));
    const [conv, , rows] = json.modelTopology.config.layers;
    conv.config.data_format = 'channels_first';
    rows.class_name = 'Lambda';
    writeFileSync(path, JSON.stringify(json));
    const { report: other, files } = await convertModel(paths.source, { bits: 8 });
    expect(other.left.slice(0, 1)).toEqual([
      { name: 'conv', op: 'Conv2D', reason: "its data format is 'channels_first'" },
    ]);
    expect(other.left).toContainEqual({
      name: 'rows',
      op: 'Lambda',
      reason: 'TensorFlow.js knows no such class of layers',
    });
    expect(other.verification.notCompared).toMatch(/does not know the class Lambda of layer 'rows'/);
    const written = JSON.parse(new TextDecoder().decode(files.get('model.json')));
    expect(written.modelTopology.config.layers[2]).toEqual(rows);
  });

  it('may have convolutions in groups, which TensorFlow.js alone cannot run', async () => {
    const path = await saveLayers(
      fillWeights(
        sequential({
          layers: [
            layers.conv2d({ inputShape: [6, 6, 4], filters: 8, kernelSize: 3, name: 'a' }),
            layers.conv2d({ filters: 6, kernelSize: 1, name: 'b' }),
          ],
        }),
      ),
      paths.source,
    );
    const json = JSON.parse(readFileSync(path, 'utf8'));
    // Two groups of 2 channels each: half of the kernel.
    const bytes = readFileSync(join(paths.source, 'weights.bin')).subarray(9 * 2 * 8 * 4);
    json.weightsManifest[0].weights[0].shape = [3, 3, 2, 8];
    json.modelTopology.config.layers[0].config.groups = 2;
    writeFileSync(join(paths.source, 'weights.bin'), bytes);
    writeFileSync(path, JSON.stringify(json));
    const { files, report } = await convertModel(paths.source, { bits: 8, blockSize: 16 });
    expect(report.verification.notCompared).toMatch(/no convolutions in groups, such as layer 'a'/);
    const pictures = { count: 4, read: async (n: number) => numbers(144, n) };
    await expect(convertModel(paths.source, { bits: 8, pictures })).rejects.toThrow(/1 or 3 channels/);
    await writeModelFiles(paths.target, files);
    const converted = await loadLayersFromDisk(join(paths.target, 'model.json'));
    const x = tensor(numbers(144), [1, 6, 6, 4]);
    const hidden = (converted.getLayer('a').apply(x) as Tensor).dataSync();
    const weights = new Float32Array(new Uint8Array(bytes).buffer);
    // Output channel 5 reads the second half of the input's channels.
    let expected = weights[9 * 2 * 8 + 5]!;
    const values = x.dataSync();
    for (let tap = 0; tap < 9; tap++) {
      for (let i = 0; i < 2; i++) {
        const pixel = Math.floor(tap / 3) * 6 + (tap % 3);
        expected += values[pixel * 4 + 2 + i]! * weights[(tap * 2 + i) * 8 + 5]!;
      }
    }
    expect(hidden[5]).toBeCloseTo(expected, 1);
  });

  it("may have layers of one's own, once they are registered", async () => {
    class Twice extends layers.Layer {
      static readonly className = 'TwiceForTest';
      override call(x: Tensor | Tensor[]): Tensor {
        return mul(Array.isArray(x) ? x[0]! : x, 2);
      }
    }
    serialization.registerClass(Twice);
    const model = sequential({
      layers: [
        layers.dense({ inputShape: [4], units: 6, activation: 'relu', name: 'one' }),
        new Twice({ name: 'twice' }),
        layers.dense({ units: 2, name: 'two' }),
      ],
    });
    await saveLayers(fillWeights(model), paths.source);
    const { report } = await convertModel(paths.source, { bits: 8 });
    expect(report.left).toEqual([]);
    expect(report.kept.TwiceForTest).toBe(1);
    expect(report.verification.notCompared).toBeNull();
  });

  it('is calibrated on pictures, which one input of pictures must take', async () => {
    const original = everyLayer();
    await saveLayers(original, paths.source);
    const pictures = { count: 24, read: async (n: number) => numbers(243, n) };
    const options = { bits: 3, firstBits: 3, depthwiseBits: 8, blockSize: 16 } as const;
    let count = 0;
    const outcome = async (more: object): Promise<{ snr: number; json: string }> => {
      const { files, report } = await convertModel(paths.source, { ...options, ...more });
      const folder = join(paths.scratch, `calibrated-${count++}`);
      await writeModelFiles(folder, files);
      const converted = await loadLayersFromDisk(join(folder, 'model.json'));
      const x = tensor(
        Float32Array.from(Array.from({ length: 8 }, (_, n) => [...numbers(243, n + 0.5)]).flat()),
        [8, 9, 9, 3],
      );
      const snr = signalToNoise(run(original, x), run(converted, x))!;
      converted.dispose();
      return { snr, json: JSON.stringify([[...files.keys()], report.accuracy]) };
    };
    const rounded = await outcome({ biasCorrection: false });
    const calibrated = await outcome({ pictures });
    expect(calibrated.snr).toBeGreaterThan(rounded.snr + 3);
    expect(calibrated.json).toContain('"pictures":24');
    expect((await outcome({ pictures })).json).toBe(calibrated.json);
    const wrong = { count: 1, read: async () => new Float32Array(5) };
    await expect(convertModel(paths.source, { ...options, pictures: wrong })).rejects.toThrow(
      /picture 0 has 5 values; expected 243 for \[9,9,3\]/,
    );
    const flat = sequential({ layers: [layers.dense({ inputShape: [4], units: 6 })] });
    await saveLayers(flat, paths.target);
    await expect(convertModel(paths.target, { ...options, pictures: wrong })).rejects.toThrow(
      /is float32 of shape \[\?,4\]; expected \[batch, height, width, channels\]/,
    );
  });

  it('fits a layer that runs twice where it runs first', async () => {
    const x = input({ shape: [9, 9, 3], name: 'x' });
    const shared = layers.conv2d({
      filters: 3,
      kernelSize: 3,
      padding: 'same',
      activation: 'relu',
      name: 'shared',
    });
    const twice = shared.apply(shared.apply(x)) as SymbolicTensor;
    const y = layers.conv2d({ filters: 4, kernelSize: 1, name: 'y' }).apply(twice) as SymbolicTensor;
    const original = fillWeights(createModel({ inputs: x, outputs: y }));
    await saveLayers(original, paths.source);
    const pictures = { count: 16, read: async (n: number) => numbers(243, n) };
    const before = memory().numTensors;
    const { files, report } = await convertModel(paths.source, { bits: 4, firstBits: 4, pictures });
    expect(memory().numTensors).toBe(before);
    expect(report.layers.map(({ name }) => name)).toEqual(['shared', 'y']);
    expect(report.accuracy).toMatchObject({ correctedBiases: 2, pictures: 16, rounded: [] });
    await writeModelFiles(paths.target, files);
    const converted = await loadLayersFromDisk(join(paths.target, 'model.json'));
    const some = tensor(numbers(243, 0.5), [1, 9, 9, 3]);
    expect(signalToNoise(run(original, some), run(converted, some))).toBeGreaterThan(15);
  });

  it('has no NaN among its weights', async () => {
    const model = sequential({ layers: [layers.dense({ inputShape: [4], units: 6, name: 'odd' })] });
    model.setWeights([tensor(new Float32Array(24).fill(Number.NaN), [4, 6]), tensor(numbers(6))]);
    await saveLayers(model, paths.source);
    const converting = convertModel(paths.source, { bits: 8 });
    await expect(converting).rejects.toThrow(NotFiniteError);
    await expect(converting).rejects.toThrow(/odd/);
  });
});

const MOBILENET = dataPath('mobilenet-v1-0.75-224/model.json');

describe.skipIf(dataMissing('mobilenet-v1-0.75-224', 'imagenet-photos'))(
  'MobileNet 0.75 (needs the measuring data)',
  () => {
    it('becomes a smaller LayersModel that sees the same on photographs', async () => {
      const { files, report } = await convertModel(dataPath('mobilenet-v1-0.75-224'), {
        bits: 8,
        blockSize: 64,
        method: 'absmax',
      });
      expect(report.layers).toHaveLength(28);
      expect(report.left).toEqual([]);
      expect(report.accuracy.correctedBiases).toBe(27);
      expect(report.bytesBefore / report.bytesAfter).toBeGreaterThan(3.7);
      await writeModelFiles(paths.target, files);
      const original = await loadLayersModel({ load: async () => layersArtifacts(MOBILENET) });
      const converted = await loadLayersFromDisk(join(paths.target, 'model.json'));
      const { preprocessing } = getModel('mobilenet_v1_0.75.keras_in1k');
      const indices = Array.from({ length: 12 }, (_, n) => n * 84);
      const pixels = 224 * 224 * 3;
      const data = new Float32Array(indices.length * pixels);
      for (const [n, index] of indices.entries()) {
        const file = dataPath(`imagenet-photos/${String(index).padStart(4, '0')}.jpg`);
        const { data: raw, info } = await sharp(file)
          .removeAlpha()
          .raw()
          .toBuffer({ resolveWithObject: true });
        const picture = { data: raw, width: info.width, height: info.height, channels: 3 } as const;
        data.set(preprocess(picture, preprocessing), n * pixels);
      }
      const x = tensor(data, [indices.length, 224, 224, 3]);
      const [before, after] = [original, converted].map((model) => {
        const rows = tidy(() => (model.predict(x) as Tensor).arraySync() as number[][]);
        return rows.map((row) => row.indexOf(Math.max(...row)));
      });
      const agreeing = after!.filter((found, n) => found === before![n]);
      expect(agreeing.length).toBeGreaterThanOrEqual(10);
      original.dispose();
      converted.dispose();
    });
  },
);
