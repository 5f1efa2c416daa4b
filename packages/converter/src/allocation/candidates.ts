/** The forms a layer can be stored in, and what each takes. */
import { packedByteLength, type ScaleFormat } from '@dsconv/core';
import { type LayerSpec, type Network, outChannels, weightCount } from '@dsconv/models';
import type { LayerOptions, LayerPlan } from '../quantize-network.js';

/** One form of a layer. */
export type Candidate = LayerPlan;

/** Files hold `b` bits a weight whatever `b` is, so every width saves bytes over the next. */
const BITS = [2, 3, 4, 5, 6, 7, 8];
const BLOCK_SIZES = [32, 64, 128];

/** Bytes of a filter in files: packed integers, and one scale per output channel or per block of the depth. */
export function storedBytes(
  layer: Pick<LayerSpec, 'kind' | 'shape'>,
  { bits, blockSize, perChannel }: LayerPlan,
  scales: ScaleFormat,
): number {
  const [kh, kw, depth, outputs] = layer.shape;
  const isPerChannel = perChannel || layer.kind === 'depthwise';
  const count = isPerChannel ? outChannels(layer) : kh * kw * Math.ceil(depth / blockSize) * outputs;
  return packedByteLength(weightCount(layer), bits) + count * (scales === 'float16' ? 2 : 4);
}

/**
 * Forms of every layer but normalizations. The first convolution, depthwise convolutions and what is pinned have one, or differ in what is left
 * open: a layer with `bits` keeps them and may take any block.
 *
 * @param plans what the options say without a target
 * @param pinned by layer
 */
export function candidatesOf(
  plans: readonly { layer: LayerSpec; plan: LayerPlan }[],
  pinned: ReadonlyMap<string, LayerOptions>,
): Map<string, Candidate[]> {
  const candidates = new Map<string, Candidate[]>();
  for (const { layer, plan } of plans) {
    if (layer.kind === 'norm') continue;
    const own = pinned.get(layer.name) ?? {};
    const isFixed = layer.role === 'stem' || layer.kind === 'depthwise';
    const bits = own.bits !== undefined || isFixed ? [plan.bits] : BITS;
    const isOneBlock = own.blockSize !== undefined || isFixed || plan.perChannel;
    const blockSizes = isOneBlock ? [plan.blockSize] : blocksFor(layer);
    const forms = bits.flatMap((b) =>
      blockSizes.map((blockSize): Candidate => ({ bits: b, blockSize, perChannel: plan.perChannel })),
    );
    candidates.set(layer.name, forms);
  }
  return candidates;
}

/** Block sizes that differ for a layer: one beyond its depth is as good as the next smaller. */
function blocksFor({ shape }: LayerSpec): number[] {
  const depth = shape[2];
  return BLOCK_SIZES.filter((_, n) => n === 0 || BLOCK_SIZES[n - 1]! < depth);
}

/** Bytes of kernels that no candidate counts: normalizations. */
export function fixedBytes(network: Network): number {
  return network.architecture.layers
    .filter(({ kind }) => kind === 'norm')
    .reduce((sum, { name }) => sum + network.weights.get(name)!.filter.byteLength, 0);
}
