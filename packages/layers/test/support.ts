import fc from 'fast-check';
import { type Partition, partitionOf } from '../src/filter/partition.js';

/** Numbers that depend on a seed alone, spread over [-1, 1). */
export function randomly(seed: number): () => number {
  let state = seed >>> 0 || 1;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
}

export function floats(length: number, seed: number, scale = 1): Float32Array {
  const next = randomly(seed);
  return Float32Array.from({ length }, () => next() * scale);
}

/** Filters of both kinds, with short last blocks, zero blocks and weights of any size. */
export const filters: fc.Arbitrary<{ partition: Partition; bits: number; w: Float32Array; seed: number }> = fc
  .record({
    depthwise: fc.boolean(),
    kernel: fc.integer({ min: 1, max: 3 }),
    inner: fc.integer({ min: 1, max: 40 }),
    outer: fc.integer({ min: 1, max: 6 }),
    blockSize: fc.integer({ min: 1, max: 40 }),
    perChannel: fc.boolean(),
    bits: fc.integer({ min: 2, max: 8 }),
    zeros: fc.boolean(),
    seed: fc.integer({ min: 1, max: 1e6 }),
    exponent: fc.integer({ min: -6, max: 3 }),
  })
  .map(({ depthwise, kernel, inner, outer, blockSize, perChannel, bits, zeros, seed, exponent }) => {
    const shape = [kernel, kernel, inner, outer] as const;
    const kind = depthwise ? 'depthwise' : 'conv2d';
    const w = floats(kernel * kernel * inner * outer, seed, 2 ** exponent);
    if (zeros) w.fill(0, 0, w.length >> 1);
    return { partition: partitionOf(kind, shape, blockSize, perChannel), bits, w, seed };
  });
