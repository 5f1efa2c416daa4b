/** The zoo as data: one entry per network, by id `architecture.tag`. */
import type { ArchitectureConfig } from './architecture.js';
import { UnknownModelError } from './errors.js';
import { IMAGENET_LABELS } from './labels/imagenet.js';
import { CIFAR10_LABELS, FASHION_MNIST_LABELS } from './labels/small.js';
import type { Preprocessing } from './preprocessing.js';
import { suggest } from './suggest.js';

/** What the registry knows about a network. */
export interface ModelEntry {
  /** `architecture.tag`, such as 'resnet20.cifar10'. */
  readonly id: string;
  /** One line for people. */
  readonly title: string;
  readonly architecture: Required<ArchitectureConfig>;
  /** What it was trained on: 'ImageNet-1k', 'CIFAR-10' or 'Fashion-MNIST'. */
  readonly dataset: string;
  readonly preprocessing: Preprocessing;
  /** Class names in index order. */
  readonly labels: readonly string[];
  readonly weights: ModelWeights;
}

/** Shipped in this package, or where to find the float network to quantize. */
export type ModelWeights =
  | { readonly shipped: true; readonly licence: string }
  | { readonly shipped: false; readonly from: string };

const IMAGENET_CROP = {
  size: 224,
  channels: 3,
  resize: { mode: 'shorterSide', cropRatio: 0.875 },
  interpolation: 'bilinear',
  antialias: true,
} as const;

/** Pixels to [-1, 1], as Keras' 'tf' mode. */
const KERAS_IMAGENET: Preprocessing = { ...IMAGENET_CROP, range: [-1, 1], mean: [0, 0, 0], std: [1, 1, 1] };

/** Mean and deviation of ImageNet's colours, as torchvision's networks were trained with. */
const TORCHVISION_COLOURS = {
  range: [0, 1],
  mean: [0.485, 0.456, 0.406],
  std: [0.229, 0.224, 0.225],
} as const;

const TORCHVISION_IMAGENET: Preprocessing = { ...IMAGENET_CROP, ...TORCHVISION_COLOURS };

const CIFAR10: Preprocessing = {
  ...IMAGENET_CROP,
  ...TORCHVISION_COLOURS,
  size: 32,
  resize: { mode: 'shorterSide', cropRatio: 1 },
};

/** Mean and deviation of the 60,000 training pictures, measured by training/train_fashion_mnist.py. */
const FASHION_MNIST: Preprocessing = {
  ...IMAGENET_CROP,
  size: 28,
  channels: 1,
  resize: { mode: 'shorterSide', cropRatio: 1 },
  range: [0, 1],
  mean: [0.286041],
  std: [0.353024],
};

const ENTRIES: readonly ModelEntry[] = [
  {
    id: 'resnet20.fashion_mnist',
    title: 'ResNet-20 for Fashion-MNIST, trained and quantized by this project',
    architecture: { name: 'resnet20', inputSize: 28, channels: 1, classes: 10 },
    dataset: 'Fashion-MNIST',
    preprocessing: FASHION_MNIST,
    labels: FASHION_MNIST_LABELS,
    weights: { shipped: true, licence: 'Apache-2.0' },
  },
  ...[0.25, 0.5, 0.75, 1].map((width): ModelEntry => {
    const name = `mobilenet_v1_${Number.isInteger(width) ? width.toFixed(1) : width}`;
    return {
      id: `${name}.keras_in1k`,
      title: `MobileNet v1, width ${width}, for ImageNet-1k`,
      architecture: { name, inputSize: 224, channels: 3, classes: 1000 },
      dataset: 'ImageNet-1k',
      preprocessing: KERAS_IMAGENET,
      labels: IMAGENET_LABELS,
      weights: {
        shipped: false,
        from: `the LayersModel (model.json and shards) of MobileNet v1 224 at width ${width} that Google published for TensorFlow.js`,
      },
    };
  }),
  {
    id: 'mobilenet_v2_1.0.tv_in1k',
    title: 'MobileNet v2, width 1, for ImageNet-1k',
    architecture: { name: 'mobilenet_v2_1.0', inputSize: 224, channels: 3, classes: 1000 },
    dataset: 'ImageNet-1k',
    preprocessing: TORCHVISION_IMAGENET,
    labels: IMAGENET_LABELS,
    weights: {
      shipped: false,
      from: "torchvision's mobilenet_v2 (IMAGENET1K_V1, its state saved as safetensors)",
    },
  },
  ...[20, 32, 44, 56].map(
    (depth): ModelEntry => ({
      id: `resnet${depth}.cifar10`,
      title: `ResNet-${depth} for CIFAR-10`,
      architecture: { name: `resnet${depth}`, inputSize: 32, channels: 3, classes: 10 },
      dataset: 'CIFAR-10',
      preprocessing: CIFAR10,
      labels: CIFAR10_LABELS,
      weights: {
        shipped: false,
        from: `https://github.com/akamaster/pytorch_resnet_cifar10 (resnet${depth}, saved as safetensors)`,
      },
    }),
  ),
  ...[18, 34, 50].map(
    (depth): ModelEntry => ({
      id: `resnet${depth}.tv_in1k`,
      title: `ResNet-${depth} for ImageNet-1k`,
      architecture: { name: `resnet${depth}`, inputSize: 224, channels: 3, classes: 1000 },
      dataset: 'ImageNet-1k',
      preprocessing: TORCHVISION_IMAGENET,
      labels: IMAGENET_LABELS,
      weights: {
        shipped: false,
        from: `https://huggingface.co/timm/resnet${depth}.tv_in1k (model.safetensors)`,
      },
    }),
  ),
];

const BY_ID = new Map(ENTRIES.map((entry) => [entry.id, entry]));

/** All entries; those shipped in the package first. */
export function listModels(): readonly ModelEntry[] {
  return ENTRIES;
}

/** @throws UnknownModelError suggesting the nearest ids */
export function getModel(id: string): ModelEntry {
  const entry = BY_ID.get(id);
  if (entry) return entry;
  throw new UnknownModelError(`model '${id}' is not known; expected ${suggest(id, BY_ID.keys())}`);
}

/** The first entry of an architecture with these sizes, whose preprocessing and labels a file without its own may take. */
export function findModel(config: Required<ArchitectureConfig>): ModelEntry | undefined {
  return ENTRIES.find(({ architecture: { name, channels, classes } }) => {
    return name === config.name && channels === config.channels && classes === config.classes;
  });
}
