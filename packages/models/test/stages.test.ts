/** Sizes at every stage for the published input, as the papers' tables and torchvision have them. */
import { describe, expect, it } from 'vitest';
import { convolutionShapes, createArchitecture } from '../src/index.js';

/** By layer: `height×width×channels` after it, its pooling not counted. */
const STAGES: Record<string, Record<string, string>> = {
  // arXiv 1404.5997 as torchvision has it: 64 channels of 55×55 first.
  alexnet: {
    'features.0': '55×55×64',
    'features.3': '27×27×192',
    'features.6': '13×13×384',
    'features.8': '13×13×256',
    'features.10': '13×13×256',
    'classifier.1': '1×1×4096',
    'classifier.6': '1×1×1000',
  },
  // arXiv 1409.1556, table 1, column D.
  vgg16: {
    'features.2': '224×224×64',
    'features.7': '112×112×128',
    'features.14': '56×56×256',
    'features.21': '28×28×512',
    'features.28': '14×14×512',
    'classifier.0': '1×1×4096',
  },
  // The same, column E, with its normalizations in the numbering.
  vgg19_bn: {
    'features.3': '224×224×64',
    'features.10': '112×112×128',
    'features.23': '56×56×256',
    'features.36': '28×28×512',
    'features.49': '14×14×512',
    'classifier.6': '1×1×1000',
  },
  // arXiv 1512.03385, table 1.
  resnet34: {
    conv1: '112×112×64',
    'layer1.2.conv2': '56×56×64',
    'layer2.3.conv2': '28×28×128',
    'layer3.5.conv2': '14×14×256',
    'layer4.2.conv2': '7×7×512',
    fc: '1×1×1000',
  },
  resnet152: {
    conv1: '112×112×64',
    'layer1.2.conv3': '56×56×256',
    'layer2.7.conv3': '28×28×512',
    'layer3.35.conv3': '14×14×1024',
    'layer4.2.conv3': '7×7×2048',
  },
  // The same, section 4.2.
  resnet56: {
    conv1: '32×32×16',
    'layer1.8.conv2': '32×32×16',
    'layer2.8.conv2': '16×16×32',
    'layer3.8.conv2': '8×8×64',
  },
  // arXiv 1704.04861, table 1.
  'mobilenet_v1_1.0': {
    conv1: '112×112×32',
    conv_pw_1: '112×112×64',
    conv_dw_2: '56×56×64',
    conv_pw_3: '56×56×128',
    conv_pw_5: '28×28×256',
    conv_pw_11: '14×14×512',
    conv_pw_13: '7×7×1024',
  },
  // arXiv 1801.04381, table 2.
  'mobilenet_v2_1.0': {
    'features.0.0': '112×112×32',
    'features.1.conv.1': '112×112×16',
    'features.3.conv.2': '56×56×24',
    'features.6.conv.2': '28×28×32',
    'features.10.conv.2': '14×14×64',
    'features.13.conv.2': '14×14×96',
    'features.16.conv.2': '7×7×160',
    'features.17.conv.2': '7×7×320',
    'features.18.0': '7×7×1280',
  },
  // arXiv 1409.4842, table 1.
  googlenet: {
    conv1: '112×112×64',
    conv3: '56×56×192',
    'inception3a.branch2.1': '28×28×128',
    'inception3b.branch3.1': '28×28×96',
    'inception4a.branch1': '14×14×192',
    'inception4e.branch2.1': '14×14×320',
    'inception5b.branch1': '7×7×384',
    fc: '1×1×1000',
  },
  // arXiv 1608.06993, table 1.
  densenet121: {
    'features.conv0': '112×112×64',
    'features.denseblock1.denselayer6.conv2': '56×56×32',
    'features.transition1.conv': '56×56×128',
    'features.denseblock2.denselayer12.conv2': '28×28×32',
    'features.transition2.conv': '28×28×256',
    'features.transition3.conv': '14×14×512',
    'features.denseblock4.denselayer16.conv2': '7×7×32',
    classifier: '1×1×1000',
  },
  // The authors' prototxt of SqueezeNet 1.1; torchvision rounds its poolings up as well.
  squeezenet1_1: {
    'features.0': '111×111×64',
    'features.3.expand3x3': '55×55×64',
    'features.6.squeeze': '27×27×32',
    'features.9.expand1x1': '13×13×192',
    'features.12.expand3x3': '13×13×256',
    'classifier.1': '13×13×1000',
  },
};

describe.each(Object.entries(STAGES))('%s', (name, stages) => {
  const shapes = new Map(
    convolutionShapes(createArchitecture(name)).map(({ name: layer, geometry: g }) => [
      layer,
      `${g.outHeight}×${g.outWidth}×${g.outChannels}`,
    ]),
  );

  it.each(Object.entries(stages))('%s gives %s', (layer, expected) => {
    expect(shapes.get(layer)).toBe(expected);
  });
});
