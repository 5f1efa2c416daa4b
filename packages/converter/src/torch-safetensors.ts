/** A safetensors file with PyTorch's parameter names: torchvision's networks, also by timm's names, and the CIFAR ResNets (akamaster). */
import { fromFloat16Bits } from '@dsconv/core';
import {
  type Architecture,
  type ArchitectureConfig,
  createArchitecture,
  FileFormatError,
  findModel,
  type LayerWeights,
  nearest,
  type SafeTensor,
  type SafeTensors,
} from '@dsconv/models';
import type { SourceHints } from './describe-network.js';
import { foldWeights } from './fold-weights.js';
import { type SourceTensor, SourceTensors } from './source-tensors.js';
import { detectArchitecture, freeSizes, nearestArchitecture, torchvisionTensors } from './torch-names.js';

const KNOWN = 'a ResNet, VGG, AlexNet, GoogLeNet, DenseNet-121, SqueezeNet 1.1, MobileNet v2 or CIFAR ResNet';

/**
 * @param wanted the architecture when the caller knows it; otherwise it is found from the names and shapes
 * @throws FileFormatError, NotFiniteError
 */
export function readTorchNetwork(
  file: SafeTensors,
  source: string,
  wanted?: ArchitectureConfig,
): { architecture: Architecture; weights: Map<string, LayerWeights>; hints: SourceHints } {
  const all = torchvisionTensors(file.tensors, (name) => {
    throw new FileFormatError(source, `has '${name}' both with and without 'module.'; expected one of them`);
  });
  const architecture = findArchitecture(all, source, wanted);
  if (architecture.framework !== 'pytorch') {
    throw new FileFormatError(
      source,
      `cannot be read as ${architecture.name}, whose parameters come from ${architecture.framework}; expected an architecture with PyTorch's names`,
    );
  }
  const { trainingOnly = [] } = architecture;
  const floats = new Map<string, SourceTensor>();
  for (const [name, tensor] of all) {
    if (!trainingOnly.some((prefix) => name.startsWith(prefix)))
      floats.set(name, widen(name, tensor, source));
  }
  const taker = new SourceTensors(floats, source);
  const weights = foldWeights(architecture, taker, source);
  taker.checkAllTaken(architecture.name);
  return { architecture, weights, hints: readHints(file.metadata) };
}

function findArchitecture(
  tensors: ReadonlyMap<string, SafeTensor>,
  source: string,
  wanted?: ArchitectureConfig,
): Architecture {
  const found = wanted ? { ...freeSizes(wanted.name, tensors), ...wanted } : detectArchitecture(tensors);
  if (found === null) {
    throw new FileFormatError(
      source,
      `holds ${tensors.size} tensors that belong to no known architecture${likeliest(tensors)}; expected torchvision's or timm's names of ${KNOWN}`,
    );
  }
  const built = createArchitecture(found);
  const inputSize = found.inputSize ?? findModel(built)?.architecture.inputSize;
  return inputSize === undefined ? built : createArchitecture({ ...found, inputSize });
}

/** What the file would be but for some names, as a part of a sentence; empty where no architecture has a name in common with it. */
function likeliest(tensors: ReadonlyMap<string, SafeTensor>): string {
  const found = nearestArchitecture(tensors);
  if (found === null) return '';
  const { name, missing } = found;
  const similar = nearest(missing, tensors.keys()).map((other) => `'${other}'`);
  return ` (the nearest is ${name}, but '${missing}' is missing; the nearest names are ${similar.join(', ')})`;
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
