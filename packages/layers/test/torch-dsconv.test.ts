/** Checkpoints of the PyTorch module, against what that module computes. */
import '@dsconv/backend-cpu';
import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { DSConv2D, type TorchTensor, torchDSConv } from '../src/index.js';
import { floats } from './support.js';

beforeAll(async () => {
  await tf.setBackend('dsconv-cpu');
});

interface Module {
  tensors: Map<string, TorchTensor>;
  /** Weights that the module convolves with, OIHW. */
  expanded: Float32Array;
}

/** The module's own loop: blocks of `depth // blocks` channels, and a last one with the rest. */
function moduleOf(
  [O, I, kh, kw]: [number, number, number, number],
  blocks: number,
  bits: number,
  parts: { KDSb: boolean; CDS: boolean; bias: boolean; float: boolean },
  seed: number,
): Module {
  const taps = kh * kw;
  const weight = floats(O * I * taps, seed, 2 ** (bits - 1)).map((v) => (parts.float ? v : Math.floor(v)));
  const alpha = floats(O * blocks * taps, seed + 1, 0.1).map((v) => v + 0.2);
  const KDSb = parts.KDSb ? floats(alpha.length, seed + 2, 0.05) : null;
  const [CDSw, CDSb] = parts.CDS
    ? [floats(O, seed + 3, 0.2).map((v) => v + 1), floats(O, seed + 4, 0.05)]
    : [null, null];
  const expanded = new Float32Array(weight.length);
  const size = Math.floor(I / blocks);
  for (let o = 0; o < O; o++) {
    for (let block = 0; block < blocks; block++) {
      const length = block === blocks - 1 ? I - (blocks - 1) * size : size;
      for (let i = block * size; i < block * size + length; i++) {
        for (let t = 0; t < taps; t++) {
          const at = (o * I + i) * taps + t;
          const scale = (o * blocks + block) * taps + t;
          const value = alpha[scale]! * weight[at]! + (KDSb ? KDSb[scale]! : 0);
          expanded[at] = (CDSw ? CDSw[o]! : 1) * value + (CDSb ? CDSb[o]! : 0);
        }
      }
    }
  }
  const tensors = new Map<string, TorchTensor>([
    ['m.weight', { shape: [O, I, kh, kw], data: weight }],
    ['m.alpha', { shape: [O, blocks, kh, kw], data: alpha }],
  ]);
  if (KDSb) tensors.set('m.KDSb', { shape: [O, blocks, kh, kw], data: KDSb });
  if (CDSw && CDSb)
    tensors.set('m.CDSw', { shape: [O], data: CDSw }).set('m.CDSb', { shape: [O], data: CDSb });
  if (parts.bias) tensors.set('m.bias', { shape: [O], data: floats(O, seed + 5) });
  return { tensors, expanded };
}

describe('modules of integers', () => {
  test('compute what the module computes, whatever is left over in the last block', () => {
    fc.assert(
      fc.property(
        fc.record({
          O: fc.integer({ min: 1, max: 5 }),
          I: fc.integer({ min: 1, max: 40 }),
          k: fc.integer({ min: 1, max: 3 }),
          blocks: fc.integer({ min: 1, max: 6 }),
          bits: fc.integer({ min: 2, max: 8 }),
          KDSb: fc.boolean(),
          CDS: fc.boolean(),
          bias: fc.boolean(),
          seed: fc.integer({ min: 1, max: 1e6 }),
        }),
        ({ O, I, k, blocks, bits, seed, ...parts }) => {
          tf.tidy(() => {
            const { tensors, expanded } = moduleOf(
              [O, I, k, k],
              Math.min(blocks, I),
              bits,
              { ...parts, float: false },
              seed,
            );
            const args = torchDSConv(tensors, 'm');
            expect(args.bits).toBeLessThanOrEqual(bits);
            const layer = new DSConv2D({ ...args, activationBits: null, padding: 1 });
            const x = tf.tensor4d(floats(5 * 5 * I, seed + 9), [1, 5, 5, I]);
            const y = layer.apply(x) as tf.Tensor4D;
            const w = tf.transpose(tf.tensor4d(expanded, [O, I, k, k]), [2, 3, 1, 0]);
            const plain = tf.conv2d(x, w as tf.Tensor4D, 1, 1);
            const bias = tensors.get('m.bias');
            const wanted = bias ? tf.add(plain, tf.tensor1d(bias.data)) : plain;
            const size = tf.max(tf.abs(wanted)).dataSync()[0]! + 1;
            expect(tf.max(tf.abs(tf.sub(y, wanted))).dataSync()[0]!).toBeLessThan(1e-4 * size);
          });
        },
      ),
      { numRuns: 80 },
    );
  });
});

test('modules of the copies that never quantize are fitted when asked for bits', () => {
  const { tensors, expanded } = moduleOf(
    [4, 20, 3, 3],
    2,
    4,
    { KDSb: false, CDS: false, bias: false, float: true },
    5,
  );
  expect(() => torchDSConv(tensors, 'm')).toThrow(
    /has float numbers in 'm.weight'; expected integers, or the option bits/,
  );
  const layer = new DSConv2D({ ...torchDSConv(tensors, 'm', { bits: 8 }), activationBits: null, padding: 1 });
  const x = tf.tensor4d(floats(5 * 5 * 20, 9), [1, 5, 5, 20]);
  const y = layer.apply(x) as tf.Tensor4D;
  const w = tf.transpose(tf.tensor4d(expanded, [4, 20, 3, 3]), [2, 3, 1, 0]) as tf.Tensor4D;
  const wanted = tf.conv2d(x, w, 1, 1);
  const size = tf.max(tf.abs(wanted)).dataSync()[0]!;
  expect(tf.max(tf.abs(tf.sub(y, wanted))).dataSync()[0]!).toBeLessThan(0.02 * size);
});

test('what is missing or does not fit is named', () => {
  const { tensors } = moduleOf([2, 8, 1, 1], 2, 4, { KDSb: true, CDS: true, bias: true, float: false }, 3);
  const without = (name: string) => new Map([...tensors].filter(([key]) => key !== name));
  expect(() => torchDSConv(without('m.alpha'), 'm', { file: 'a.pt' })).toThrow(
    /a\.pt has no 'm\.alpha'; expected shape \[2,any,1,1\]/,
  );
  expect(() => torchDSConv(tensors, 'n')).toThrow(/has no 'n\.weight'/);
  const wrong = new Map(tensors).set('m.CDSw', { shape: [3], data: new Float32Array(3) });
  expect(() => torchDSConv(wrong, 'm')).toThrow(/'m\.CDSw' of shape \[3\]; expected shape \[2\]/);
});
