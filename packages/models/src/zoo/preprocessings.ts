/** What the pictures looked like that the networks were trained on. */
import type { Preprocessing } from '../preprocessing.js';

const IMAGENET_CROP = {
  size: 224,
  channels: 3,
  channelOrder: 'rgb',
  resize: { mode: 'shorterSide', cropRatio: 0.875 },
  interpolation: 'bilinear',
  antialias: true,
} as const;

/** Mean and deviation of ImageNet's colours, as torchvision's networks were trained with. */
const IMAGENET_COLOURS = {
  range: [0, 1],
  mean: [0.485, 0.456, 0.406],
  std: [0.229, 0.224, 0.225],
} as const;

/** Pixels to [-1, 1], as Keras' 'tf' mode. The whole shorter side: these networks name fewer photographs right with the margin cut off. */
export const KERAS_IMAGENET: Preprocessing = {
  ...IMAGENET_CROP,
  resize: { mode: 'shorterSide', cropRatio: 1 },
  range: [-1, 1],
  mean: [0, 0, 0],
  std: [1, 1, 1],
};

/** torchvision's `ImageClassification` preset, and timm's configuration of the networks it took from there but DenseNet. */
export const TORCHVISION_IMAGENET: Preprocessing = { ...IMAGENET_CROP, ...IMAGENET_COLOURS };

/** timm's default configuration, that of its DenseNets and MobileNets v2. */
export const TIMM_IMAGENET: Preprocessing = { ...TORCHVISION_IMAGENET, interpolation: 'bicubic' };

/** torchvision's GoogLeNet came from TensorFlow: it maps its input from ImageNet's colours to [-1, 1] before all else. */
export const GOOGLENET_IMAGENET: Preprocessing = {
  ...IMAGENET_CROP,
  range: [0, 1],
  mean: [0.5, 0.5, 0.5],
  std: [0.5, 0.5, 0.5],
};

export const CIFAR10: Preprocessing = {
  ...IMAGENET_CROP,
  ...IMAGENET_COLOURS,
  size: 32,
  resize: { mode: 'shorterSide', cropRatio: 1 },
};

/** Mean and deviation of the 60,000 training pictures, measured by training/train_fashion_mnist.py. */
export const FASHION_MNIST: Preprocessing = {
  ...IMAGENET_CROP,
  size: 28,
  channels: 1,
  resize: { mode: 'shorterSide', cropRatio: 1 },
  range: [0, 1],
  mean: [0.286041],
  std: [0.353024],
};
