/** Layouts without a GPU: what shaders read must be where the host puts it. */
import { readFileSync } from 'node:fs';
import { type DSConvFilter, quantizeFilter } from '@dsconv/core';
import fc from 'fast-check';
import { expect, test, vi } from 'vitest';
import { CALL_WORDS } from '../../src/gpu/call.js';
import { imageLayout } from '../../src/layout/image.js';
import { packFilter } from '../../src/layout/pack-filter.js';
import { Memory } from '../../src/plan/memory.js';

const shader = (name: string) =>
  readFileSync(new URL(`../../src/shaders/${name}.wgsl`, import.meta.url), 'utf8');

test('the uniform block has the order of the struct in call.wgsl', () => {
  const struct = /struct Call \{([^}]*)\}/.exec(shader('call'))![1]!;
  expect([...struct.matchAll(/^\s*(\w+): \w+,$/gm)].map(([, name]) => name)).toEqual([...CALL_WORDS]);
});

test('an image has a place of its own for every mantissa and every scale', () => {
  const cases = fc.record({
    pixels: fc.integer({ min: 1, max: 5 }),
    depth: fc.integer({ min: 1, max: 40 }),
    groups: fc.integer({ min: 1, max: 3 }),
    blockSize: fc.integer({ min: 1, max: 50 }),
  });
  fc.assert(
    fc.property(cases, ({ pixels, depth, groups, blockSize }) => {
      const layout = imageLayout(pixels, depth * groups, { bits: 8, blockSize, groups });
      const places = new Set<number>();
      for (let p = 0; p < pixels; p++) {
        for (let g = 0; g < groups; g++) {
          for (let i = 0; i < depth; i++) {
            const block = Math.floor(i / layout.blockSize);
            const within = i - block * layout.blockSize;
            const word = p * layout.pixelWords + g * layout.groupWords + block * layout.blockWords;
            const byte = 4 * word + within;
            expect(places.has(byte)).toBe(false);
            expect(byte).toBeLessThan(4 * layout.scalesAt);
            places.add(byte);
          }
        }
      }
      expect(layout.byteLength).toBe(4 * (layout.scalesAt + pixels * groups * layout.blocks));
    }),
  );
});

/** Reads a weight as filter.wgsl does. */
function weightAt(filter: DSConvFilter, groups: number, tap: number, i: number, o: number): number {
  const { bits, weights, blockWords, tapWords } = packFilter(filter, groups);
  const perGroup = filter.outChannels / groups;
  const quads = Math.ceil(perGroup / 4);
  const block = Math.floor(i / filter.blockSize);
  const within = i - block * filter.blockSize;
  const word = block * blockWords + Math.floor((within * bits) / 32);
  const place = Math.floor(o / perGroup) * quads * 4 + (o % perGroup);
  const r = within % (32 / bits);
  const bit = 8 * (r % 4) + bits * (r >> 2);
  return (weights[(tap * tapWords + word) * groups * quads * 4 + place]! << (32 - bits - bit)) >> (32 - bits);
}

test('every weight is where its shader looks for it, whatever its width', () => {
  const cases = fc.record({
    bits: fc.integer({ min: 2, max: 8 }),
    depth: fc.integer({ min: 1, max: 40 }),
    perGroup: fc.integer({ min: 1, max: 9 }),
    groups: fc.integer({ min: 1, max: 3 }),
    blockSize: fc.integer({ min: 1, max: 40 }),
  });
  fc.assert(
    fc.property(cases, ({ bits, depth, perGroup, groups, blockSize }) => {
      const outputs = perGroup * groups;
      const values = Float32Array.from({ length: 2 * depth * outputs }, (_, n) => Math.sin(n * 1.3));
      const filter = quantizeFilter(values, [2, 1, depth, outputs], { bits, blockSize, method: 'absmax' });
      const q = filter.unpack();
      for (let n = 0; n < q.length; n += 7) {
        const o = n % outputs;
        const i = Math.floor(n / outputs) % depth;
        expect(weightAt(filter, groups, Math.floor(n / outputs / depth), i, o)).toBe(q[n]);
      }
    }),
    { numRuns: 40 },
  );
});

test.each([2, 4, 8])('weights of %i bits take at most 10 % more than the file', (bits) => {
  for (const blockSize of [32, 64, 128]) {
    const values = Float32Array.from({ length: 9 * 128 * 64 }, (_, n) => Math.sin(n));
    const filter = quantizeFilter(values, [3, 3, 128, 64], { bits, blockSize, method: 'absmax' });
    const { weights, scales } = packFilter(filter, 1);
    expect(weights.byteLength + scales.byteLength).toBeLessThanOrEqual(1.1 * filter.byteLength);
  }
});

test('places of a plan that are needed at the same time lie in different buffers', () => {
  const lifetime = fc.record({
    bytes: fc.integer({ min: 1, max: 3000 }),
    first: fc.integer({ min: 0, max: 20 }),
    length: fc.integer({ min: 0, max: 8 }),
  });
  const created: number[] = [];
  const device = {
    limits: { maxBufferSize: 1e6, maxStorageBufferBindingSize: 1e6 },
    createBuffer: ({ size }: { size: number }) => created.push(size),
  };
  vi.stubGlobal('GPUBufferUsage', { STORAGE: 1, COPY_SRC: 2, COPY_DST: 4 });
  fc.assert(
    fc.property(fc.array(lifetime, { maxLength: 30 }), (lifetimes) => {
      const memory = new Memory();
      for (const { bytes, first, length } of lifetimes) memory.place(bytes, first).last = first + length;
      memory.allocate(device as unknown as GPUDevice);
      for (const [n, a] of memory.places.entries()) {
        for (const b of memory.places.slice(n + 1)) {
          if (a.first <= b.last && b.first <= a.last) expect(a.slot).not.toBe(b.slot);
        }
      }
      expect(memory.bytes).toBeGreaterThanOrEqual(memory.liveBytes);
    }),
  );
});
