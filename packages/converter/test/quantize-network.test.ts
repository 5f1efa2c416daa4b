import { type DSConvFilter, InvalidArgumentError, NotFiniteError } from '@dsconv/core';
import {
  createArchitecture,
  getModel,
  Network,
  networkFileLength,
  randomParameters,
  readNetwork,
  writeNetwork,
} from '@dsconv/models';
import { describe, expect, it } from 'vitest';
import {
  inspectNetwork,
  type QuantizeNetworkOptions,
  type QuantizeProgress,
  quantizeNetwork,
} from '../src/index.js';

const { preprocessing, labels } = getModel('resnet20.cifar10');

function random(name: string, classes = 10): Network {
  const architecture = createArchitecture({ name, classes });
  return new Network({
    architecture,
    weights: randomParameters(architecture, 11),
    preprocessing,
    labels: classes === 10 ? labels : [],
    metadata: { source: 'random', sourceSha256: '00' },
  });
}

const fast = { method: 'absmax' } as const;

describe('quantizeNetwork', () => {
  it('writes and reads back bit by bit, in every form', async () => {
    const float = random('resnet20');
    const forms: QuantizeNetworkOptions[] = [
      { bits: 2, blockSize: 128 },
      { bits: 5, blockSize: 10, kdsBias: true, cds: true, activationBits: 4 },
      { bits: 8, scales: 'float32', activationBits: null },
    ];
    for (const form of forms) {
      const { network, report } = await quantizeNetwork(float, { ...form, ...fast });
      const bytes = writeNetwork(network);
      const found = readNetwork(bytes, 'x');
      expect(Buffer.compare(writeNetwork(found), bytes)).toBe(0);
      expect(report.bytesAfter).toBe(bytes.length);
      expect(report.bytesBefore).toBe(writeNetwork(float).length);
      expect(found.metadata).toEqual({ source: 'random', sourceSha256: '00' });
      expect(found.activationBits).toBe(form.activationBits === undefined ? 8 : form.activationBits);
      for (const [name, { filter }] of network.weights) {
        expect((found.weights.get(name)!.filter as DSConvFilter).vqk).toEqual((filter as DSConvFilter).vqk);
      }
    }
  });

  it('keeps stem and depthwise at 8 bits per channel, and layers as they are overridden', async () => {
    const { network } = await quantizeNetwork(random('mobilenet_v1_0.25'), {
      bits: 4,
      ...fast,
      layers: { conv_pw_3: { bits: 6, blockSize: 16 }, conv_pw_4: { perChannel: true } },
    });
    const table = new Map(inspectNetwork(network).layers.map((row) => [row.name, row]));
    expect(table.get('conv1')).toMatchObject({ bits: 8, shifters: ['cds'] });
    expect(table.get('conv_dw_5')).toMatchObject({ bits: 8, shifters: ['cds'] });
    // Depth 8: a scale per block would cost more than it gains.
    expect(table.get('conv_pw_1')).toMatchObject({ bits: 4, shifters: ['cds'] });
    expect(table.get('conv_pw_3')).toMatchObject({ bits: 6, blockSize: 16, shifters: ['kds'] });
    expect(table.get('conv_pw_4')).toMatchObject({ bits: 4, shifters: ['cds'] });
    expect(table.get('conv_pw_5')).toMatchObject({
      bits: 4,
      blockSize: 64,
      shifters: ['kds'],
      scales: 'float16',
    });
    expect(table.get('conv_preds')).toMatchObject({ kind: 'dense', bits: 4 });
  });

  it('reports what is stored, layer by layer', async () => {
    const float = random('resnet20');
    const { network, report } = await quantizeNetwork(float, { bits: 4, blockSize: 32, ...fast });
    expect(report.kernelBytesAfter).toBe(network.kernelByteLength);
    expect(report.kernelBytesAfter).toBe(report.layers.reduce((sum, layer) => sum + layer.bytesAfter, 0));
    expect(report.kernelBytesBefore).toBe(report.layers.reduce((sum, layer) => sum + layer.weights * 4, 0));
    const row = report.layers.find(({ name }) => name === 'layer3.1.conv1')!;
    const weights = 9 * 64 * 64;
    expect(row.bytesAfter).toBe(weights / 2 + (weights / 32) * 2);
    expect(row.bitsPerWeight).toBe(4.5);
    expect(row.snrDb).toBeGreaterThan(17);
    expect(row.snrDb).toBeLessThan(25);
    expect(row.scaleMin).toBeGreaterThan(0);
    expect(row.scaleMax).toBeGreaterThan(row.scaleMin!);
    expect(JSON.parse(JSON.stringify(report))).toEqual(report);
    expect(inspectNetwork(readNetwork(writeNetwork(network), 'x')).layers[8]!.snrDb).toBeCloseTo(
      report.layers[8]!.snrDb!,
      3,
    );
    expect(inspectNetwork(float).layers[0]).toMatchObject({
      bits: 32,
      blockSize: null,
      bitsPerWeight: 32,
      snrDb: null,
    });
  });

  it('loses less with the search, with more bits and with smaller blocks', async () => {
    const snr = async (options: QuantizeNetworkOptions): Promise<number> =>
      (await quantizeNetwork(random('resnet20'), options)).report.layers.find(
        ({ name }) => name === 'layer3.2.conv2',
      )!.snrDb!;
    const base = await snr({ bits: 3, ...fast });
    expect(await snr({ bits: 3 })).toBeGreaterThan(base);
    expect(await snr({ bits: 4, ...fast })).toBeGreaterThan(base);
    expect(await snr({ bits: 3, blockSize: 16, ...fast })).toBeGreaterThan(base);
  });

  it('reports progress and gives the event loop a turn between layers', async () => {
    const seen: QuantizeProgress[] = [];
    let turns = 0;
    const timer = setInterval(() => turns++, 0);
    await quantizeNetwork(random('resnet20'), {
      bits: 4,
      ...fast,
      onProgress: (progress) => seen.push(progress),
    });
    clearInterval(timer);
    expect(turns).toBeGreaterThan(3);
    expect(seen).toHaveLength(21);
    expect(seen[0]).toEqual({ done: 0, total: 20, layer: 'conv1' });
    expect(seen.at(-1)).toEqual({ done: 20, total: 20, layer: null });
  });

  it.each<[QuantizeNetworkOptions, RegExp]>([
    [{ bits: 9 }, /^bits is 9 for layer 'layer1.0.conv1'; expected an integer from 2 to 8/],
    [{ bits: NaN }, /bits is NaN/],
    [{ bits: 4, firstBits: 1 }, /firstBits is 1/],
    [{ bits: 4, blockSize: 0 }, /blockSize is 0/],
    [{ bits: 8, blockSize: 2048 }, /blockSize is 2048 .* expected at most 1032/],
    [{ bits: 4, scales: 'float64' as never }, /scales is float64/],
    [{ bits: 4, method: 'best' as never }, /method is best/],
    [{ bits: 4, activationBits: 1 }, /activationBits is 1/],
    [{ bits: 4, layers: { 'layer1.0.conv9': { bits: 3 } } }, /'layer1.0.conv9'.*such as layer1.0.conv/],
  ])('refuses %j', async (options, message) => {
    await expect(quantizeNetwork(random('resnet20'), options)).rejects.toThrow(InvalidArgumentError);
    await expect(quantizeNetwork(random('resnet20'), options)).rejects.toThrow(message);
  });

  it('refuses a quantized network and a NaN weight', async () => {
    const float = random('resnet20');
    const { network } = await quantizeNetwork(float, { bits: 4, ...fast });
    await expect(quantizeNetwork(network, { bits: 4 })).rejects.toThrow(/already quantized/);
    (float.weights.get('linear')!.filter as Float32Array)[3] = NaN;
    await expect(quantizeNetwork(float, { bits: 4, ...fast })).rejects.toThrow(NotFiniteError);
    await expect(quantizeNetwork(float, { bits: 4, ...fast })).rejects.toThrow(/'linear'\[3\] is NaN/);
  });
});

describe('storage of ResNet-50', () => {
  const float = random('resnet50', 1000);

  it.each([
    [2, 128, 14],
    [4, 64, 7.3],
  ])(
    '%d bits, B = %d: kernels at least %d times smaller, counted from the file',
    async (bits, blockSize, times) => {
      const { network, report } = await quantizeNetwork(float, { bits, blockSize, ...fast });
      const found = readNetwork(writeNetwork(network), 'x');
      // Convolutions alone, then with the classifier; the float side is four bytes a weight.
      const sum = (wanted: (name: string) => boolean, net: Network): number =>
        [...net.weights].reduce(
          (bytes, [name, { filter }]) => bytes + (wanted(name) ? filter.byteLength : 0),
          0,
        );
      const ratio = (wanted: (name: string) => boolean): number => sum(wanted, float) / sum(wanted, found);
      expect(ratio((name) => name !== 'fc')).toBeGreaterThan(times);
      expect(ratio(() => true)).toBeGreaterThan(times);
      expect(report.bytesBefore / networkFileLength(found)).toBeGreaterThan(times * 0.97);
      network.dispose();
    },
  );
});
