import { MathBackendCPU } from '@tensorflow/tfjs-backend-cpu';
import {
  getBackend,
  registerBackend,
  registerKernel,
  removeBackend,
  setBackend,
} from '@tensorflow/tfjs-core';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  BackendUnavailableError,
  registerDSConvBackend,
  SelfTestError,
  selectBackend,
} from '../src/index.js';
import { describeBackend, registerReferenceBackend } from './reference-backend.js';

const failure = new SelfTestError(
  "backend 'wrong' computed 1 for output 0 of the known case 'x'; expected 2",
);

describe('selectBackend', () => {
  // Each test starts on a stock backend, and nothing may be printed on the way.
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
  beforeEach(() => setBackend('cpu'));
  afterEach(() => expect(warn).not.toHaveBeenCalled());

  registerReferenceBackend('works', { activeTier: () => 'fast' });
  registerDSConvBackend(describeBackend('no gpu', { probe: async () => ({ reason: 'there is no GPU' }) }));
  registerDSConvBackend(describeBackend('forgotten'));
  for (const [name, factory] of [
    ['wrong', () => Promise.reject(failure)],
    [
      'wrong at once',
      () => {
        throw failure;
      },
    ],
  ] as const) {
    registerBackend(name, factory);
    registerDSConvBackend(describeBackend(name));
  }

  it('takes the first that works and says why the others were not taken', async () => {
    const names = ['not imported', 'no gpu', 'forgotten', 'wrong', 'wrong at once', 'works'];
    expect(await selectBackend(names)).toEqual({
      name: 'works',
      tier: 'fast',
      declined: [
        { name: 'not imported', reason: 'no package that registers it was imported' },
        { name: 'no gpu', reason: 'there is no GPU' },
        { name: 'forgotten', reason: 'its package registered no TensorFlow.js backend of that name' },
        { name: 'wrong', reason: failure.message },
        { name: 'wrong at once', reason: failure.message },
      ],
    });
    expect(getBackend()).toBe('works');
  });

  it('does not try what comes after the one that works', async () => {
    expect((await selectBackend(['works', 'no gpu'])).declined).toEqual([]);
  });

  it('tries all registered backends when none is named', async () => {
    expect((await selectBackend()).name).toBe('works');
  });

  it('keeps the current backend and lists every reason when none works', async () => {
    await expect(selectBackend(['no gpu', 'wrong'])).rejects.toThrow(
      new BackendUnavailableError(
        `none of the backends can run here: no gpu: there is no GPU; wrong: ${failure.message}`,
      ),
    );
    expect(getBackend()).toBe('cpu');
    await expect(selectBackend([])).rejects.toThrow('no DSConv backend is registered; expected an import of');
    expect(getBackend()).toBe('cpu');
  });

  it('gives the same reason the second time, and notices when a backend recovers', async () => {
    let broken = true;
    registerBackend('moody', async () => {
      if (broken) throw new Error('the device is busy');
      return new MathBackendCPU();
    });
    registerDSConvBackend(describeBackend('moody'));
    for (let n = 0; n < 2; n++) {
      await expect(selectBackend(['moody'])).rejects.toThrow('moody: the device is busy');
    }
    broken = false;
    expect((await selectBackend(['moody'])).name).toBe('moody');
  });

  it('declines a backend whose kernels fail to set up', async () => {
    registerBackend('half way', () => new MathBackendCPU());
    registerKernel({
      kernelName: 'DSConv2D',
      backendName: 'half way',
      kernelFunc: () => [],
      setupFunc: () => {
        throw new Error('the shader does not compile');
      },
    });
    registerDSConvBackend(describeBackend('half way'));
    await expect(selectBackend(['half way'])).rejects.toThrow('half way: the shader does not compile');
    expect(getBackend()).toBe('cpu');
    removeBackend('half way');
  });
});
