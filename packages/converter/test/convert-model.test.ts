/** GraphModels converted and loaded again by TensorFlow.js alone. */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { BACKEND_NAME } from '@dsconv/backend-cpu';
import { InvalidArgumentError, NotFiniteError, selectBackend } from '@dsconv/core';
import { FileFormatError, getModel, preprocess } from '@dsconv/models';
import { memory, setBackend, type Tensor, tensor, tidy } from '@tensorflow/tfjs-core';
import { loadLayersModel } from '@tensorflow/tfjs-layers';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { dataMissing, dataPath } from '../../models/test/support/shared-data.js';
import { registerDSConvOps } from '../src/graph/runtime/index.js';
import {
  type ConversionReport,
  convertModel,
  FileAccessError,
  NodeError,
  signalToNoise,
  writeModelFiles,
} from '../src/index.js';
import { conversionPaths } from './support/conversion-paths.js';
import { GraphFiles, integers, loadFromDisk, typed, windows } from './support/graph-files.js';
import { layersArtifacts, mobileNetGraph } from './support/mobilenet-graph.js';

const paths = conversionPaths();

beforeAll(async () => {
  await selectBackend([BACKEND_NAME]);
  registerDSConvOps();
});

/** Numbers without a pattern that is ours, of size `scale`. */
const numbers = (length: number, scale: number, phase = 0): Float32Array =>
  Float32Array.from({ length }, (_, n) => scale * Math.sin(n * 12.9898 + n * n * 0.0137 + phase));

/** Every spelling that is folded, one after the other, on 9 × 9 pixels of 3 channels. */
function everySpelling(): GraphFiles {
  const g = new GraphFiles();
  g.placeholder('x', [-1, 9, 9, 3]);
  g.ints('borders', [0, 0, 1, 0, 0, 1, 0, 0], [4, 2]);
  g.node('pad', 'Pad', ['x', 'borders'], { ...typed, Tpaddings: { type: 'DT_INT32' } });
  g.floats('stem/w', [3, 3, 3, 16], numbers(432, 0.4));
  g.node('stem', 'Conv2D', ['pad', 'stem/w'], windows(1, 'VALID'));
  g.floats('stem/b', [16], numbers(16, 0.3));
  g.node('stem/bias', 'BiasAdd', ['stem', 'stem/b']);
  g.node('stem/relu6', 'Relu6', ['stem/bias']);
  g.floats('dw/w', [3, 3, 16, 1], numbers(144, 0.5, 1));
  g.node('dw', 'DepthwiseConv2dNative', ['stem/relu6', 'dw/w'], windows(2, 'SAME'));
  for (const [part, scale, centre] of [
    ['gamma', 0.2, 1],
    ['beta', 0.4, 0],
    ['mean', 0.2, 0],
    ['variance', 0.3, 1],
  ] as const) {
    g.floats(
      `norm/${part}`,
      [16],
      numbers(16, scale, 2).map((value) => value + centre),
    );
  }
  g.node('norm', 'FusedBatchNormV3', ['dw', 'norm/gamma', 'norm/beta', 'norm/mean', 'norm/variance'], {
    ...typed,
    epsilon: { f: 0.001 },
    is_training: { b: false },
  });
  g.node('norm/relu', 'Relu', ['norm']);
  const bytes = Uint8Array.from({ length: 16 * 40 }, (_, n) => (n * 37) % 256);
  g.bytesAs('pw/w', [1, 1, 16, 40], bytes, 0.004, -0.5);
  g.node('pw', 'Conv2D', ['norm/relu', 'pw/w'], windows(1, 'SAME'));
  g.floats(
    'pw/scale',
    [40],
    numbers(40, 0.3, 3).map((value) => value + 1),
  );
  g.node('pw/mul', 'Mul', ['pw', 'pw/scale']);
  g.node('pw/gate', 'Sigmoid', ['pw/mul']);
  g.node('pw/silu', 'Mul', ['pw/mul', 'pw/gate']);
  g.floats('elu/w', [3, 3, 40, 24], numbers(9 * 40 * 24, 0.1, 4));
  g.node('elu/conv', 'Conv2D', ['pw/silu', 'elu/w'], windows(1, 'SAME'));
  g.node('elu', 'Elu', ['elu/conv']);
  g.ints('axes', [1, 2]);
  g.node('mean', 'Mean', ['elu', 'axes'], { ...typed, keep_dims: { b: false } });
  g.floats('fc/w', [24, 10], numbers(240, 0.4, 5));
  g.node('fc', 'MatMul', ['mean', 'fc/w'], {
    ...typed,
    transpose_a: { b: false },
    transpose_b: { b: false },
  });
  g.floats('fc/b', [10], numbers(10, 0.2, 6));
  g.node('logits', 'AddV2', ['fc', 'fc/b']);
  g.node('y', 'Softmax', ['logits']);
  return g;
}

const run = (model: Awaited<ReturnType<typeof loadFromDisk>>, x: Tensor, node: string): Float32Array =>
  tidy(() => Float32Array.from((model.execute(x, node) as Tensor).dataSync()));

describe('convertModel', () => {
  it('folds every spelling, keeps the outputs, and TensorFlow.js loads the result', async () => {
    everySpelling().write(paths.source, 'x', 'y');
    const tensors = memory().numTensors;
    const { files, report } = await convertModel(paths.source, { bits: 8, blockSize: 16, keep: ['logits'] });
    expect(memory().numTensors).toBe(tensors);
    expect(report.layers.map(({ name, kind, bits, folded }) => [name, kind, bits, folded])).toEqual([
      ['stem/relu6', 'conv2d', 8, ['pad', 'stem', 'stem/bias', 'stem/relu6']],
      ['norm/relu', 'depthwise', 8, ['dw', 'norm', 'norm/relu']],
      ['pw/silu', 'conv2d', 8, ['pw', 'pw/mul', 'pw/gate', 'pw/silu']],
      ['elu/conv', 'conv2d', 8, ['elu/conv']],
      ['logits', 'dense', 8, ['fc', 'logits']],
    ]);
    expect(report.left).toEqual([]);
    expect(report.kept).toEqual({ Placeholder: 1, Elu: 1, Mean: 1, Softmax: 1 });
    expect(report.verification.notCompared).toBeNull();
    expect(report.verification.foldingSnrDb).toBeGreaterThan(90);
    expect(report.verification.storedSnrDb).toBeGreaterThan(90);

    const written = await writeModelFiles(paths.target, files);
    expect(written).toBe(report.bytesAfter);
    expect(report.bytesAfter).toBeLessThan(report.bytesBefore);
    const x = tensor(numbers(2 * 243, 1, 7), [2, 9, 9, 3]);
    const [before, after] = [
      await loadFromDisk(join(paths.source, 'model.json')),
      await loadFromDisk(join(paths.target, 'model.json')),
    ];
    expect(signalToNoise(run(before, x, 'logits'), run(after, x, 'logits'))).toBeGreaterThan(30);
    expect(signalToNoise(run(before, x, 'y'), run(after, x, 'y'))).toBeGreaterThan(40);
    before.dispose();
    after.dispose();
  });

  it('stores weights at their bits', async () => {
    everySpelling().write(paths.source, 'x', 'y');
    const options = { blockSize: 16, firstBits: 4, depthwiseBits: 4, verify: false } as const;
    const bytes = async (bits: number): Promise<number> => {
      const { report } = await convertModel(paths.source, { bits, ...options });
      return report.layers.find(({ name }) => name === 'elu/conv')!.bytesAfter;
    };
    const scales = 9 * Math.ceil(40 / 16) * 24 * 2;
    expect(await bytes(2)).toBe((9 * 40 * 24 * 2) / 8 + scales);
    expect(await bytes(3)).toBe((9 * 40 * 24 * 3) / 8 + scales);
  });

  it('takes patterns for layers, and says which names there are when one fits none', async () => {
    everySpelling().write(paths.source, 'x', 'y');
    const { report } = await convertModel(paths.source, {
      bits: 4,
      verify: false,
      layers: { 'elu*': { bits: 3 } },
    });
    expect(report.layers.map(({ bits }) => bits)).toEqual([8, 8, 4, 3, 4]);
    const wrong = convertModel(paths.source, { bits: 4, layers: { 'elu/cnov': { bits: 3 } } });
    await expect(wrong).rejects.toThrow(InvalidArgumentError);
    await expect(wrong).rejects.toThrow(
      /'elu\/cnov', which fits no convolution; expected names such as elu\/conv/,
    );
  });

  it('leaves convolutions with computed weights, and names them', async () => {
    const g = everySpelling();
    g.floats('late/w', [1, 1, 24, 5], numbers(120, 1));
    g.node('late/relu', 'Relu', ['late/w']);
    g.node('late', 'Conv2D', ['elu', 'late/relu'], windows(1, 'SAME'));
    g.write(paths.source, 'x', 'late');
    const { report } = await convertModel(paths.source, { bits: 8 });
    expect(report.left).toEqual([{ name: 'late', op: 'Conv2D', reason: 'its weights are computed' }]);
    expect(report.kept.Conv2D).toBe(1);
    expect(report.verification.outputs[0]).toMatchObject({ name: 'late', shape: [1, 4, 4, 5] });
    expect(report.verification.outputs[0]!.snrDb).toBeGreaterThan(30);
  });

  it('does not fold what something else reads', async () => {
    const g = everySpelling();
    g.node('stolen', 'AddV2', ['stem/bias', 'stem/relu6']);
    g.write(paths.source, 'x', 'stolen');
    const { report } = await convertModel(paths.source, { bits: 8, keep: ['y'] });
    expect(report.layers[0]!.folded).toEqual(['pad', 'stem', 'stem/bias']);
    expect(report.kept.Relu6).toBe(1);
    expect(report.verification.foldingSnrDb).toBeGreaterThan(90);
  });

  it('needs a size where the model leaves one open, and a backend that can compare', async () => {
    const g = new GraphFiles();
    g.placeholder('x', [-1, -1, -1, 3]);
    g.floats('w', [1, 1, 3, 8], numbers(24, 1));
    g.node('y', 'Conv2D', ['x', 'w'], windows(1, 'SAME'));
    g.write(paths.source, 'x', 'y');
    await expect(convertModel(paths.source, { bits: 8 })).rejects.toThrow(
      "input 'x' has the open shape [?,?,?,3]; expected its sizes in inputShapes",
    );
    const { report } = await convertModel(paths.source, { bits: 8, inputShapes: { x: [1, 4, 6, 3] } });
    expect(report.verification.outputs[0]!.shape).toEqual([1, 4, 6, 8]);
    await expect(convertModel(paths.source, { bits: 8, inputShapes: { z: [1, 4, 6, 3] } })).rejects.toThrow(
      /'z', which is no input of the model; expected x/,
    );
    await setBackend('cpu');
    await expect(convertModel(paths.source, { bits: 8 })).rejects.toThrow(/'cpu' has no DSConv kernels/);
    await setBackend(BACKEND_NAME);
  });
});

describe('a GraphModel of odd operators', () => {
  it('keeps what TensorFlow.js does not know, and is not compared', async () => {
    const g = everySpelling();
    g.node('odd', 'HologramV2', ['y']);
    g.write(paths.source, 'x', 'odd');
    const { report } = await convertModel(paths.source, { bits: 8 });
    expect(report.layers).toHaveLength(5);
    expect(report.kept.HologramV2).toBe(1);
    expect(report.verification.notCompared).toMatch(/the original graph does not run: .*HologramV2/);
    expect(report.accuracy.notCorrected).toMatch(/the model cannot be recorded: .*HologramV2/);
  });

  it('may decide what to run while it runs', async () => {
    const g = everySpelling();
    g.ints('zero', [0], []);
    g.node('wanted', 'Greater', ['y', 'zero']);
    g.node('any', 'Any', ['wanted', 'axes/all'], { ...typed, keep_dims: { b: false } });
    g.ints('axes/all', [0, 1]);
    g.node('switch', 'Switch', ['elu', 'any']);
    g.floats('late/w', [1, 1, 24, 6], numbers(144, 0.3, 8));
    g.node('late', 'Conv2D', ['switch:1', 'late/w'], windows(1, 'SAME'));
    g.floats('other/w', [1, 1, 24, 6], numbers(144, 0.3, 9));
    g.node('other', 'Conv2D', ['switch', 'other/w'], windows(1, 'SAME'));
    g.node('merge', 'Merge', ['late', 'other']);
    g.write(paths.source, 'x', 'merge');
    const { report } = await convertModel(paths.source, { bits: 8 });
    expect(report.layers.map(({ name }) => name)).toEqual(expect.arrayContaining(['late', 'other']));
    expect(report.kept).toMatchObject({ Switch: 1, Merge: 1 });
    expect(report.verification).toMatchObject({ notCompared: null, outputs: [{ name: 'merge' }] });
    expect(report.accuracy.notCorrected).toMatch(/^the model cannot be recorded: /);
    const pictures = { count: 2, read: async () => numbers(243, 1) };
    await expect(convertModel(paths.source, { bits: 8, pictures })).rejects.toThrow(
      /pictures cannot be used, because the model does not run step by step/,
    );
  });

  it('does not quantize products of integers', async () => {
    const g = everySpelling();
    g.ints('two', [2, 0, 0, 2], [2, 2]);
    g.ints('one', [1, 2, 3, 4], [2, 2]);
    g.node('grid', 'Add', ['one', 'two'], { T: { type: 'DT_INT32' } });
    g.node('integers', 'MatMul', ['grid', 'two'], {
      T: { type: 'DT_INT32' },
      transpose_a: { b: false },
      transpose_b: { b: false },
    });
    g.write(paths.source, 'x', 'y');
    const { report } = await convertModel(paths.source, { bits: 8, keep: ['integers'] });
    expect(report.left).toEqual([{ name: 'integers', op: 'MatMul', reason: 'its weights are integers' }]);
  });
});

describe('a GraphModel and pictures', () => {
  /** With normalization, planar or not. */
  function normalized(planar: boolean): GraphFiles {
    const g = new GraphFiles();
    g.placeholder('x', planar ? [-1, 3, 9, 9] : [-1, 9, 9, 3]);
    let x = 'x';
    if (planar) {
      g.ints('order', [0, 2, 3, 1]);
      x = g.node('last', 'Transpose', ['x', 'order'], { ...typed, Tperm: { type: 'DT_INT32' } });
    }
    g.floats('stem/w', [3, 3, 3, 16], numbers(432, 0.4));
    g.node('stem', 'Conv2D', [x, 'stem/w'], windows(1, 'VALID'));
    g.node('relu', 'Relu6', ['stem']);
    g.floats('body/w', [3, 3, 16, 24], numbers(3456, 0.2, 2));
    g.node('body', 'Conv2D', ['relu', 'body/w'], windows(1, 'VALID'));
    g.node('body/relu', 'Relu', ['body']);
    g.ints('axes', [1, 2]);
    g.node('mean', 'Mean', ['body/relu', 'axes'], { ...typed, keep_dims: { b: false } });
    g.floats('fc/w', [24, 10], numbers(240, 0.4, 5));
    g.node('y', 'MatMul', ['mean', 'fc/w'], {
      ...typed,
      transpose_a: { b: false },
      transpose_b: { b: false },
    });
    return g;
  }

  it.each([false, true])('is calibrated, channels first %s, and comes nearer', async (planar) => {
    normalized(planar).write(paths.source, 'x', 'y');
    const pictures = {
      count: 32,
      read: async (n: number, shape: readonly number[]) => {
        expect(shape).toEqual([9, 9, 3]);
        return numbers(243, 1, n);
      },
    };
    const x = Float32Array.from({ length: 243 }, (_, n) => {
      const [pixel, channel] = planar ? [n % 81, Math.floor(n / 81)] : [Math.floor(n / 3), n % 3];
      return numbers(243, 1, 100)[pixel * 3 + channel]!;
    });
    const inputs = { x: { shape: planar ? [1, 3, 9, 9] : [1, 9, 9, 3], data: x } };
    const outcome = async (more: object): Promise<{ snr: number; report: ConversionReport }> => {
      const { report } = await convertModel(paths.source, {
        bits: 2,
        firstBits: 4,
        blockSize: 8,
        inputs,
        ...more,
      });
      return { snr: report.verification.outputs[0]!.snrDb!, report };
    };
    const rounded = await outcome({});
    const calibrated = await outcome({ pictures });
    expect(rounded.report.accuracy.notCorrected).toMatch(/no batch normalization/);
    expect(calibrated.report.accuracy).toEqual({
      correctedBiases: 3,
      pictures: 32,
      rounded: [],
      scaledRanges: 0,
      notCorrected: null,
    });
    expect(calibrated.snr).toBeGreaterThan(rounded.snr + 3);
  });

  it('learns from pictures how large channels before depthwise convolutions are', async () => {
    const g = new GraphFiles();
    g.placeholder('x', [-1, 9, 9, 3]);
    // Channels of very different size, without a normalization that would tell.
    const stem = numbers(432, 0.4).map((value, n) => value / 10 ** (n % 4));
    g.floats('stem/w', [3, 3, 3, 16], stem);
    g.node('stem', 'Conv2D', ['x', 'stem/w'], windows(1, 'SAME'));
    g.node('relu', 'Relu6', ['stem']);
    const own = numbers(144, 1, 2).map((value, n) => value * 10 ** (n % 4));
    g.floats('dw/w', [3, 3, 16, 1], own);
    g.node('y', 'DepthwiseConv2dNative', ['relu', 'dw/w'], windows(1, 'SAME'));
    g.write(paths.source, 'x', 'y');
    const pictures = { count: 12, read: async (n: number) => numbers(243, 1, n) };
    const inputs = { x: { shape: [1, 9, 9, 3], data: numbers(243, 1, 0.5) } };
    const tensors = memory().numTensors;
    const outcome = async (rangeScaling: boolean): Promise<[number, number]> => {
      const { report } = await convertModel(paths.source, {
        bits: 8,
        blockSize: 16,
        pictures,
        inputs,
        rangeScaling,
      });
      return [report.accuracy.scaledRanges, report.verification.outputs[0]!.snrDb!];
    };
    const [none, before] = await outcome(false);
    const [one, after] = await outcome(true);
    expect([none, one]).toEqual([0, 1]);
    expect(memory().numTensors).toBe(tensors);
    expect(after).toBeGreaterThan(before + 10);
  });
});

const MOBILENET = dataPath('mobilenet-v1-0.75-224/model.json');

/** Preprocessed as the network wants it, `[224, 224, 3]`. */
async function photograph(index: number): Promise<Float32Array> {
  const file = dataPath(`imagenet-photos/${String(index).padStart(4, '0')}.jpg`);
  const { data, info } = await sharp(file).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  const picture = { data, width: info.width, height: info.height, channels: 3 } as const;
  return preprocess(picture, getModel('mobilenet_v1_0.75.keras_in1k').preprocessing);
}

describe.skipIf(dataMissing('mobilenet-v1-0.75-224', 'imagenet-photos'))(
  'MobileNet 0.75 (needs the measuring data)',
  () => {
    it('becomes a smaller GraphModel of nearly the same probabilities', async () => {
      const path = mobileNetGraph(MOBILENET).write(paths.source, 'input', 'probabilities', 4 * 2 ** 20);
      const options = { bits: 8, blockSize: 64, method: 'absmax', keep: ['logits'] } as const;
      const { files, report } = await convertModel(path, options);
      expect(report.layers).toHaveLength(28);
      expect(report.layers[0]).toMatchObject({ name: 'conv1_relu', bits: 8, perChannel: true });
      expect(report.left).toEqual([]);
      expect(report.kept).toEqual({ Placeholder: 1, Mean: 1, Squeeze: 1, Softmax: 1 });
      expect(report.bytesBefore / report.bytesAfter).toBeGreaterThan(3.7);
      expect(report.verification.foldingSnrDb).toBeGreaterThan(80);
      expect(report.verification.storedSnrDb).toBeGreaterThan(80);
      await writeModelFiles(paths.target, files);
      const x = tensor(await photograph(84), [1, 224, 224, 3]);
      const original = await loadLayersModel({ load: async () => layersArtifacts(MOBILENET) });
      const expected = Float32Array.from((original.predict(x) as Tensor).dataSync());
      const converted = await loadFromDisk(join(paths.target, 'model.json'));
      const found = run(converted, x, 'probabilities');
      expect(found.indexOf(Math.max(...found))).toBe(expected.indexOf(Math.max(...expected)));
      expect(signalToNoise(expected, found)).toBeGreaterThan(20);
      converted.dispose();
      original.dispose();
    });
  },
);

describe('a model that cannot be read', () => {
  /** Changes the model.json of {@link everySpelling}. */
  function damaged(
    change: (json: { modelTopology: { node: never[] } } & Record<string, never>) => void,
  ): void {
    const path = everySpelling().write(paths.source, 'x', 'y');
    const json = JSON.parse(readFileSync(path, 'utf8'));
    change(json);
    writeFileSync(path, JSON.stringify(json));
  }
  const failure = (): Promise<Error> =>
    convertModel(paths.source, { bits: 8 }).then(
      () => expect.unreachable(),
      (error: Error) => error,
    );
  const find = (nodes: { name: string }[], name: string) => nodes.find((node) => node.name === name)!;

  it.each<[string, (json: never) => void, RegExp, abstract new (...args: never[]) => Error]>([
    [
      'a circle of nodes',
      (json: { modelTopology: { node: never[] } }) =>
        Object.assign(find(json.modelTopology.node, 'stem/bias'), { input: ['y', 'stem/b'] }),
      /node 'stem\/bias' \(BiasAdd\) waits for itself in a circle/,
      NodeError,
    ],
    [
      'an input that is not there',
      (json: { modelTopology: { node: never[] } }) =>
        Object.assign(find(json.modelTopology.node, 'mean'), { input: ['elv', 'axes'] }),
      /node 'mean' \(Mean\) reads 'elv', which no node is called; the nearest names are 'elu'/,
      NodeError,
    ],
    [
      'a filter of three dimensions',
      (json: { weightsManifest: { weights: object[] }[] }) =>
        Object.assign(json.weightsManifest[0]!.weights[1]!, { shape: [9, 3, 16] }),
      /node 'stem' \(Conv2D\) has a filter of shape \[9,3,16\]; expected four dimensions/,
      NodeError,
    ],
    [
      'strides of a word',
      (json: { modelTopology: { node: never[] } }) =>
        Object.assign(find(json.modelTopology.node, 'stem'), {
          attr: { strides: integers(1, Number.NaN, 1, 1) },
        }),
      /node 'stem' \(Conv2D\) has attribute strides/,
      NodeError,
    ],
    [
      'a weight that is missing',
      (json: { weightsManifest: { weights: { name: string }[] }[] }) => {
        json.weightsManifest[0]!.weights[1]!.name = 'stem/v';
      },
      /'stem\/w' \(Const\)/,
      NodeError,
    ],
    [
      'a shard outside the folder',
      (json: { weightsManifest: { paths: string[] }[] }) => {
        json.weightsManifest[0]!.paths[0] = '../group1-shard1of1.bin';
      },
      /"\.\.\/group1-shard1of1\.bin" is outside the model's folder/,
      FileFormatError,
    ],
    [
      'an output that is not there',
      (json: { signature: { outputs: object } }) => {
        json.signature.outputs = { out: { name: 'logit:0' } };
      },
      /the output 'logit' is no node of the graph; the nearest names are 'logits'/,
      FileFormatError,
    ],
  ])('has %s', async (_, change, message, type) => {
    damaged(change as never);
    const error = await failure();
    expect(error).toBeInstanceOf(type);
    expect(error.message).toMatch(message);
    expect(error.message).toContain(join(paths.source, 'model.json'));
  });

  it('has shards that are missing, short or damaged', async () => {
    everySpelling().write(paths.source, 'x', 'y');
    const shard = join(paths.source, readdirSync(paths.source).find((name) => name.includes('shard2of'))!);
    truncateSync(shard, 999);
    expect((await failure()).message).toMatch(/hold \d+ bytes; expected \d+ for the weights of their group/);
    rmSync(shard);
    expect(await failure()).toBeInstanceOf(FileAccessError);
    const g = new GraphFiles();
    g.placeholder('x', [1, 4, 4, 1]);
    g.floats('w', [1, 1, 1, 2], Float32Array.of(1, Number.NaN));
    g.node('y', 'Conv2D', ['x', 'w'], windows(1, 'SAME'));
    g.write(paths.source, 'x', 'y');
    const error = await failure();
    expect(error).toBeInstanceOf(NotFiniteError);
    expect(error.message).toMatch(/'?y'?/);
  });

  it('is no model', async () => {
    mkdirSync(paths.source);
    for (const [content, message] of [
      ['{', /is not JSON/],
      ['[1]', /expected a TensorFlow\.js model\.json/],
      ['[{"weights":[],"paths":[]}]', /a manifest of weights without a network/],
      ['{"format":"graph-model","modelTopology":{}}', /expected an array of (nodes|groups)/],
    ] as const) {
      writeFileSync(join(paths.source, 'model.json'), content);
      const error = await failure();
      expect(error).toBeInstanceOf(FileFormatError);
      expect(error.message).toMatch(message);
    }
  });
});

describe('writeModelFiles', () => {
  it('leaves an older model whole when the new one cannot be written', async () => {
    everySpelling().write(paths.source, 'x', 'y');
    const { files } = await convertModel(paths.source, { bits: 8, verify: false });
    await writeModelFiles(paths.target, files);
    const old = readFileSync(join(paths.target, 'model.json'));
    const { files: other } = await convertModel(paths.source, { bits: 2, verify: false });
    // A folder stands where a shard should go.
    const [shard] = [...other.keys()];
    mkdirSync(join(paths.target, shard!));
    await expect(writeModelFiles(paths.target, other)).rejects.toThrow(FileAccessError);
    expect(readFileSync(join(paths.target, 'model.json'))).toEqual(old);
    expect(readdirSync(paths.target).filter((name) => name.endsWith('.part'))).toEqual([]);
    for (const name of files.keys()) expect(existsSync(join(paths.target, name))).toBe(true);
  });

  it('makes no folder in a folder that is not there, and writes over no file', async () => {
    await expect(writeModelFiles(join(paths.target, 'deeper'), new Map())).rejects.toThrow(/does not exist/);
    writeFileSync(paths.target, '');
    await expect(writeModelFiles(paths.target, new Map())).rejects.toThrow(
      /is a file; expected the path of a folder/,
    );
  });
});
