import { MathBackendCPU } from '@tensorflow/tfjs-backend-cpu';
import type { KernelFunc, TensorInfo } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { DS_DEPTHWISE_CONV2D, runSelfTest, SelfTestError } from '../src/index.js';
import { referenceKernel } from './reference-backend.js';

/** The reference kernel with one output changed. */
const off =
  (index: number, by: number): KernelFunc =>
  (call) => {
    const info = referenceKernel(call) as TensorInfo;
    const values = (call.backend as MathBackendCPU).readSync(info.dataId) as Float32Array;
    values[index]! += by;
    return info;
  };

describe('runSelfTest', () => {
  it('is passed by the reference, and leaves no buffers behind', async () => {
    const backend = new MathBackendCPU();
    const before = backend.data.numDataIds();
    await runSelfTest('reference', backend, () => referenceKernel);
    expect(backend.data.numDataIds()).toBe(before);
  });

  it('finds a single wrong output and names it', async () => {
    const call = runSelfTest('bent', new MathBackendCPU(), () => off(3, 1));
    await expect(call).rejects.toThrow(SelfTestError);
    await expect(call).rejects.toThrow(
      "backend 'bent' computed 493 for output 3 of the known case 'conv2d 2x2x3'; expected 492",
    );
  });

  it('finds outputs that are not finite', async () => {
    await expect(runSelfTest('bent', new MathBackendCPU(), () => off(0, NaN))).rejects.toThrow(
      'computed NaN',
    );
  });

  it('looks at the depthwise kernel too', async () => {
    const call = runSelfTest('bent', new MathBackendCPU(), (kernel) =>
      kernel === DS_DEPTHWISE_CONV2D ? off(0, -0.5) : referenceKernel,
    );
    await expect(call).rejects.toThrow(
      "computed 1570.5 for output 0 of the known case 'depthwise 2x2x3'; expected 1571",
    );
  });
});
