/** Pictures that are too small for a network are a sentence, not a crash. */
import { BACKEND_NAME } from '@dsconv/backend-cpu';
import { getDSConvBackend, InvalidArgumentError } from '@dsconv/core';
import { setBackend, type Tensor4D, zeros } from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  ARCHITECTURE_NAMES,
  createArchitecture,
  getModel,
  Network,
  randomQuantizedParameters,
  smallestInputSize,
} from '../src/index.js';
import { checkInputSize } from '../src/input-size.js';

const { preprocessing } = getModel('resnet20.cifar10');

beforeAll(() => setBackend(getDSConvBackend(BACKEND_NAME)!.pinTier!('wasm-simd')));

describe('the smallest picture', () => {
  it.each([
    ['alexnet', 63],
    ['vgg11', 32],
    ['vgg19_bn', 32],
    ['googlenet', 15],
    ['densenet121', 29],
    ['squeezenet1_1', 17],
    ['resnet18', 1],
    ['resnet20', 1],
    ['mobilenet_v1_1.0', 1],
    ['mobilenet_v2_1.0', 1],
  ])('of %s has %i pixels a side', (name, side) => {
    expect(smallestInputSize(createArchitecture(name))).toBe(side);
  });

  it('is no larger than what the network was made for', () => {
    for (const name of ARCHITECTURE_NAMES) {
      const architecture = createArchitecture(name);
      expect(smallestInputSize(architecture)).toBeLessThanOrEqual(architecture.inputSize);
    }
  });

  // VGG's hundred million dense weights would take seconds, and its size is decided by the same functions.
  it.each(['alexnet', 'googlenet', 'densenet121', 'squeezenet1_1', 'resnet18', 'mobilenet_v1_0.25'])(
    'is read by %s, and one smaller is an InvalidArgumentError',
    (name) => {
      const architecture = createArchitecture({ name, classes: 3 });
      const weights = randomQuantizedParameters(architecture, 1, { bits: 2, blockSize: 64 });
      const network = new Network({ architecture, weights, preprocessing });
      const side = smallestInputSize(architecture);
      const logits = network.logits(zeros([1, side, side, 3]) as Tensor4D);
      expect(logits.shape).toEqual([1, 3]);
      expect(logits.dataSync().every(Number.isFinite)).toBe(true);
      if (side > 1) {
        const run = () => network.logits(zeros([1, side, side - 1, 3]) as Tensor4D);
        expect(run).toThrow(InvalidArgumentError);
        expect(run).toThrow(`x has pictures of ${side}×${side - 1} pixels, too few for ${name} (`);
        expect(run).toThrow(`); expected ${side}×${side} or more`);
      }
      network.dispose();
    },
  );

  it('is told for pooling and for convolutions', () => {
    const check = (name: string, height: number, width: number) => () =>
      checkInputSize(createArchitecture(name), { height, width });
    expect(check('vgg16', 31, 400)).toThrow(/\(a pooling window of 2 does not fit 1×25 pixels padded by 0\)/);
    expect(check('alexnet', 5, 5)).toThrow(/\(a window of 11 .* does not fit the padded input height of 9\)/);
    expect(check('vgg16', 32, 400)).not.toThrow();
  });
});
