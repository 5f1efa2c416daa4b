import { describe, expect, it } from 'vitest';
import { countParameters, createArchitecture } from '../src/index.js';

describe('parameters, to the unit', () => {
  it.each([
    // `num_params` of torchvision's weights, which counts `model.parameters()`; GoogLeNet's without the auxiliary classifiers.
    ['alexnet', 61_100_840],
    ['vgg11', 132_863_336],
    ['vgg11_bn', 132_868_840],
    ['vgg13', 133_047_848],
    ['vgg13_bn', 133_053_736],
    ['vgg16', 138_357_544],
    ['vgg16_bn', 138_365_992],
    ['vgg19', 143_667_240],
    ['vgg19_bn', 143_678_248],
    ['resnet18', 11_689_512],
    ['resnet34', 21_797_672],
    ['resnet50', 25_557_032],
    ['resnet101', 44_549_160],
    ['resnet152', 60_192_808],
    ['mobilenet_v2_1.0', 3_504_872],
    ['googlenet', 6_624_904],
    ['densenet121', 7_978_856],
    ['squeezenet1_1', 1_235_496],
  ])('%s has the %i of torchvision', (name, count) => {
    expect(countParameters(createArchitecture(name)).trainable).toBe(count);
  });

  it.each([
    // `model.summary()` of keras.applications.MobileNet: trainable and non-trainable parameters.
    ['mobilenet_v1_1.0', 4_231_976, 21_888],
    ['mobilenet_v1_0.75', 2_585_560, 16_416],
    ['mobilenet_v1_0.5', 1_331_592, 10_944],
    ['mobilenet_v1_0.25', 470_072, 5_472],
  ])('%s has the %i trainable and %i other ones of Keras', (name, trainable, statistics) => {
    expect(countParameters(createArchitecture(name))).toEqual({ trainable, statistics });
  });

  it.each([
    // Table 6 of arXiv 1512.03385, in millions to two digits.
    ['resnet20', 0.27],
    ['resnet32', 0.46],
    ['resnet44', 0.66],
    ['resnet56', 0.85],
  ])('%s has %d million as the paper says', (name, millions) => {
    const { trainable } = countParameters(createArchitecture(name));
    expect(Math.round(trainable / 1e4) / 100).toBeCloseTo(millions, 5);
  });
});
