/** What a network without batch normalization gets by default: nothing that makes it worse than rounding. */
import { BACKEND_NAME } from '@dsconv/backend-cpu';
import { selectBackend } from '@dsconv/core';
import type { Network } from '@dsconv/models';
import { beforeAll, describe, expect, it } from 'vitest';
import { agreement, divergence } from '../src/allocation/compare-logits.js';
import { logitsOf } from '../src/allocation/network-logits.js';
import { calibrateNetwork, quantizeNetwork } from '../src/index.js';
import { textures, trainedWithoutNorms } from './support/plain-network.js';

describe('a trained network without batch normalization', () => {
  const strange = textures(480, 99);
  let float: Network;
  let expected: Float32Array;

  beforeAll(async () => {
    await selectBackend([BACKEND_NAME]);
    float = trainedWithoutNorms();
    expected = await logitsOf(float, strange);
  }, 60_000);

  const score = async (network: Network): Promise<{ same: number; loss: number }> => {
    const found = await logitsOf(network, strange);
    network.dispose();
    const { classes } = float.architecture;
    return { same: agreement(expected, found, classes), loss: divergence(expected, found, classes) };
  };

  it('has learned something', () => {
    const { classes } = float.architecture;
    let right = 0;
    for (let n = 0; n < strange.count; n++) {
      const row = [...expected.subarray(n * classes, (n + 1) * classes)];
      if (row.indexOf(Math.max(...row)) === n % classes) right++;
    }
    expect(right / strange.count).toBeGreaterThan(0.6);
  });

  it.each([
    [4, 32],
    [3, 32],
    [2, 16],
  ])(
    'at %i bits, B = %i: defaults are no worse than rounding, calibration is better',
    async (bits, blockSize) => {
      const options = { bits, blockSize };
      const plain = await quantizeNetwork(float, { ...options, biasCorrection: false, rangeScaling: false });
      const usual = await quantizeNetwork(float, options);
      const calibrated = await calibrateNetwork(float, textures(64, 3), options);
      const [rounded, byDefault, fitted] = [
        await score(plain.network),
        await score(usual.network),
        await score(calibrated.network),
      ];
      expect(usual.report.correctedBiases).toBe(0);
      expect(byDefault).toEqual(rounded);
      expect(fitted.same).toBeGreaterThanOrEqual(rounded.same);
      expect(fitted.loss).toBeLessThan(rounded.loss);
    },
  );

  it('is no worse mixed than with the same bits everywhere, chosen without pictures', async () => {
    const uniform = await quantizeNetwork(float, { bits: 3, blockSize: 32 });
    const target = { bitsPerWeight: uniform.report.bitsPerWeight };
    const mixed = await quantizeNetwork(float, { target });
    expect(mixed.report.kernelBytesAfter).toBeLessThanOrEqual(uniform.report.kernelBytesAfter);
    const [even, chosen] = [await score(uniform.network), await score(mixed.network)];
    expect(chosen.same).toBeGreaterThanOrEqual(even.same);
    expect(chosen.loss).toBeLessThanOrEqual(even.loss);
  });
});
