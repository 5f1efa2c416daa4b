import { backend_util } from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type ConvGeometryOptions,
  InvalidArgumentError,
  type Padding,
  resolveGeometry,
} from '../src/index.js';

const dimension = fc.integer({ min: 1, max: 12 });
const small = fc.integer({ min: 1, max: 4 });
const pad: fc.Arbitrary<Padding> = fc.oneof(
  fc.constant('same' as const),
  fc.constant('valid' as const),
  fc.nat(4),
  fc.tuple(fc.tuple(fc.nat(4), fc.nat(4)), fc.tuple(fc.nat(4), fc.nat(4))),
);
const options = fc.record({
  inputShape: fc.tuple(small, dimension, dimension, small),
  kernelSize: fc.tuple(small, small),
  outChannels: small,
  strides: fc.tuple(small, small),
  dilations: fc.tuple(small, small),
  pad,
});

function resolveOrNull(chosen: ConvGeometryOptions) {
  try {
    return resolveGeometry(chosen);
  } catch (error) {
    expect(error).toBeInstanceOf(InvalidArgumentError);
    return null;
  }
}

describe('resolveGeometry', () => {
  it('agrees with TensorFlow.js', () => {
    fc.assert(
      fc.property(options, (chosen) => {
        const found = resolveOrNull(chosen);
        if (!found) return;
        const { inputShape, kernelSize, outChannels, strides, dilations } = chosen;
        // For a number TensorFlow.js takes the vertical stride and kernel for both axes, so it is asked with pairs.
        const { pad } = chosen;
        const pairs = typeof pad === 'number' ? [Array(2).fill(pad), Array(2).fill(pad)] : pad;
        const tfPad = (typeof pairs === 'string' ? pairs : [[0, 0], ...pairs, [0, 0]]) as 'same';
        const info = backend_util.computeConv2DInfo(
          inputShape,
          [kernelSize[0], kernelSize[1], inputShape[3], outChannels],
          strides,
          dilations,
          tfPad,
        );
        const { top, bottom, left, right } = info.padInfo;
        expect(found).toMatchObject({
          outHeight: info.outHeight,
          outWidth: info.outWidth,
          padTop: top,
          padLeft: left,
          strideHeight: info.strideHeight,
          strideWidth: info.strideWidth,
          dilationHeight: info.dilationHeight,
          dilationWidth: info.dilationWidth,
          ...(chosen.pad === 'same' ? {} : { padBottom: bottom, padRight: right }),
        });
      }),
      { numRuns: 1000 },
    );
  });

  it('places as many windows as fit into the padded input', () => {
    fc.assert(
      fc.property(options, (chosen) => {
        const found = resolveOrNull(chosen);
        const count = (axis: 0 | 1): number => {
          const [before, after] = found
            ? axis === 0
              ? [found.padTop, found.padBottom]
              : [found.padLeft, found.padRight]
            : typeof chosen.pad === 'number'
              ? [chosen.pad, chosen.pad]
              : Array.isArray(chosen.pad)
                ? chosen.pad[axis]
                : [0, 0];
          const length = before + chosen.inputShape[axis + 1]! + after;
          let windows = 0;
          for (let start = 0; start < length; start += chosen.strides[axis]) {
            if (start + chosen.dilations[axis] * (chosen.kernelSize[axis] - 1) < length) windows++;
          }
          return windows;
        };
        if (found) expect([found.outHeight, found.outWidth]).toEqual([count(0), count(1)]);
        else expect(Math.min(count(0), count(1))).toBe(0);
      }),
      { numRuns: 1000 },
    );
  });

  it("gives 'same' the odd pixel at the bottom and right", () => {
    const found = resolveGeometry({
      inputShape: [1, 4, 5, 1],
      kernelSize: [2, 3],
      outChannels: 1,
      strides: 1,
      pad: 'same',
    });
    expect(found).toMatchObject({
      padTop: 0,
      padBottom: 1,
      padLeft: 1,
      padRight: 1,
      outHeight: 4,
      outWidth: 5,
    });
  });

  it('refuses what makes no sense', () => {
    const base: ConvGeometryOptions = {
      inputShape: [1, 4, 4, 2],
      kernelSize: [3, 3],
      outChannels: 2,
      strides: 1,
      pad: 'valid',
    };
    const call = (change: object) => () => resolveGeometry({ ...base, ...change });
    expect(call({ strides: 0 })).toThrow(
      new InvalidArgumentError('strides is 0; expected one or two positive integers'),
    );
    expect(call({ strides: [1, 1.5] })).toThrow('strides is [1,1.5]; expected one or two positive integers');
    expect(call({ dilations: [0, 1] })).toThrow('dilations is [0,1]; expected one or two positive integers');
    expect(call({ groups: 1.5 })).toThrow('groups is 1.5; expected a positive integer');
    expect(call({ pad: -1 })).toThrow('pad is -1; expected non-negative integers');
    expect(
      call({
        pad: [
          [0, 0.5],
          [0, 0],
        ],
      }),
    ).toThrow('pad is [[0,0.5],[0,0]]; expected non-negative integers');
    const kinds = "expected 'same', 'valid', a number or [[top, bottom], [left, right]]";
    expect(call({ pad: 'full' })).toThrow(`pad is "full"; ${kinds}`);
    expect(call({ pad: [1, 2] })).toThrow(`pad is [1,2]; ${kinds}`);
    expect(call({ pad: null })).toThrow(`pad is null; ${kinds}`);
    expect(call({ dilations: 2 })).toThrow(
      'a window of 5 (kernel 3, dilation 2) does not fit the padded input height of 4',
    );
    expect(call({ kernelSize: [1, 5] })).toThrow(
      'a window of 5 (kernel 5, dilation 1) does not fit the padded input width of 4',
    );
  });
});
