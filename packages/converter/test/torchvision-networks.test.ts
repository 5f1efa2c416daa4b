/** Every zoo network with PyTorch's names against onnxruntime: names and shapes of parameters, folding, and the whole forward function. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ARCHITECTURE_NAMES, createArchitecture, type SafeTensor, writeSafetensors } from '@dsconv/models';
import { setBackend, type Tensor4D, tensor4d } from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-wasm';
import { env, InferenceSession, Tensor } from 'onnxruntime-web';
import { beforeAll, describe, expect, it } from 'vitest';
import { readFloatNetwork } from '../src/index.js';
import { detectArchitecture } from '../src/torch-names.js';
import { scratchFolder } from './support/scratch-folder.js';
import { buildTorchNetwork, type TORCH_NETWORKS } from './support/torchvision/networks.js';

const scratch = scratchFolder();

beforeAll(async () => {
  await setBackend('wasm');
  env.wasm.numThreads = 1;
});

/** The same picture for both, channels last and channels first. */
function pictures(batch: number, side: number): { nhwc: Float32Array; nchw: Float32Array } {
  const nhwc = Float32Array.from(
    { length: batch * side * side * 3 },
    (_, n) => 2 * Math.sin(n * 0.37 + n * n * 1e-4),
  );
  const nchw = new Float32Array(nhwc.length);
  const pixels = side * side;
  for (let n = 0; n < batch; n++) {
    for (let p = 0; p < pixels; p++) {
      for (let c = 0; c < 3; c++) nchw[(n * 3 + c) * pixels + p] = nhwc[(n * pixels + p) * 3 + c]!;
    }
  }
  return { nhwc, nchw };
}

async function runOnnx(onnx: Uint8Array, input: Float32Array, shape: number[]): Promise<Float32Array> {
  const session = await InferenceSession.create(onnx, { executionProviders: ['wasm'] });
  const { y } = await session.run({ x: new Tensor('float32', input, shape) });
  const values = Float32Array.from((await y!.getData()) as Float32Array);
  await session.release();
  return values;
}

describe('equal to onnxruntime on the same parameters', () => {
  it.each<[keyof typeof TORCH_NETWORKS, string, number, number, number]>([
    // The network, what it is read as, batch, side, classes. 224 is what it was published for; the others take every other way there is.
    ['alexnet', 'alexnet', 2, 224, 10],
    ['alexnet', 'alexnet', 1, 64, 10],
    ['vgg11', 'vgg11', 1, 224, 10],
    ['vgg16_bn', 'vgg16_bn', 2, 32, 10],
    ['vgg19', 'vgg19', 1, 32, 10],
    ['vgg11 of timm', 'vgg11', 1, 32, 10],
    ['googlenet', 'googlenet', 1, 224, 1000],
    ['googlenet', 'googlenet', 3, 65, 10],
    ['densenet121', 'densenet121', 1, 224, 1000],
    ['densenet121', 'densenet121', 2, 61, 10],
    ['squeezenet1_1', 'squeezenet1_1', 1, 224, 1000],
    ['squeezenet1_1', 'squeezenet1_1', 2, 78, 10],
    ['resnet18', 'resnet18', 1, 224, 1000],
    ['resnet34', 'resnet34', 1, 65, 10],
    ['resnet50', 'resnet50', 2, 97, 10],
    ['resnet101', 'resnet101', 1, 40, 10],
    ['cifar resnet20', 'resnet20', 3, 32, 10],
    ['cifar resnet56', 'resnet56', 1, 33, 7],
    ['mobilenet_v2', 'mobilenet_v2_1.0', 1, 224, 1000],
    ['mobilenetv2_100 of timm', 'mobilenet_v2_1.0', 2, 95, 10],
  ])(
    '%s, read as %s, batch %i of %i pixels, %i classes',
    async (name, architecture, batch, side, classes) => {
      const { onnx, state } = buildTorchNetwork(name, batch, side, classes);
      const { nhwc, nchw } = pictures(batch, side);
      const expected = await runOnnx(onnx, nchw, [batch, 3, side, side]);
      const folder = join(scratch, `${name}-${side}`);
      mkdirSync(folder);
      const path = join(folder, 'model.safetensors');
      writeFileSync(path, writeSafetensors(state));
      const network = await readFloatNetwork(path);
      expect(network.architecture).toMatchObject({ name: architecture, classes, channels: 3 });
      const x = tensor4d(nhwc, [batch, side, side, 3]) as Tensor4D;
      const logits = network.logits(x);
      expect(logits.shape).toEqual([batch, classes]);
      const found = logits.dataSync();
      network.dispose();
      x.dispose();
      logits.dispose();
      const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      expect(largest).toBeGreaterThan(0.01);
      // Outputs must differ from class to class, or the comparison would say little.
      expect(new Set(expected).size).toBeGreaterThan(classes / 2);
      const worst = expected.reduce((most, value, n) => Math.max(most, Math.abs(value - found[n]!)), 0);
      expect(worst / largest).toBeLessThan(1e-4);
    },
  );
});

describe('published names', () => {
  it('of a training GoogLeNet: auxiliary classifiers are left out', async () => {
    const { state } = buildTorchNetwork('googlenet', 1, 32, 5);
    state.set('aux1.conv.conv.weight', { dtype: 'F32', shape: [1], data: new Float32Array(1) });
    state.set('aux2.fc2.bias', { dtype: 'F32', shape: [1], data: new Float32Array(1) });
    const path = join(scratch, 'aux.safetensors');
    writeFileSync(path, writeSafetensors(state));
    expect((await readFloatNetwork(path)).architecture.name).toBe('googlenet');
    state.set('aux3.fc2.bias', { dtype: 'F32', shape: [1], data: new Float32Array(1) });
    writeFileSync(path, writeSafetensors(state));
    await expect(readFloatNetwork(path)).rejects.toThrow(/'aux3.fc2.bias' is not part of googlenet/);
  });

  it("of the first DenseNets, with 'norm.1' for 'norm1'", async () => {
    const { state } = buildTorchNetwork('densenet121', 1, 32, 5);
    const older = new Map(
      [...state].map(([name, tensor]) => [
        name.replace(/(denselayer\d+\.(?:norm|conv))([12])/, '$1.$2'),
        tensor,
      ]),
    );
    expect(older.has('features.denseblock4.denselayer16.norm.2.bias')).toBe(true);
    const path = join(scratch, 'older.safetensors');
    writeFileSync(path, writeSafetensors(older));
    expect((await readFloatNetwork(path)).architecture.name).toBe('densenet121');
  });

  it.each(
    ARCHITECTURE_NAMES.filter((name) => createArchitecture(name).framework === 'pytorch').concat([
      'mobilenet_v2_0.5',
      'mobilenet_v2_1.4',
      'mobilenet_v2_0.58',
      'mobilenet_v2_2.50',
    ]),
  )('%s is found from names and shapes alone', (name) => {
    const { layers } = createArchitecture({ name, classes: 3, channels: 1 });
    const tensors = new Map<string, SafeTensor>();
    for (const { kind, shape, source } of layers) {
      const [kh, kw, inner, outer] = shape;
      const torch = {
        conv2d: [outer, inner, kh, kw],
        dense: [outer, inner * kh * kw],
        depthwise: [inner, 1, kh, kw],
        norm: [outer],
      };
      tensors.set(source.weight, { dtype: 'F32', shape: torch[kind], data: new Float32Array(0) });
      if (source.norm) tensors.set(source.norm.mean, { dtype: 'F32', shape: [], data: new Float32Array(0) });
    }
    expect(detectArchitecture(tensors)).toEqual({ name, classes: 3, channels: 1 });
  });
});
