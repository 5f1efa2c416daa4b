/** Networks made for a size or a loss, on the small network that the test trains. */
import { BACKEND_NAME } from '@dsconv/backend-cpu';
import { type DSConvFilter, InvalidArgumentError, selectBackend } from '@dsconv/core';
import { type Network, networkFileLength, writeNetwork } from '@dsconv/models';
import { memory } from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { storedBytes } from '../../src/allocation/candidates.js';
import { agreement } from '../../src/allocation/compare-logits.js';
import { logitsOf } from '../../src/allocation/network-logits.js';
import { calibrateNetwork, type QuantizationTarget, quantizeNetwork } from '../../src/index.js';
import { quantizeLayer } from '../../src/quantize-network.js';
import { textures, trainedWithoutNorms } from '../support/plain-network.js';

let float: Network;

beforeAll(async () => {
  await selectBackend([BACKEND_NAME]);
  float = trainedWithoutNorms();
}, 60_000);

const pictures = textures(48, 3);

describe('bytes of a form', () => {
  it('are those of the filter that is made in it', () => {
    const shape = fc.tuple(...[1, 1, 20, 6].map((least) => fc.integer({ min: least, max: least + 30 })));
    fc.assert(
      fc.property(
        shape,
        fc.integer({ min: 2, max: 8 }),
        fc.integer({ min: 1, max: 70 }),
        fc.boolean(),
        fc.boolean(),
        ([kh, kw, depth, outputs], bits, blockSize, perChannel, isDepthwise) => {
          const kind = isDepthwise ? ('depthwise' as const) : ('conv2d' as const);
          const form = { bits, blockSize, perChannel };
          const layer = {
            kind,
            shape: [(kh % 3) + 1, (kw % 3) + 1, depth, isDepthwise ? 1 : (outputs % 8) + 1],
          } as never;
          const shapeOf = (layer as { shape: number[] }).shape;
          const weights = new Float32Array(shapeOf.reduce((a, b) => a * b)).fill(0.5);
          const filter = quantizeLayer(layer, weights, form, { bits, method: 'absmax' });
          expect(filter.stored('cds')?.format ?? filter.stored('kds')!.format).toBe('float16');
          expect(storedBytes(layer, form, 'float16')).toBe(filter.byteLength);
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe('a target of size', () => {
  it.each<QuantizationTarget>([
    { bitsPerWeight: 3.3 },
    { bitsPerWeight: 5 },
    { bytes: 17_000 },
    { ratio: 5 },
  ])('%j is kept, and no byte more is left than a form takes', async (target) => {
    const { network, report } = await quantizeNetwork(float, { target });
    const { allocation } = report;
    expect(allocation).toMatchObject({ target, pictures: 0 });
    expect(report.kernelBytesAfter).toBe(allocation!.chosen.kernelBytes);
    expect(writeNetwork(network).byteLength).toBe(report.bytesAfter);
    if ('bitsPerWeight' in target) {
      expect(report.bitsPerWeight).toBeLessThanOrEqual(target.bitsPerWeight);
      expect(report.bitsPerWeight).toBeGreaterThan(target.bitsPerWeight * 0.93);
    } else {
      const length =
        'bytes' in target ? target.bytes : networkFileLength(float) / (target as { ratio: number }).ratio;
      expect(report.bytesAfter).toBeLessThanOrEqual(length);
      expect(report.bytesAfter).toBeGreaterThan(length * 0.9);
    }
    // Nothing else of the same size loses less by what was measured: one step more anywhere is over the budget.
    for (const { forms, chosen } of allocation!.layers) {
      const own = forms[chosen]!;
      for (const form of forms) {
        if (form.bytes <= own.bytes) expect(form.loss).toBeGreaterThanOrEqual(own.loss);
      }
    }
  });

  it('keeps what is pinned, bits or bits and block', async () => {
    const layers = { 'conv*': { bits: 6 }, expand: { bits: 5, blockSize: 16 }, conv1: { bits: 7 } };
    const { network, report } = await calibrateNetwork(float, pictures, {
      target: { bitsPerWeight: 6.4 },
      layers,
    });
    const form = (name: string) => {
      const { bits, blockSize } = network.weights.get(name)!.filter as DSConvFilter;
      return { bits, blockSize };
    };
    expect(form('conv1').bits).toBe(7);
    expect(form('conv2').bits).toBe(6);
    expect(form('expand')).toEqual({ bits: 5, blockSize: 16 });
    expect(report.bitsPerWeight).toBeLessThanOrEqual(6.4);
    expect(report.allocation!.layers.find(({ layer }) => layer === 'expand')!.forms).toHaveLength(1);
  });

  it('is the same for the same seed, and leaves no tensor behind', async () => {
    const before = memory().numTensors;
    const make = async (seed: number): Promise<Buffer> => {
      const { network } = await calibrateNetwork(float, pictures, { target: { bitsPerWeight: 3.5 }, seed });
      const bytes = Buffer.from(writeNetwork(network));
      network.dispose();
      return bytes;
    };
    const [a, b] = [await make(1), await make(1)];
    expect(a.equals(b)).toBe(true);
    expect(memory().numTensors).toBe(before);
  });

  it('tells its stages, and measures as many points as are asked for', async () => {
    const stages: string[] = [];
    const { report } = await calibrateNetwork(float, pictures, {
      target: { bitsPerWeight: 4 },
      curvePoints: 3,
      onProgress: ({ stage }) => {
        if (stages.at(-1) !== stage) stages.push(stage!);
      },
    });
    expect(stages).toEqual(['measure', 'quantize']);
    const { curve, chosen, pictures: asked } = report.allocation!;
    expect(asked).toBe(48);
    const measured = curve.filter(({ measuredLoss }) => measuredLoss !== null);
    expect(measured.length).toBeGreaterThanOrEqual(3);
    expect(chosen.measuredLoss).not.toBeNull();
    for (const [n, point] of curve.entries()) {
      if (n === 0) continue;
      expect(point.kernelBytes).toBeGreaterThan(curve[n - 1]!.kernelBytes);
      expect(point.predictedLoss).toBeLessThanOrEqual(curve[n - 1]!.predictedLoss + 1e-12);
    }
    // What is predicted to lose most does lose most.
    expect(measured[0]!.measuredLoss!).toBeGreaterThan(measured.at(-1)!.measuredLoss!);
  });
});

describe('a target of loss', () => {
  it('is the smallest network that was tried and keeps within, on pictures that were not fitted', async () => {
    const many = textures(160, 7);
    const target = { maxDrop: 0.05 };
    const { network, report } = await calibrateNetwork(float, many, { target });
    const { chosen, curve } = report.allocation!;
    expect(chosen.agreement!).toBeGreaterThanOrEqual(0.95);
    // All of it at 8 bits would be above 8.
    expect(report.bitsPerWeight).toBeLessThan(6);
    for (const { kernelBytes, agreement: same } of curve) {
      if (same !== null && kernelBytes < chosen.kernelBytes) expect(same).toBeLessThan(0.95);
    }
    // Of strange pictures about as many.
    const strange = textures(320, 55);
    const [expected, found] = [await logitsOf(float, strange), await logitsOf(network, strange)];
    expect(agreement(expected, found, float.architecture.classes)).toBeGreaterThan(0.88);
  });
});

describe('targets that cannot be', () => {
  const failing = (target: unknown, more: object = {}) =>
    quantizeNetwork(float, { target: target as QuantizationTarget, ...more });

  it.each([
    [{}, 'target is {}; expected one of bitsPerWeight, ratio, bytes and maxDrop'],
    [{ bitsPerWeight: 3, bytes: 4 }, 'expected one of bitsPerWeight'],
    [{ size: 3 }, 'expected one of bitsPerWeight'],
    [{ bitsPerWeight: 0 }, 'target.bitsPerWeight is 0; expected a positive number'],
    [{ ratio: Number.NaN }, 'target.ratio is NaN; expected a positive number'],
    [{ maxDrop: 1 }, 'target.maxDrop is 1; expected a number from 0 to below 1'],
    [{ maxDrop: 0.1 }, 'target.maxDrop is measured on pictures, and there are 0; expected at least 2'],
    [{ bitsPerWeight: 1.9 }, 'bits per weight; expected at least'],
    [{ bytes: 100 }, 'the target leaves 0 bytes for kernels'],
  ])('%j', async (target, message) => {
    await expect(failing(target)).rejects.toThrow(message);
    await expect(failing(target)).rejects.toThrow(InvalidArgumentError);
  });

  it('a drop that no network keeps within', async () => {
    // Activations of 2 bits change classes whatever the weights are.
    const options = { target: { maxDrop: 0 }, activationBits: 2 };
    await expect(calibrateNetwork(float, textures(120, 7), options)).rejects.toThrow(
      /target\.maxDrop is 0, but the least that was reached is 0\.\d+; expected at least that/,
    );
  });

  it('neither bits nor a target, and a pattern that fits nothing', async () => {
    await expect(quantizeNetwork(float, {})).rejects.toThrow('bits is undefined');
    await expect(failing({ bitsPerWeight: 4 }, { layers: { 'conw*': { bits: 4 } } })).rejects.toThrow(
      /'conw\*'/,
    );
  });
});
