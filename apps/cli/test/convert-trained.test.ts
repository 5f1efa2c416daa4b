/** A model of trainable DSConv layers, as `model.save` wrote it, on the command line. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { dsConv2d, dsConvBlock } from '@dsconv/layers';
import { layers, sequential } from '@tensorflow/tfjs-layers';
import { beforeAll, describe, expect, it } from 'vitest';
import { fillWeights, saveAsIs } from '../../../packages/converter/test/support/layers-files.js';
import { dsconv, temporaryFolder } from './support.js';

const folder = temporaryFolder();
const path = (name: string): string => join(folder, name);

beforeAll(async () => {
  const model = sequential({
    layers: [
      dsConvBlock({ filters: 16, kernelSize: 3, bits: 8, inputShape: [10, 10, 3], name: 'block' }),
      dsConv2d({ filters: 16, kernelSize: 3, bits: 2, blockSize: 8, useBias: false, name: 'conv' }),
      layers.batchNormalization({ name: 'norm' }),
      layers.reLU({ name: 'relu' }),
      layers.globalAveragePooling2d({ name: 'pool' }),
      layers.dense({ units: 4, name: 'head' }),
    ],
  });
  await saveAsIs(fillWeights(model), path('trained'));
});

describe('a trained model', () => {
  it('is frozen by convert, with its own bits, and the rest is quantized', async () => {
    const run = await dsconv('convert', path('trained'), '-o', path('frozen'), '--bits', '4');
    expect(run).toMatchObject({ code: 0, err: '' });
    expect(run.out).toMatch(/^block +conv2d +3×3×3×16 +8 /m);
    expect(run.out).toMatch(/^relu +conv2d +3×3×16×16 +2 /m);
    expect(run.out).toMatch(/^head +dense +1×1×16×4 +4 .* dB$/m);
    expect(run.out).toMatch(/^kept {5}1 GlobalAveragePooling2D$/m);
    expect(run.out).toMatch(/^compared head: \d+\.\d dB on random inputs$/m);
    expect(existsSync(join(path('frozen'), 'model.json'))).toBe(true);
  });

  it('is no float network, which quantize says with what to do', async () => {
    const run = await dsconv('quantize', path('trained'), '-o', path('none.safetensors'));
    expect(run).toMatchObject({ code: 1, out: '' });
    expect(run.err).toMatch(
      /layer 'block' \(DSConvBlock\) has learned the integers of its filter; expected a float network, while `dsconv convert`/,
    );
    expect(existsSync(path('none.safetensors'))).toBe(false);
  });
});
