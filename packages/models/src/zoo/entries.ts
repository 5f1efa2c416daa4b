/** The zoo as data: one entry per network, those shipped in the package first. */
import { IMAGENET_LABELS } from '../labels/imagenet.js';
import { CIFAR10_LABELS, FASHION_MNIST_LABELS } from '../labels/small.js';
import { CIFAR_RESNET_DEPTHS } from '../nets/cifar-resnet.js';
import { RESNET_DEPTHS } from '../nets/resnet.js';
import { VGG_DEPTHS } from '../nets/vgg.js';
import type { Preprocessing } from '../preprocessing.js';
import type { ModelEntry, ModelWeights } from './model-entry.js';
import {
  CIFAR10,
  FASHION_MNIST,
  GOOGLENET_IMAGENET,
  KERAS_IMAGENET,
  TIMM_IMAGENET,
  TORCHVISION_IMAGENET,
} from './preprocessings.js';

/** An entry for ImageNet-1k's thousand classes. */
function imagenet(
  id: string,
  title: string,
  preprocessing: Preprocessing,
  weights: ModelWeights,
): ModelEntry {
  const name = id.slice(0, id.lastIndexOf('.'));
  return {
    id,
    title: `${title} for ImageNet-1k`,
    architecture: { name, inputSize: 224, channels: 3, classes: 1000 },
    dataset: 'ImageNet-1k',
    preprocessing,
    labels: IMAGENET_LABELS,
    weights,
  };
}

/** Weights that timm published on the Hugging Face hub, with the licence that its configuration of the network states. */
function timm(repository: string, licence: string): ModelWeights {
  return {
    shipped: false,
    licence,
    from: `https://huggingface.co/timm/${repository} (model.safetensors)`,
    download: {
      kind: 'safetensors',
      repository: `timm/${repository}`,
      revision: 'main',
      file: 'model.safetensors',
      sha256: null,
    },
  };
}

/** torchvision's weights of which no safetensors file is published by their authors. */
function torchvision(name: string): ModelWeights {
  return {
    shipped: false,
    licence: 'BSD-3-Clause',
    from: `torchvision's ${name} (IMAGENET1K_V1, its state saved as safetensors)`,
    download: null,
  };
}

/** The width as the file's address has it, and as our architecture's name has it. */
const MOBILENET_V1_WIDTHS = [
  ['0.25', '0.25'],
  ['0.50', '0.5'],
  ['0.75', '0.75'],
  ['1.0', '1.0'],
] as const;

export const ENTRIES: readonly ModelEntry[] = [
  {
    id: 'resnet20.fashion_mnist',
    title: 'ResNet-20 for Fashion-MNIST, trained and quantized by this project',
    architecture: { name: 'resnet20', inputSize: 28, channels: 1, classes: 10 },
    dataset: 'Fashion-MNIST',
    preprocessing: FASHION_MNIST,
    labels: FASHION_MNIST_LABELS,
    weights: {
      shipped: true,
      licence: 'Apache-2.0',
      source:
        'trained from scratch by packages/models/training on the 60,000 training pictures of Fashion-MNIST',
      sourceSha256: 'f0bcec3454adaa68dab1001ba0f0d17f47f8862b8e235accd2e64f6d1cdd8597',
    },
  },
  imagenet('alexnet.tv_in1k', 'AlexNet', TORCHVISION_IMAGENET, torchvision('alexnet')),
  ...VGG_DEPTHS.flatMap((depth) => [
    imagenet(
      `vgg${depth}.tv_in1k`,
      `VGG-${depth}`,
      TORCHVISION_IMAGENET,
      timm(`vgg${depth}.tv_in1k`, 'BSD-3-Clause'),
    ),
    imagenet(
      `vgg${depth}_bn.tv_in1k`,
      `VGG-${depth} with batch normalization`,
      TORCHVISION_IMAGENET,
      timm(`vgg${depth}_bn.tv_in1k`, 'BSD-3-Clause'),
    ),
  ]),
  ...RESNET_DEPTHS.map((depth) =>
    imagenet(
      `resnet${depth}.tv_in1k`,
      `ResNet-${depth}`,
      TORCHVISION_IMAGENET,
      timm(`resnet${depth}.tv_in1k`, 'BSD-3-Clause'),
    ),
  ),
  ...MOBILENET_V1_WIDTHS.map(([published, width]) =>
    imagenet(`mobilenet_v1_${width}.keras_in1k`, `MobileNet v1, width ${width},`, KERAS_IMAGENET, {
      shipped: false,
      licence: 'Apache-2.0',
      from: `the LayersModel of MobileNet v1 224 at width ${width} that Google published for TensorFlow.js (model.json and shards)`,
      download: {
        kind: 'layersModel',
        base: 'https://storage.googleapis.com',
        path: `tfjs-models/tfjs/mobilenet_v1_${published}_224/model.json`,
      },
    }),
  ),
  imagenet(
    'mobilenet_v2_1.0.tv_in1k',
    'MobileNet v2, width 1.0,',
    TORCHVISION_IMAGENET,
    torchvision('mobilenet_v2'),
  ),
  imagenet(
    'mobilenet_v2_1.0.ra_in1k',
    'MobileNet v2, width 1.0, trained by timm with RandAugment,',
    TIMM_IMAGENET,
    timm('mobilenetv2_100.ra_in1k', 'Apache-2.0'),
  ),
  imagenet('googlenet.tv_in1k', 'GoogLeNet', GOOGLENET_IMAGENET, torchvision('googlenet')),
  imagenet('densenet121.tv_in1k', 'DenseNet-121', TIMM_IMAGENET, timm('densenet121.tv_in1k', 'Apache-2.0')),
  imagenet('squeezenet1_1.tv_in1k', 'SqueezeNet 1.1', TORCHVISION_IMAGENET, torchvision('squeezenet1_1')),
  ...CIFAR_RESNET_DEPTHS.map(
    (depth): ModelEntry => ({
      id: `resnet${depth}.cifar10`,
      title: `ResNet-${depth} for CIFAR-10`,
      architecture: { name: `resnet${depth}`, inputSize: 32, channels: 3, classes: 10 },
      dataset: 'CIFAR-10',
      preprocessing: CIFAR10,
      labels: CIFAR10_LABELS,
      weights: {
        shipped: false,
        licence: 'BSD-2-Clause',
        from: `https://github.com/akamaster/pytorch_resnet_cifar10 (resnet${depth}, saved as safetensors)`,
        download: null,
      },
    }),
  ),
];
