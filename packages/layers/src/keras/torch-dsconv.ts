/** Checkpoints of the PyTorch module `DSConv` that forks of YOLO carry: keys weight, alpha, KDSb, CDSw, CDSb, bias. */
import { InvalidArgumentError } from '@dsconv/core';
import { type Tensor, tensor, tensor1d } from '@tensorflow/tfjs-core';
import { fitOnHost } from '../filter/host.js';
import { type FilterShape, partitionOf, scaleShape } from '../filter/partition.js';
import { checkBits } from '../filter/quantized-filter.js';
import type { DSConv2DArgs } from './ds-conv2d.js';

/** A tensor of a checkpoint, as a reader of safetensors gives it. */
export interface TorchTensor {
  shape: readonly number[];
  data: Float32Array;
}

export interface TorchDSConvOptions {
  /** Weight bits. Default: the fewest that hold the integers; needed where `weight` holds no integers. */
  bits?: number;
  /** Name of the checkpoint in errors. */
  file?: string;
}

/**
 * Arguments of a `dsConv2d` layer with the module's weights in it: `new DSConv2D({ ...torchDSConv(tensors, 'model.0.conv'), strides: 2, padding: 1 })`.
 *
 * The module spreads its scales by `depth // blocks` channels, not by its block size, and gives the rest to the last block (192 channels in 2 blocks are 96 and 96; 100 in 3
 * are 33, 33 and 34). Here blocks have `depth // blocks` channels too, and what is left over has blocks of its own with the last scale: the same numbers. The copies
 * that never quantize hold float weights and fit scales by that partition when they are imported.
 *
 * @param tensors of the checkpoint, by name; `weight` is OIHW, `alpha` and `KDSb` `[O, blocks, kh, kw]`, `CDSw` and `CDSb` `[O]`
 * @param prefix of the module's names, without the dot; '' for none
 * @throws InvalidArgumentError naming the tensor that is missing or does not fit
 */
export function torchDSConv(
  tensors: ReadonlyMap<string, TorchTensor>,
  prefix: string,
  { bits: wanted, file = 'the checkpoint' }: TorchDSConvOptions = {},
): DSConv2DArgs {
  const name = (part: string): string => (prefix === '' ? part : `${prefix}.${part}`);
  const take = (part: string, shape: readonly (number | null)[]): TorchTensor => {
    const found = tensors.get(name(part));
    const fits =
      found?.shape.length === shape.length && shape.every((d, n) => d === null || d === found.shape[n]);
    if (!found || !fits) {
      throw new InvalidArgumentError(
        `${file} has ${found ? `'${name(part)}' of shape [${found.shape}]` : `no '${name(part)}'`}; expected shape [${shape.map((d) => d ?? 'any')}]`,
      );
    }
    return found;
  };
  const weight = take('weight', [null, null, null, null]);
  const [outputs, depth, kh, kw] = weight.shape as [number, number, number, number];
  const alpha = take('alpha', [outputs, null, kh, kw]);
  const blocks = alpha.shape[1]!;
  if (blocks < 1 || blocks > depth) {
    throw new InvalidArgumentError(
      `${file} has '${name('alpha')}' of ${blocks} blocks; expected 1 to ${depth}, the depth of the filter`,
    );
  }
  const has = (part: string): boolean => tensors.has(name(part));
  const blockSize = Math.floor(depth / blocks);
  const shape: FilterShape = [kh, kw, depth, outputs];
  const partition = partitionOf('conv2d', shape, blockSize, false, 'float32');
  const spread = { outputs, blocks, kh, kw, count: Math.ceil(depth / blockSize) };
  const kds = toBlocks(alpha.data, spread);
  const kdsBias = has('KDSb') ? toBlocks(take('KDSb', [outputs, blocks, kh, kw]).data, spread) : null;
  const cds = has('CDSw') ? take('CDSw', [outputs]).data : null;
  const cdsBias = has('CDSb') ? take('CDSb', [outputs]).data : null;
  const bias = has('bias') ? take('bias', [outputs]).data : null;
  const q = toHwio(weight.data, shape);
  const isInteger = q.every(Number.isInteger);
  const bits = wanted ?? (isInteger ? bitsFor(q) : 0);
  if (bits === 0) {
    throw new InvalidArgumentError(
      `${file} has float numbers in '${name('weight')}'; expected integers, or the option bits`,
    );
  }
  checkBits(bits);
  const kernel = new Float32Array(q.length);
  q.forEach((value, n) => {
    const o = n % outputs;
    const i = Math.floor(n / outputs) % depth;
    const tap = Math.floor(n / outputs / depth);
    const s = (tap * spread.count + Math.floor(i / blockSize)) * outputs + o;
    kernel[n] =
      (cds ? cds[o]! : 1) * (kds[s]! * value + (kdsBias ? kdsBias[s]! : 0)) + (cdsBias ? cdsBias[o]! : 0);
  });
  const fitted =
    isInteger && bitsFor(q) <= bits ? kds : fitOnHost(unshift(kernel, cds, cdsBias), bits, partition).kds;
  const perBlock = scaleShape(partition);
  const channels = cds || cdsBias;
  // In the order of the layer's weights: what is trained first.
  const weights: Tensor[] = [tensor(kernel, [...shape])];
  if (bias) weights.push(tensor1d(bias));
  const learned = kdsBias !== null;
  if (learned) weights.push(tensor(fitted, perBlock), tensor(kdsBias, perBlock));
  if (channels) {
    weights.push(
      tensor1d(cds ?? new Float32Array(outputs).fill(1)),
      tensor1d(cdsBias ?? new Float32Array(outputs)),
    );
  }
  if (!learned) weights.push(tensor(fitted, perBlock));
  return {
    filters: outputs,
    kernelSize: [kh, kw],
    bits,
    blockSize,
    perChannel: false,
    useBias: bias !== null,
    kdsBias: learned,
    cds: Boolean(channels),
    scales: learned ? 'learned' : 'frozen',
    scaleFormat: 'float32',
    weights,
  };
}

/** OIHW to HWIO. */
function toHwio(data: Float32Array, [kh, kw, depth, outputs]: FilterShape): Float32Array {
  const out = new Float32Array(data.length);
  for (let o = 0; o < outputs; o++) {
    for (let i = 0; i < depth; i++) {
      for (let tap = 0; tap < kh * kw; tap++) {
        out[(tap * depth + i) * outputs + o] = data[(o * depth + i) * kh * kw + tap]!;
      }
    }
  }
  return out;
}

/** `[O, blocks, kh, kw]` to `[kh, kw, count, O]`; blocks beyond the last have its numbers. */
function toBlocks(
  data: Float32Array,
  {
    outputs,
    blocks,
    kh,
    kw,
    count,
  }: { outputs: number; blocks: number; kh: number; kw: number; count: number },
): Float32Array {
  const out = new Float32Array(kh * kw * count * outputs);
  for (let tap = 0; tap < kh * kw; tap++) {
    for (let j = 0; j < count; j++) {
      for (let o = 0; o < outputs; o++) {
        out[(tap * count + j) * outputs + o] = data[(o * blocks + Math.min(j, blocks - 1)) * kh * kw + tap]!;
      }
    }
  }
  return out;
}

function unshift(w: Float32Array, cds: Float32Array | null, cdsBias: Float32Array | null): Float32Array {
  const outputs = cds?.length ?? cdsBias?.length ?? 1;
  return w.map((value, n) => (value - (cdsBias ? cdsBias[n % outputs]! : 0)) / (cds ? cds[n % outputs]! : 1));
}

/** The fewest bits that hold all integers, at least 2; 0 where 8 do not. */
function bitsFor(q: Float32Array): number {
  for (let bits = 2; bits <= 8; bits++) {
    if (q.every((value) => value >= -(2 ** (bits - 1)) && value < 2 ** (bits - 1))) return bits;
  }
  return 0;
}
