/** A safetensors file with PyTorch's parameter names: the CIFAR ResNets (akamaster) and torchvision's ResNets. */
import { fromFloat16Bits } from '@dsconv/core';
import {
  type Architecture,
  type ArchitectureConfig,
  createArchitecture,
  FileFormatError,
  findModel,
  type LayerWeights,
  type SafeTensor,
  type SafeTensors,
} from '@dsconv/models';
import type { SourceHints } from './describe-network.js';
import { foldWeights } from './fold-weights.js';
import { type SourceTensor, SourceTensors } from './source-tensors.js';

/** `DataParallel` puts this before every name. */
const PREFIX = 'module.';

/** Counters of batch normalization that training needs and nothing else. */
const IGNORED = /(^|\.)num_batches_tracked$/;

/**
 * @param wanted the architecture when the caller knows it; otherwise it is found from the names and shapes
 * @throws FileFormatError, NotFiniteError
 */
export function readTorchNetwork(
  file: SafeTensors,
  source: string,
  wanted?: ArchitectureConfig,
): { architecture: Architecture; weights: Map<string, LayerWeights>; hints: SourceHints } {
  const tensors = plainTensors(file, source);
  const architecture = detectArchitecture(tensors, source, wanted);
  if (architecture.framework !== 'pytorch') {
    throw new FileFormatError(
      source,
      `cannot be read as ${architecture.name}, whose parameters come from ${architecture.framework}; expected an architecture with PyTorch's names`,
    );
  }
  const floats = new Map([...tensors].map(([name, tensor]) => [name, widen(name, tensor, source)]));
  const taker = new SourceTensors(floats, source);
  const weights = foldWeights(architecture, taker, source);
  taker.checkAllTaken(architecture.name);
  return { architecture, weights, hints: readHints(file.metadata) };
}

function plainTensors(file: SafeTensors, source: string): Map<string, SafeTensor> {
  const tensors = new Map<string, SafeTensor>();
  for (const [original, tensor] of file.tensors) {
    const name = original.startsWith(PREFIX) ? original.slice(PREFIX.length) : original;
    if (IGNORED.test(name)) continue;
    if (tensors.has(name)) {
      throw new FileFormatError(
        source,
        `has '${name}' both with and without '${PREFIX}'; expected one of them`,
      );
    }
    tensors.set(name, tensor);
  }
  return tensors;
}

function detectArchitecture(
  tensors: ReadonlyMap<string, SafeTensor>,
  source: string,
  wanted?: ArchitectureConfig,
): Architecture {
  const shape = (name: string): readonly number[] => tensors.get(name)?.shape ?? [];
  const name = wanted?.name ?? detectName(tensors);
  if (name === null) {
    throw new FileFormatError(
      source,
      `holds ${tensors.size} tensors that belong to no known architecture; expected the names of a CIFAR ResNet (conv1, layer1.0.conv1, …, linear) or a torchvision ResNet (…, fc)`,
    );
  }
  const channels = wanted?.channels ?? shape('conv1.weight')[1];
  const classes = wanted?.classes ?? (shape('linear.weight')[0] || shape('fc.weight')[0]);
  const config: ArchitectureConfig = {
    name,
    ...(channels ? { channels } : {}),
    ...(classes ? { classes } : {}),
  };
  const built = createArchitecture(config);
  const inputSize = wanted?.inputSize ?? findModel(built)?.architecture.inputSize;
  return inputSize === undefined ? built : createArchitecture({ ...config, inputSize });
}

/** Name by the presence and number of blocks; null when it fits nothing. */
function detectName(tensors: ReadonlyMap<string, SafeTensor>): string | null {
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
    default:
      return null;
  }
}

function widen(name: string, { dtype, shape, data }: SafeTensor, source: string): SourceTensor {
  switch (dtype) {
    case 'F32':
      return { shape, data: data as Float32Array };
    case 'F64':
      return { shape, data: Float32Array.from(data as Float64Array) };
    case 'F16':
      return { shape, data: Float32Array.from(data as Uint16Array, fromFloat16Bits) };
    case 'BF16': {
      // bfloat16 is the upper half of a float32.
      const words = Uint32Array.from(data as Uint16Array, (bits) => bits * 0x10000);
      return { shape, data: new Float32Array(words.buffer) };
    }
    default:
      throw new FileFormatError(source, `tensor '${name}' is ${dtype}; expected F32, F16, BF16 or F64`);
  }
}

/** Metadata that trainers write, this project's among them; what cannot be understood is no hint. */
function readHints(metadata: ReadonlyMap<string, string>): SourceHints {
  const numbers = (key: string): number[] | undefined => {
    const values = metadata.get(key)?.split(',').map(Number);
    return values?.every(Number.isFinite) ? values : undefined;
  };
  const std = numbers('std');
  return {
    dataset: metadata.get('dataset') ?? metadata.get('task'),
    mean: numbers('mean'),
    std: std?.every((value) => value > 0) ? std : undefined,
  };
}
