import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { NotFiniteError, toFloat16Bits } from '@dsconv/core';
import {
  createArchitecture,
  FileFormatError,
  Network,
  randomParameters,
  type SafeTensor,
  UnknownModelError,
  writeNetwork,
  writeSafetensors,
} from '@dsconv/models';
import { describe, expect, it } from 'vitest';
import { FileAccessError, quantizeNetwork, readFloatNetwork, readNetworkFile } from '../src/index.js';
import { scratchFolder } from './support/scratch-folder.js';
import { sourceTensors } from './support/source-files.js';

const scratch = scratchFolder();
let count = 0;

function write(tensors: Map<string, SafeTensor>, metadata: Record<string, string> = {}): string {
  const path = join(scratch, `${count++}.safetensors`);
  writeFileSync(path, writeSafetensors(tensors, new Map(Object.entries(metadata))));
  return path;
}

const resnet20 = createArchitecture('resnet20');

/** Renames every tensor in place. */
function rename(tensors: Map<string, SafeTensor>, to: (name: string) => string): void {
  const entries = [...tensors];
  tensors.clear();
  for (const [name, tensor] of entries) tensors.set(to(name), tensor);
}

describe('safetensors with PyTorch names', () => {
  it.each([
    ['resnet20', {}],
    ['resnet32', { channels: 1 }],
    ['resnet44', { classes: 100 }],
    ['resnet56', {}],
    ['resnet18', { classes: 3 }],
    ['resnet34', { classes: 3 }],
    ['resnet50', { classes: 3 }],
  ])('finds %s %j', async (name, sizes) => {
    const architecture = createArchitecture({ name, ...sizes });
    const network = await readFloatNetwork(write(sourceTensors(architecture)));
    const { channels, classes } = architecture;
    expect(network.architecture).toMatchObject({ name, channels, classes });
  });

  it('turns OIHW into HWIO and folds batch normalization', async () => {
    const tensors = sourceTensors(resnet20);
    const network = await readFloatNetwork(write(tensors));
    const at = (name: string, n: number): number => Number(tensors.get(name)!.data[n]);
    const factor = at('layer2.0.bn1.weight', 7) / Math.sqrt(at('layer2.0.bn1.running_var', 7) + 1e-5);
    // Output 7, input 3, row 2, column 1 of a [32, 16, 3, 3] kernel.
    const expected = at('layer2.0.conv1.weight', ((7 * 16 + 3) * 3 + 2) * 3 + 1) * factor;
    const { filter } = network.weights.get('layer2.0.conv1')!;
    expect((filter as Float32Array)[((2 * 3 + 1) * 16 + 3) * 32 + 7]).toBeCloseTo(expected, 6);
    expect((network.weights.get('linear')!.filter as Float32Array)[5 * 10 + 4]).toBe(
      at('linear.weight', 4 * 64 + 5),
    );
  });

  it('reads module. prefixes, counters, F16, BF16 and F64', async () => {
    const plain = sourceTensors(resnet20);
    const tensors = new Map<string, SafeTensor>();
    for (const [name, tensor] of plain) tensors.set(`module.${name}`, tensor);
    tensors.set('module.bn1.num_batches_tracked', { dtype: 'I64', shape: [], data: BigInt64Array.of(3n) });
    const bias = plain.get('linear.bias')!;
    const values = Array.from(bias.data as Float32Array);
    const forms: [SafeTensor['dtype'], SafeTensor['data'], number][] = [
      ['F16', Uint16Array.from(values, toFloat16Bits), 2 ** -11],
      ['BF16', Uint16Array.from(new Uint32Array(Float32Array.from(values).buffer), (w) => w >>> 16), 2 ** -7],
      ['F64', Float64Array.from(values), 0],
    ];
    for (const [dtype, data, tolerance] of forms) {
      tensors.set('module.linear.bias', { dtype, shape: [10], data });
      const network = await readFloatNetwork(write(tensors));
      network.weights.get('linear')!.bias!.forEach((value, n) => {
        expect(Math.abs(value - values[n]!)).toBeLessThanOrEqual(Math.abs(values[n]!) * tolerance);
      });
    }
  });

  it('takes preprocessing and labels from what the file says', async () => {
    const fashion = createArchitecture({ name: 'resnet20', channels: 1, inputSize: 28 });
    const known = await readFloatNetwork(
      write(sourceTensors(fashion), { dataset: 'Fashion-MNIST', mean: '0.25', std: '0.5' }),
    );
    expect(known.labels[9]).toBe('Ankle boot');
    expect(known.architecture.inputSize).toBe(28);
    expect(known.preprocessing).toMatchObject({ size: 28, channels: 1, mean: [0.25], std: [0.5] });
    const other = await readFloatNetwork(
      write(sourceTensors(fashion), { dataset: 'MNIST', mean: 'x', std: '0' }),
    );
    expect(other.labels).toEqual([]);
    expect(other.preprocessing).toMatchObject({ size: 28, range: [0, 1], mean: [0], std: [1] });
    const cifar = await readFloatNetwork(write(sourceTensors(resnet20), { task: 'CIFAR-10' }));
    expect(cifar.labels[3]).toBe('cat');
  });

  it.each<[string, (tensors: Map<string, SafeTensor>) => void, RegExp]>([
    [
      'a missing tensor',
      (t) => t.delete('layer2.1.bn2.running_mean'),
      /'layer2.1.bn2.running_mean' is missing.*nearest names are .*'layer2.0.bn2.running_mean'/,
    ],
    [
      'an option-B shortcut',
      (t) => t.set('layer2.0.shortcut.0.weight', t.get('bn1.bias')!),
      /'layer2\.0\.shortcut\.0\.weight' is not part of resnet20, whose nearest names are 'layer2\.0\.conv[12]\.weight'/,
    ],
    [
      'a wrong shape',
      (t) => t.set('bn1.bias', t.get('linear.bias')!),
      /'bn1.bias' has shape \[10\]; expected \[16\]/,
    ],
    [
      'an integer weight',
      (t) => t.set('bn1.bias', { dtype: 'I8', shape: [16], data: new Int8Array(16) }),
      /'bn1.bias' is I8; expected F32/,
    ],
    [
      'a name with and without prefix',
      (t) => t.set('module.bn1.bias', t.get('bn1.bias')!),
      /both with and without/,
    ],
    [
      'a negative variance',
      (t) => (t.get('bn1.running_var')!.data as Float32Array).fill(-1),
      /layer 'conv1': variance\[0\]/,
    ],
    [
      'another depth',
      (t) => t.delete('layer1.2.conv1.weight'),
      /no known architecture \(the nearest is resnet20, but 'layer1\.2\.conv1\.weight' is missing; the nearest names are .*'layer1\.[012]\.conv[12]\.weight'/,
    ],
    [
      "another wrapper's prefix",
      (t) => rename(t, (name) => `model.${name}`),
      /\(the nearest is resnet20, but 'conv1\.weight' is missing; the nearest names are .*'model\.conv1\.weight'/,
    ],
    [
      "names of another library's",
      (t) => rename(t, (name) => name.replace('conv', 'convolution_')),
      /no known architecture \(the nearest is resnet20, but 'conv1\.weight' is missing; the nearest names are .*'convolution_1\.weight'/,
    ],
    [
      'names of nothing here',
      (t) => rename(t, (name) => `x${name.replaceAll('.', '_')}`),
      /holds \d+ tensors that belong to no known architecture; expected torchvision's/,
    ],
    [
      'a colour channel too many',
      (t) => t.set('conv1.weight', { dtype: 'F32', shape: [16, 4, 3, 3], data: new Float32Array(576) }),
      /reads pictures of 4 channels/,
    ],
    [
      'a scalar for a weight',
      (t) => t.set('conv1.weight', { dtype: 'F32', shape: [], data: new Float32Array(1) }),
      /'conv1.weight' has shape \[\]/,
    ],
    ['no tensors', (t) => t.clear(), /holds 0 tensors/],
  ])('is refused with %s', async (_, change, message) => {
    const tensors = sourceTensors(resnet20);
    change(tensors);
    const path = write(tensors);
    await expect(readFloatNetwork(path)).rejects.toThrow(FileFormatError);
    await expect(readFloatNetwork(path)).rejects.toThrow(message);
  });

  it('names tensor and index of a weight that is not finite', async () => {
    const tensors = sourceTensors(resnet20);
    (tensors.get('layer3.2.conv2.weight')!.data as Float32Array)[17] = -Infinity;
    const path = write(tensors);
    await expect(readFloatNetwork(path)).rejects.toThrow(NotFiniteError);
    await expect(readFloatNetwork(path)).rejects.toThrow(`${path}: 'layer3.2.conv2.weight'[17] is -Infinity`);
  });

  it('obeys the architecture that is asked for', async () => {
    const path = write(sourceTensors(resnet20));
    const asked = await readFloatNetwork(path, { architecture: { name: 'resnet20', inputSize: 40 } });
    expect(asked.preprocessing.size).toBe(40);
    await expect(readFloatNetwork(path, { architecture: 'resnet32' })).rejects.toThrow(
      /'layer1.3.conv1.weight' is missing/,
    );
    await expect(readFloatNetwork(path, { architecture: 'resnet9' })).rejects.toThrow(UnknownModelError);
    await expect(readFloatNetwork(path, { architecture: 'mobilenet_v1_1.0' })).rejects.toThrow(/keras/);
  });
});

describe('any path', () => {
  it('our own float file is read as it is, a quantized one refused', async () => {
    const architecture = createArchitecture({ name: 'resnet20', classes: 3 });
    const { preprocessing } = await readFloatNetwork(write(sourceTensors(resnet20)));
    const float = new Network({ architecture, weights: randomParameters(architecture, 1), preprocessing });
    const path = join(scratch, 'own.safetensors');
    writeFileSync(path, writeNetwork(float));
    expect(Buffer.compare(writeNetwork(await readFloatNetwork(path)), writeNetwork(float))).toBe(0);
    const { network } = await quantizeNetwork(float, { bits: 4, method: 'absmax' });
    writeFileSync(path, writeNetwork(network));
    await expect(readFloatNetwork(path)).rejects.toThrow(/already quantized/);
    expect((await readNetworkFile(path)).isQuantized).toBe(true);
  });

  it('that cannot be read is a FileAccessError', async () => {
    await expect(readFloatNetwork(join(scratch, 'missing.safetensors'))).rejects.toThrow(FileAccessError);
    await expect(readFloatNetwork(join(scratch, 'missing.safetensors'))).rejects.toThrow(
      /cannot read: does not exist/,
    );
    mkdirSync(join(scratch, 'empty'));
    await expect(readFloatNetwork(join(scratch, 'empty'))).rejects.toThrow(
      /model.json: cannot read: does not exist/,
    );
    await expect(readNetworkFile(scratch)).rejects.toThrow(/is a folder; expected a file/);
    await expect(readFloatNetwork('/dev/zero')).rejects.toThrow(/no regular file/);
  });

  it('that holds something else is a FileFormatError', async () => {
    const path = join(scratch, 'text.safetensors');
    for (const text of ['', 'hello', 'this is a text file and not a network at all']) {
      writeFileSync(path, text);
      await expect(readFloatNetwork(path)).rejects.toThrow(FileFormatError);
      await expect(readNetworkFile(path)).rejects.toThrow(FileFormatError);
    }
  });
});
