/** Which zoo network a PyTorch state dictionary holds, whichever library named its parameters. */
import {
  ARCHITECTURE_NAMES,
  type ArchitectureConfig,
  createArchitecture,
  type SafeTensor,
} from '@dsconv/models';

type Tensors = ReadonlyMap<string, SafeTensor>;

/** `DataParallel` puts this before every name. */
const PREFIX = 'module.';

/** Counters of batch normalization that training needs and nothing else. */
const COUNTER = /(^|\.)num_batches_tracked$/;

/** timm's names of VGG's dense layers, which it stores as convolutions; torchvision flattens their kernels. */
const VGG_DENSE: Readonly<Record<string, string>> = {
  'pre_logits.fc1': 'classifier.0',
  'pre_logits.fc2': 'classifier.3',
  'head.fc': 'classifier.6',
};

/** Repetitions of MobileNet v2's stages: timm counts its blocks by stage, torchvision through. */
const MOBILENET_STAGES = [1, 2, 3, 4, 3, 3, 1];

/** Where timm's modules of an inverted residual stand in torchvision's sequence; the first stage has no expansion. */
const INVERTED_RESIDUAL: Readonly<Record<string, string>> = {
  conv_pw: '0.0',
  bn1: '0.1',
  conv_dw: '1.0',
  bn2: '1.1',
  conv_pwl: '2',
  bn3: '3',
};
const SEPARABLE: Readonly<Record<string, string>> = { conv_dw: '0.0', bn1: '0.1', conv_pw: '1', bn2: '2' };

const MOBILENET_ENDS: Readonly<Record<string, string>> = {
  conv_stem: 'features.0.0',
  bn1: 'features.0.1',
  conv_head: 'features.18.0',
  bn2: 'features.18.1',
  classifier: 'classifier.1',
};

/**
 * The tensors that inference needs, by torchvision's names: prefixes of wrappers and counters dropped, timm's VGG and MobileNet v2 and the
 * older DenseNets renamed.
 *
 * @param onTwice called when two tensors get the same name
 */
export function torchvisionTensors(
  tensors: Tensors,
  onTwice: (name: string) => never,
): Map<string, SafeTensor> {
  const rename = renamerFor(tensors);
  const found = new Map<string, SafeTensor>();
  for (const [original, tensor] of tensors) {
    const plain = original.startsWith(PREFIX) ? original.slice(PREFIX.length) : original;
    if (COUNTER.test(plain)) continue;
    const name = rename(plain);
    if (found.has(name)) onTwice(name);
    // A dense layer stored as a convolution has its values in the same order.
    const isFlattened = name !== plain && name.startsWith('classifier.') && tensor.shape.length === 4;
    const [outputs = 0, ...inputs] = tensor.shape;
    const shape = isFlattened ? [outputs, inputs.reduce((a, b) => a * b, 1)] : tensor.shape;
    found.set(name, { ...tensor, shape });
  }
  return found;
}

function renamerFor(tensors: Tensors): (name: string) => string {
  const has = (name: string): boolean => tensors.has(name) || tensors.has(`${PREFIX}${name}`);
  if (has('pre_logits.fc1.weight')) return (name) => renameModule(name, VGG_DENSE);
  if (has('conv_stem.weight') && has('blocks.1.0.conv_pwl.weight')) return renameMobileNet;
  // Before its names followed Python's rules, torchvision wrote 'norm.1' for 'norm1'.
  return (name) => name.replace(/(\.denselayer\d+\.(?:norm|conv))\.([12]\.)/, '$1$2');
}

function renameModule(name: string, modules: Readonly<Record<string, string>>): string {
  const dot = name.lastIndexOf('.');
  const module = name.slice(0, dot);
  return Object.hasOwn(modules, module) ? `${modules[module]}${name.slice(dot)}` : name;
}

function renameMobileNet(name: string): string {
  const [, stage, n, part, rest] = /^blocks\.(\d+)\.(\d+)\.(\w+)(\..+)$/.exec(name) ?? [];
  if (part === undefined) return renameModule(name, MOBILENET_ENDS);
  const parts = stage === '0' ? SEPARABLE : INVERTED_RESIDUAL;
  if (!Object.hasOwn(parts, part)) return name;
  const before = MOBILENET_STAGES.slice(0, Number(stage)).reduce((a, b) => a + b, 0);
  return `features.${before + Number(n) + 1}.conv.${parts[part]}${rest}`;
}

/**
 * The architecture with the largest part of its names among the tensors', also behind prefixes such as 'model.', and the first of its names that
 * is missing. Null where none has a name there.
 */
export function nearestArchitecture(tensors: Tensors): { name: string; missing: string } | null {
  const known = new Set<string>();
  for (const tensor of tensors.keys()) {
    const parts = tensor.split('.');
    // Deeper prefixes than this no library writes, and a name may be a megabyte of dots.
    for (let first = 0; first < Math.min(parts.length, 4); first++) known.add(parts.slice(first).join('.'));
  }
  let best: { name: string; missing: string } | null = null;
  let most = 0;
  for (const name of ARCHITECTURE_NAMES) {
    const { framework, layers } = createArchitecture(name);
    if (framework !== 'pytorch') continue;
    const names = layers.map(({ source }) => source.weight);
    const missing = names.find((wanted) => !tensors.has(wanted));
    const share = names.filter((wanted) => known.has(wanted)).length / names.length;
    if (missing === undefined || share <= most) continue;
    most = share;
    best = { name, missing };
  }
  return best;
}

/** Name and free sizes of the architecture; null when the tensors fit none. */
export function detectArchitecture(tensors: Tensors): ArchitectureConfig | null {
  const name =
    detectResNet(tensors) ??
    detectMobileNetV2(tensors) ??
    detectSequential(tensors) ??
    detectBranching(tensors);
  return name === null ? null : { name, ...freeSizes(name, tensors) };
}

/** Channels and classes as the first and the last layer have them. */
export function freeSizes(name: string, tensors: Tensors): { channels?: number; classes?: number } {
  const { layers } = createArchitecture(name);
  const side = (layer: (typeof layers)[number] | undefined, axis: number): number | undefined =>
    layer && tensors.get(layer.source.weight)?.shape[axis];
  const channels = side(layers[0], 1);
  const classes = side(
    layers.find(({ role }) => role === 'classifier'),
    0,
  );
  return { ...(channels ? { channels } : {}), ...(classes ? { classes } : {}) };
}

/** By the number of blocks per stage. */
function detectResNet(tensors: Tensors): string | null {
  const blocks = (stage: number): number => {
    let count = 0;
    while (tensors.has(`layer${stage}.${count}.conv1.weight`)) count++;
    return count;
  };
  if (tensors.has('linear.weight') && !tensors.has('layer4.0.conv1.weight')) {
    const depth = 6 * blocks(1) + 2;
    return [20, 32, 44, 56].includes(depth) ? `resnet${depth}` : null;
  }
  if (!tensors.has('fc.weight')) return null;
  const bottleneck = tensors.has('layer1.0.conv3.weight');
  switch (`${[1, 2, 3, 4].map(blocks).join()} ${bottleneck}`) {
    case '2,2,2,2 false':
      return 'resnet18';
    case '3,4,6,3 false':
      return 'resnet34';
    case '3,4,6,3 true':
      return 'resnet50';
    case '3,4,23,3 true':
      return 'resnet101';
    case '3,8,36,3 true':
      return 'resnet152';
    default:
      return null;
  }
}

/** Widths that were published; several can have the same stem, so the last blocks decide. */
const MOBILENET_WIDTHS = ['0.25', '0.35', '0.5', '0.75', '1.0', '1.1', '1.2', '1.3', '1.4'];

/** Whatever else someone may have trained; of several with the same channels the narrowest, which is the same network. */
const OTHER_WIDTHS = Array.from({ length: 296 }, (_, n) => ((n + 5) / 100).toFixed(2));

function detectMobileNetV2(tensors: Tensors): string | null {
  if (!tensors.has('features.1.conv.0.0.weight') || !tensors.has('features.18.0.weight')) return null;
  const outputs = (name: string): number | undefined => tensors.get(`${name}.weight`)?.shape[0];
  const fits = (width: string): boolean =>
    createArchitecture(`mobilenet_v2_${width}`).layers.every(
      ({ name, kind, shape }) => kind !== 'conv2d' || outputs(name) === shape[3],
    );
  const width = MOBILENET_WIDTHS.find(fits) ?? OTHER_WIDTHS.find(fits);
  return width === undefined ? null : `mobilenet_v2_${width}`;
}

/** AlexNet and VGG: a sequence of features, then three dense layers. */
function detectSequential(tensors: Tensors): string | null {
  if (tensors.get('classifier.6.weight')?.shape.length !== 2) return null;
  const convolutions = [...tensors].filter(
    ([name, { shape }]) => /^features\.\d+\.weight$/.test(name) && shape.length === 4,
  );
  const kernel = tensors.get('features.0.weight')?.shape[2];
  if (kernel === 11 && convolutions.length === 5) return 'alexnet';
  const depth = convolutions.length + 3;
  if (kernel !== 3 || ![11, 13, 16, 19].includes(depth)) return null;
  return tensors.has('features.1.running_mean') ? `vgg${depth}_bn` : `vgg${depth}`;
}

function detectBranching(tensors: Tensors): string | null {
  const has = (name: string): boolean => tensors.has(`${name}.weight`);
  if (has('inception5b.branch4.1.conv')) return 'googlenet';
  if (has('features.12.expand3x3') && tensors.get('features.0.weight')?.shape[2] === 3)
    return 'squeezenet1_1';
  const denseBlocks = [6, 12, 24, 16].every((count, n) => {
    const layer = (index: number): boolean => has(`features.denseblock${n + 1}.denselayer${index}.conv1`);
    return layer(count) && !layer(count + 1);
  });
  return denseBlocks ? 'densenet121' : null;
}
