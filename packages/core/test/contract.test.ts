import { describe, expect, it } from 'vitest';
import {
  CONTRACT_VERSION,
  DSConvFilter,
  getDSConvBackend,
  kernelFor,
  listDSConvBackends,
  registerDSConvBackend,
  resolveGeometry,
  specOf,
  UnsupportedError,
} from '../src/index.js';
import { describeBackend } from './reference-backend.js';

describe('the kernel contract', () => {
  it('refuses a backend written for another version', () => {
    const backend = describeBackend('from the future', { contractVersion: CONTRACT_VERSION + 1 });
    expect(() => registerDSConvBackend(backend)).toThrow(
      new UnsupportedError(
        `backend 'from the future' implements kernel contract ${CONTRACT_VERSION + 1}; this version of core needs ${CONTRACT_VERSION}`,
      ),
    );
    expect(getDSConvBackend('from the future')).toBeUndefined();
  });

  it('knows backends by name, in the order of registration', () => {
    const [first, second] = [describeBackend('first'), describeBackend('second')];
    registerDSConvBackend(first);
    registerDSConvBackend(second);
    expect(getDSConvBackend('first')).toBe(first);
    expect(listDSConvBackends()).toEqual(['first', 'second']);
  });

  it('describes a call without its numbers', () => {
    const filter = DSConvFilter.fromIntegers(
      {
        kind: 'conv2d',
        shape: [1, 1, 2, 1],
        bits: 2,
        blockSize: 2,
        kds: { format: 'float32', data: Float32Array.of(1) },
        cdsBias: { format: 'float32', data: Float32Array.of(1) },
      },
      Int8Array.of(1, -2),
    );
    const geometry = resolveGeometry({
      inputShape: [1, 1, 1, 2],
      kernelSize: [1, 1],
      outChannels: 1,
      strides: 1,
      pad: 'valid',
    });
    const outputFormat = { bits: 8, blockSize: 1, groups: 1 };
    const attributes = {
      filter,
      geometry,
      activation: 'relu',
      leakyreluAlpha: 0.2,
      activationBits: 8,
      outputFormat,
    } as const;
    const spec = specOf('DSConv2D', attributes, { bias: true, residual: false });
    expect(spec).toEqual({
      kernel: 'DSConv2D',
      geometry,
      bits: 2,
      blockSize: 2,
      shifters: { kds: true, kdsBias: false, cds: false, cdsBias: true },
      activation: 'relu',
      activationBits: 8,
      outputFormat,
      hasBias: true,
      hasResidual: false,
    });
  });

  it('names the kernel of each kind of filter', () => {
    expect([kernelFor('conv2d'), kernelFor('depthwise')]).toEqual(['DSConv2D', 'DSDepthwiseConv2D']);
  });
});
