import { appendFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DSConvError, NotFiniteError } from '@dsconv/core';
import { createArchitecture, FileFormatError } from '@dsconv/models';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FileAccessError, readFloatNetwork } from '../src/index.js';
import { scratchFolder } from './support/scratch-folder.js';
import {
  type LayersModelJson,
  mobileNetModel,
  sourceTensors,
  writeLayersModel,
} from './support/source-files.js';

const scratch = scratchFolder();
const architecture = createArchitecture({ name: 'mobilenet_v1_0.25', inputSize: 32, classes: 5 });
const tensors = sourceTensors(architecture);
let count = 0;

const write = (change: (model: LayersModelJson) => void = () => undefined): string => {
  const model = mobileNetModel(architecture);
  change(model);
  return writeLayersModel(join(scratch, `model-${count++}`), architecture, model);
};

type Layer = { class_name: string; name: string; config: Record<string, unknown> };
const layer = (model: LayersModelJson, name: string): Layer =>
  (model.modelTopology.model_config as { config: { layers: Layer[] } }).config.layers.find(
    (l) => l.name === name,
  )!;

describe('a LayersModel', () => {
  it('is read from its folder or its model.json, folded with the ε it states', async () => {
    const folder = write();
    const network = await readFloatNetwork(folder);
    expect(network.architecture).toMatchObject({ name: 'mobilenet_v1_0.25', inputSize: 32, classes: 5 });
    expect(network.labels).toEqual([]);
    expect(network.metadata.source).toBe('model-0');
    const again = await readFloatNetwork(join(folder, 'model.json'));
    expect(again.metadata).toEqual(network.metadata);
    const at = (name: string, n: number): number => Number(tensors.get(name)!.data[n]);
    const { filter, bias } = network.weights.get('conv_dw_3')!;
    const factor = at('conv_dw_3_bn/gamma', 5) / Math.sqrt(at('conv_dw_3_bn/moving_variance', 5) + 0.002);
    expect((filter as Float32Array)[32 + 5]).toBeCloseTo(at('conv_dw_3/depthwise_kernel', 37) * factor, 6);
    const shift = at('conv_dw_3_bn/beta', 5) - at('conv_dw_3_bn/moving_mean', 5) * factor;
    expect(bias![5]).toBeCloseTo(shift, 6);
    expect(network.weights.get('conv_preds')!.bias).toEqual(tensors.get('conv_preds/bias')!.data);
  });

  it('is read in the form with ZeroPadding2D, which is the same for even pictures', async () => {
    const folder = join(scratch, 'zero-padding');
    const model = mobileNetModel(architecture, 'zero-padding');
    expect(
      (await readFloatNetwork(writeLayersModel(folder, architecture, model))).architecture.inputSize,
    ).toBe(32);
    const odd = createArchitecture({ name: 'mobilenet_v1_0.25', inputSize: 33, classes: 5 });
    writeLayersModel(folder, odd, mobileNetModel(odd, 'zero-padding'));
    await expect(readFloatNetwork(folder)).rejects.toThrow(/padding "valid"; expected "same"/);
  });

  it.each<[string, (model: LayersModelJson) => void, RegExp]>([
    [
      'another stride',
      (m) => (layer(m, 'conv1').config.strides = [1, 1]),
      /'conv1' has strides \[1,1\]; expected \[2,2\]/,
    ],
    [
      'another activation',
      (m) => (layer(m, 'conv1_relu').config.activation = 'relu'),
      /'conv1_relu' is Activation "relu"/,
    ],
    ['a dilation', (m) => (layer(m, 'conv_dw_2').config.dilation_rate = [2, 2]), /dilation_rate/],
    ['a bias', (m) => (layer(m, 'conv_pw_2').config.use_bias = true), /use_bias true/],
    ['no epsilon', (m) => delete layer(m, 'conv1_bn').config.epsilon, /epsilon missing/],
    ['a missing layer', (m) => (layer(m, 'conv_dw_2').name = 'x'), /no layer 'conv_dw_2'/],
    ['an unknown network', (m) => (m.weightsManifest[0]!.weights[0]!.name = 'x'), /no known architecture/],
    [
      'a missing weight',
      (m) => (m.weightsManifest[1]!.weights.at(-1)!.name = 'conv_preds/b'),
      /'conv_preds\/bias' is missing.*nearest names are 'conv_preds\/b'/,
    ],
    [
      'a wrong shape',
      (m) => (m.weightsManifest[0]!.weights[1]!.shape = [2, 4]),
      /'conv1_bn\/gamma' has shape \[2,4\]; expected \[8\]/,
    ],
    [
      'another dtype',
      (m) => (m.weightsManifest[0]!.weights[1]!.dtype = 'int32'),
      /is "int32"; expected "float32"/,
    ],
    [
      'quantized weights',
      (m) => Object.assign(m.weightsManifest[0]!.weights[1]!, { quantization: { dtype: 'uint8' } }),
      /and quantized/,
    ],
    [
      'shapes of 2^80',
      (m) => (m.weightsManifest[0]!.weights[1]!.shape = [2 ** 40, 2 ** 40]),
      /hold .* bytes; expected 4\.8/,
    ],
    ['a shape that is no list', (m) => (m.weightsManifest[0]!.weights[1]!.shape = 'x' as never), /shape "x"/],
    ['a weight twice', (m) => (m.weightsManifest[0]!.weights[2]!.name = 'conv1_bn/gamma'), /listed twice/],
    [
      'a way out of the folder',
      (m) => (m.weightsManifest[0]!.paths[0] = '../secret'),
      /"\.\.\/secret" is outside/,
    ],
    [
      'an absolute path',
      (m) => (m.weightsManifest[0]!.paths[0] = '/etc/passwd'),
      /"\/etc\/passwd" is outside/,
    ],
    ['a Windows path', (m) => (m.weightsManifest[0]!.paths[0] = 'a\\..\\..\\b'), /is outside/],
    ['a URL', (m) => (m.weightsManifest[0]!.paths[0] = 'file:x'), /is outside/],
    [
      'no paths',
      (m) => delete (m.weightsManifest[0] as { paths?: string[] }).paths,
      /paths of a group are missing/,
    ],
    [
      'no manifest',
      (m) => delete (m as Partial<LayersModelJson>).weightsManifest,
      /weightsManifest is missing/,
    ],
    ['no topology', (m) => delete (m as Partial<LayersModelJson>).modelTopology, /list of layers is missing/],
    ['a GraphModel', (m) => (m.modelTopology.node = []), /is a GraphModel; expected a LayersModel/],
    ['a layer that is no object', (m) => (m.modelTopology = { config: [null] }), /layer 0 is null/],
  ])('is refused with %s', async (_, change, message) => {
    const folder = write(change);
    await expect(readFloatNetwork(folder)).rejects.toThrow(FileFormatError);
    await expect(readFloatNetwork(folder)).rejects.toThrow(message);
  });

  it('is refused with missing, short, long or NaN shards', async () => {
    const folder = write();
    const shard = join(folder, 'group2-shard1of1');
    const nan = Buffer.alloc(4);
    nan.writeFloatLE(NaN);
    const model = mobileNetModel(architecture);
    const bytes = Buffer.concat([...tensors].slice(40).map(([, { data }]) => Buffer.from(data.buffer)));
    expect(model.weightsManifest[1]!.weights[0]!.name).toBe([...tensors.keys()][40]);
    writeFileSync(shard, Buffer.concat([bytes.subarray(0, 8), nan, bytes.subarray(12)]));
    await expect(readFloatNetwork(folder)).rejects.toThrow(NotFiniteError);
    await expect(readFloatNetwork(folder)).rejects.toThrow(`'${[...tensors.keys()][40]}'[2] is NaN`);
    appendFileSync(shard, 'x');
    await expect(readFloatNetwork(folder)).rejects.toThrow(/group2-shard1of1"\] hold \d+ bytes; expected/);
    truncateSync(shard, 100);
    await expect(readFloatNetwork(folder)).rejects.toThrow(/hold 100 bytes/);
    rmSync(shard);
    await expect(readFloatNetwork(folder)).rejects.toThrow(FileAccessError);
    await expect(readFloatNetwork(folder)).rejects.toThrow(/group2-shard1of1: cannot read: does not exist/);
  });

  it.each([
    '',
    'x',
    '[]',
    'null',
    '"a"',
    '{}',
    '{"weightsManifest":[null]}',
    '{"modelTopology":{"config":3}}',
  ])('is refused when model.json holds %j', async (text) => {
    const folder = write();
    writeFileSync(join(folder, 'model.json'), text);
    await expect(readFloatNetwork(folder)).rejects.toThrow(FileFormatError);
  });

  it('answers any change of model.json with a typed error', async () => {
    const folder = write();
    const json = JSON.stringify(mobileNetModel(architecture));
    const change = fc.record({
      at: fc.nat(json.length - 1),
      text: fc.constantFrom('', '0', '"', '[]', 'null', '-', '{', ']'),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 3 }), async (changes) => {
        let text = json;
        for (const { at, text: put } of changes) text = text.slice(0, at) + put + text.slice(at + 1);
        writeFileSync(join(folder, 'model.json'), text);
        await readFloatNetwork(folder).catch((error: unknown) => expect(error).toBeInstanceOf(DSConvError));
      }),
      { numRuns: 150 },
    );
  });
});
