/**
 * torchvision's networks (and akamaster's for CIFAR-10) in evaluation, written down from their definitions and from nothing of this project:
 * what the zoo's forward functions and parameter names are held against. Inputs are NCHW, 3 channels.
 */
import { TorchModules } from './modules.js';

/** Adds a network to `m` and returns its logits. `side` is the input's. */
export type TorchNetwork = (m: TorchModules, x: string, classes: number, side: number) => string;

const alexnet: TorchNetwork = (m, input, classes, side) => {
  let x = m.relu(m.conv(input, 'features.0', 3, 64, 11, { stride: 4, padding: 2, bias: true }));
  x = m.maxPool(x, 3, 2);
  x = m.relu(m.conv(x, 'features.3', 64, 192, 5, { padding: 2, bias: true }));
  x = m.maxPool(x, 3, 2);
  x = m.relu(m.conv(x, 'features.6', 192, 384, 3, { padding: 1, bias: true }));
  x = m.relu(m.conv(x, 'features.8', 384, 256, 3, { padding: 1, bias: true }));
  x = m.relu(m.conv(x, 'features.10', 256, 256, 3, { padding: 1, bias: true }));
  x = m.maxPool(x, 3, 2);
  const pool = (n: number): number => Math.floor((n - 3) / 2) + 1;
  x = m.flatten(m.adaptiveAveragePool(x, pool(pool(pool(Math.floor((side - 7) / 4) + 1))), 6));
  x = m.relu(m.linear(x, 'classifier.1', 256 * 36, 4096));
  x = m.relu(m.linear(x, 'classifier.4', 4096, 4096));
  return m.linear(x, 'classifier.6', 4096, classes);
};

const VGG = {
  A: [64, 'M', 128, 'M', 256, 256, 'M', 512, 512, 'M', 512, 512, 'M'],
  D: [64, 64, 'M', 128, 128, 'M', 256, 256, 256, 'M', 512, 512, 512, 'M', 512, 512, 512, 'M'],
  E: [64, 64, 'M', 128, 128, 'M', 256, 256, 256, 256, 'M', 512, 512, 512, 512, 'M', 512, 512, 512, 512, 'M'],
} as const;

/** @param timm with the names and shapes that timm gave the dense layers */
const vgg =
  (configuration: keyof typeof VGG, batchNorm: boolean, timm = false): TorchNetwork =>
  (m, input, classes, side) => {
    let x = input;
    let module = 0;
    let channels = 3;
    for (const entry of VGG[configuration]) {
      if (entry === 'M') {
        x = m.maxPool(x, 2, 2);
        module++;
        continue;
      }
      x = m.conv(x, `features.${module++}`, channels, entry, 3, { padding: 1, bias: true });
      if (batchNorm) x = m.norm(x, `features.${module++}`, entry);
      x = m.relu(x);
      module++;
      channels = entry;
    }
    x = m.adaptiveAveragePool(x, side / 32, 7);
    if (timm) {
      x = m.relu(m.conv(x, 'pre_logits.fc1', 512, 4096, 7, { bias: true }));
      x = m.relu(m.conv(x, 'pre_logits.fc2', 4096, 4096, 1, { bias: true }));
      return m.linear(m.flatten(m.globalAveragePool(x)), 'head.fc', 4096, classes);
    }
    x = m.relu(m.linear(m.flatten(x), 'classifier.0', 512 * 49, 4096));
    x = m.relu(m.linear(x, 'classifier.3', 4096, 4096));
    return m.linear(x, 'classifier.6', 4096, classes);
  };

const googlenet: TorchNetwork = (m, input, classes) => {
  const basic = (x: string, name: string, inputs: number, outputs: number, kernel: number, options = {}) =>
    m.relu(m.norm(m.conv(x, `${name}.conv`, inputs, outputs, kernel, options), `${name}.bn`, outputs, 0.001));
  const inception = (x: string, name: string, inputs: number, c: readonly number[]): string =>
    m.cat([
      basic(x, `${name}.branch1`, inputs, c[0]!, 1),
      basic(basic(x, `${name}.branch2.0`, inputs, c[1]!, 1), `${name}.branch2.1`, c[1]!, c[2]!, 3, {
        padding: 1,
      }),
      basic(basic(x, `${name}.branch3.0`, inputs, c[3]!, 1), `${name}.branch3.1`, c[3]!, c[4]!, 3, {
        padding: 1,
      }),
      basic(m.maxPool(x, 3, 1, { padding: 1, ceil: true }), `${name}.branch4.1`, inputs, c[5]!, 1),
    ]);
  let x = m.maxPool(basic(input, 'conv1', 3, 64, 7, { stride: 2, padding: 3 }), 3, 2, { ceil: true });
  x = basic(basic(x, 'conv2', 64, 64, 1), 'conv3', 64, 192, 3, { padding: 1 });
  x = m.maxPool(x, 3, 2, { ceil: true });
  x = inception(x, 'inception3a', 192, [64, 96, 128, 16, 32, 32]);
  x = inception(x, 'inception3b', 256, [128, 128, 192, 32, 96, 64]);
  x = m.maxPool(x, 3, 2, { ceil: true });
  x = inception(x, 'inception4a', 480, [192, 96, 208, 16, 48, 64]);
  x = inception(x, 'inception4b', 512, [160, 112, 224, 24, 64, 64]);
  x = inception(x, 'inception4c', 512, [128, 128, 256, 24, 64, 64]);
  x = inception(x, 'inception4d', 512, [112, 144, 288, 32, 64, 64]);
  x = inception(x, 'inception4e', 528, [256, 160, 320, 32, 128, 128]);
  x = m.maxPool(x, 2, 2, { ceil: true });
  x = inception(x, 'inception5a', 832, [256, 160, 320, 32, 128, 128]);
  x = inception(x, 'inception5b', 832, [384, 192, 384, 48, 128, 128]);
  return m.linear(m.flatten(m.globalAveragePool(x)), 'fc', 1024, classes);
};

const densenet121: TorchNetwork = (m, input, classes) => {
  let x = m.conv(input, 'features.conv0', 3, 64, 7, { stride: 2, padding: 3 });
  x = m.maxPool(m.relu(m.norm(x, 'features.norm0', 64)), 3, 2, { padding: 1 });
  let channels = 64;
  [6, 12, 24, 16].forEach((layers, index) => {
    for (let n = 1; n <= layers; n++) {
      const layer = `features.denseblock${index + 1}.denselayer${n}`;
      let y = m.conv(m.relu(m.norm(x, `${layer}.norm1`, channels)), `${layer}.conv1`, channels, 128, 1);
      y = m.conv(m.relu(m.norm(y, `${layer}.norm2`, 128)), `${layer}.conv2`, 128, 32, 3, { padding: 1 });
      x = m.cat([x, y]);
      channels += 32;
    }
    if (index === 3) return;
    const transition = `features.transition${index + 1}`;
    x = m.conv(
      m.relu(m.norm(x, `${transition}.norm`, channels)),
      `${transition}.conv`,
      channels,
      channels / 2,
      1,
    );
    x = m.averagePool(x, 2);
    channels /= 2;
  });
  x = m.relu(m.norm(x, 'features.norm5', channels));
  return m.linear(m.flatten(m.globalAveragePool(x)), 'classifier', channels, classes);
};

const squeezenet: TorchNetwork = (m, input, classes) => {
  const fire = (x: string, name: string, inputs: number, squeeze: number, expand: number): string => {
    const y = m.relu(m.conv(x, `${name}.squeeze`, inputs, squeeze, 1, { bias: true }));
    return m.cat([
      m.relu(m.conv(y, `${name}.expand1x1`, squeeze, expand, 1, { bias: true })),
      m.relu(m.conv(y, `${name}.expand3x3`, squeeze, expand, 3, { padding: 1, bias: true })),
    ]);
  };
  const pool = (x: string): string => m.maxPool(x, 3, 2, { ceil: true });
  let x = pool(m.relu(m.conv(input, 'features.0', 3, 64, 3, { stride: 2, bias: true })));
  x = fire(fire(x, 'features.3', 64, 16, 64), 'features.4', 128, 16, 64);
  x = fire(fire(pool(x), 'features.6', 128, 32, 128), 'features.7', 256, 32, 128);
  x = fire(fire(pool(x), 'features.9', 256, 48, 192), 'features.10', 384, 48, 192);
  x = fire(fire(x, 'features.11', 384, 64, 256), 'features.12', 512, 64, 256);
  return m.flatten(m.globalAveragePool(m.relu(m.conv(x, 'classifier.1', 512, classes, 1, { bias: true }))));
};

const resnet =
  (blocks: readonly number[], bottleneck: boolean): TorchNetwork =>
  (m, input, classes) => {
    let x = m.norm(m.conv(input, 'conv1', 3, 64, 7, { stride: 2, padding: 3 }), 'bn1', 64);
    x = m.maxPool(m.relu(x), 3, 2, { padding: 1 });
    let channels = 64;
    blocks.forEach((count, stage) => {
      const width = 64 << stage;
      const outputs = bottleneck ? 4 * width : width;
      for (let n = 0; n < count; n++) {
        const name = `layer${stage + 1}.${n}`;
        const stride = stage > 0 && n === 0 ? 2 : 1;
        const shortcut =
          stride !== 1 || channels !== outputs
            ? m.norm(
                m.conv(x, `${name}.downsample.0`, channels, outputs, 1, { stride }),
                `${name}.downsample.1`,
                outputs,
              )
            : x;
        let y: string;
        if (bottleneck) {
          y = m.relu(m.norm(m.conv(x, `${name}.conv1`, channels, width, 1), `${name}.bn1`, width));
          y = m.relu(
            m.norm(m.conv(y, `${name}.conv2`, width, width, 3, { stride, padding: 1 }), `${name}.bn2`, width),
          );
          y = m.norm(m.conv(y, `${name}.conv3`, width, outputs, 1), `${name}.bn3`, outputs);
        } else {
          y = m.conv(x, `${name}.conv1`, channels, width, 3, { stride, padding: 1 });
          y = m.relu(m.norm(y, `${name}.bn1`, width));
          y = m.norm(m.conv(y, `${name}.conv2`, width, width, 3, { padding: 1 }), `${name}.bn2`, width);
        }
        x = m.relu(m.add(y, shortcut));
        channels = outputs;
      }
    });
    return m.linear(m.flatten(m.globalAveragePool(x)), 'fc', channels, classes);
  };

const cifarResnet =
  (depth: number): TorchNetwork =>
  (m, input, classes) => {
    let x = m.relu(m.norm(m.conv(input, 'conv1', 3, 16, 3, { padding: 1 }), 'bn1', 16));
    [16, 32, 64].forEach((channels, stage) => {
      for (let n = 0; n < (depth - 2) / 6; n++) {
        const name = `layer${stage + 1}.${n}`;
        const shrinks = stage > 0 && n === 0;
        const inputs = shrinks ? channels / 2 : channels;
        const stride = shrinks ? 2 : 1;
        let y = m.conv(x, `${name}.conv1`, inputs, channels, 3, { stride, padding: 1 });
        y = m.relu(m.norm(y, `${name}.bn1`, channels));
        y = m.norm(
          m.conv(y, `${name}.conv2`, channels, channels, 3, { padding: 1 }),
          `${name}.bn2`,
          channels,
        );
        if (shrinks) {
          // x[:, :, ::2, ::2], padded with a quarter of the new channels on either side.
          const [starts, ends, axes, steps] = [
            [0, 0],
            [1e6, 1e6],
            [2, 3],
            [2, 2],
          ].map((v) => m.graph.integers(v));
          x = m.graph.node('Slice', [x, starts!, ends!, axes!, steps!]);
          x = m.graph.node('Pad', [x, m.graph.integers([0, channels / 4, 0, 0, 0, channels / 4, 0, 0])]);
        }
        x = m.relu(m.add(y, x));
      }
    });
    return m.linear(m.flatten(m.globalAveragePool(x)), 'linear', 64, classes);
  };

/** Expansion, channels, repetitions, stride. */
const INVERTED = [
  [1, 16, 1, 1],
  [6, 24, 2, 2],
  [6, 32, 3, 2],
  [6, 64, 4, 2],
  [6, 96, 3, 1],
  [6, 160, 3, 2],
  [6, 320, 1, 1],
] as const;

/** The names of a block's modules, which differ between the two libraries. */
interface BlockNames {
  expand: readonly [string, string];
  depthwise: readonly [string, string];
  project: readonly [string, string];
}

const torchvisionNames = (n: number, _stage: number, _n: number, expands: boolean): BlockNames => {
  const conv = `features.${n}.conv`;
  return expands
    ? {
        expand: [`${conv}.0.0`, `${conv}.0.1`],
        depthwise: [`${conv}.1.0`, `${conv}.1.1`],
        project: [`${conv}.2`, `${conv}.3`],
      }
    : { expand: ['', ''], depthwise: [`${conv}.0.0`, `${conv}.0.1`], project: [`${conv}.1`, `${conv}.2`] };
};

const timmNames = (_n: number, stage: number, n: number, expands: boolean): BlockNames => {
  const block = `blocks.${stage}.${n}`;
  return expands
    ? {
        expand: [`${block}.conv_pw`, `${block}.bn1`],
        depthwise: [`${block}.conv_dw`, `${block}.bn2`],
        project: [`${block}.conv_pwl`, `${block}.bn3`],
      }
    : {
        expand: ['', ''],
        depthwise: [`${block}.conv_dw`, `${block}.bn1`],
        project: [`${block}.conv_pw`, `${block}.bn2`],
      };
};

const mobilenetV2 =
  (timm = false): TorchNetwork =>
  (m, input, classes) => {
    const names = timm ? timmNames : torchvisionNames;
    const stem = timm ? ['conv_stem', 'bn1'] : ['features.0.0', 'features.0.1'];
    const head = timm ? ['conv_head', 'bn2'] : ['features.18.0', 'features.18.1'];
    let x = m.relu6(m.norm(m.conv(input, stem[0]!, 3, 32, 3, { stride: 2, padding: 1 }), stem[1]!, 32));
    let channels = 32;
    let count = 0;
    INVERTED.forEach(([expansion, outputs, repetitions, firstStride], stage) => {
      for (let n = 0; n < repetitions; n++) {
        const stride = n === 0 ? firstStride : 1;
        const wide = channels * expansion;
        const { expand, depthwise, project } = names(++count, stage, n, expansion > 1);
        let y = x;
        if (expansion > 1) y = m.relu6(m.norm(m.conv(y, expand[0], channels, wide, 1), expand[1], wide));
        y = m.conv(y, depthwise[0], wide, wide, 3, { stride, padding: 1, groups: wide });
        y = m.conv(m.relu6(m.norm(y, depthwise[1], wide)), project[0], wide, outputs, 1);
        y = m.norm(y, project[1], outputs);
        x = stride === 1 && channels === outputs ? m.add(x, y) : y;
        channels = outputs;
      }
    });
    x = m.relu6(m.norm(m.conv(x, head[0]!, 320, 1280, 1), head[1]!, 1280));
    return m.linear(m.flatten(m.globalAveragePool(x)), timm ? 'classifier' : 'classifier.1', 1280, classes);
  };

/** By what a state dictionary's file would be called. */
export const TORCH_NETWORKS = {
  alexnet,
  vgg11: vgg('A', false),
  vgg16_bn: vgg('D', true),
  vgg19: vgg('E', false),
  'vgg11 of timm': vgg('A', false, true),
  googlenet,
  densenet121,
  squeezenet1_1: squeezenet,
  resnet18: resnet([2, 2, 2, 2], false),
  resnet34: resnet([3, 4, 6, 3], false),
  resnet50: resnet([3, 4, 6, 3], true),
  resnet101: resnet([3, 4, 23, 3], true),
  'cifar resnet20': cifarResnet(20),
  'cifar resnet56': cifarResnet(56),
  mobilenet_v2: mobilenetV2(),
  'mobilenetv2_100 of timm': mobilenetV2(true),
} satisfies Record<string, TorchNetwork>;

/** Builds a network: its ONNX file and its state dictionary. */
export function buildTorchNetwork(
  name: keyof typeof TORCH_NETWORKS,
  batch: number,
  side: number,
  classes: number,
) {
  const modules = new TorchModules(name.length * 7919 + 17);
  const logits = TORCH_NETWORKS[name](modules, 'x', classes, side);
  return { onnx: modules.graph.finish([batch, 3, side, side], logits), state: modules.state };
}
