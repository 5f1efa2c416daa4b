/** Bytes of a network from its table of layers alone, so that a card can tell them before anything is downloaded. */
import { type Architecture, type LayerSpec, outChannels, weightCount } from '../architecture.js';

/** What is stored of a network at some number of bits. */
export interface StoredSize {
  /** Weight bits; 32 is float32. First convolution and depthwise have 8 where others have fewer than 32. */
  bits: number;
  /** Depth of a block; null for float32. */
  blockSize: number | null;
  /** Kernels with their scales, and biases; a file adds its header and labels, some 10 kB. */
  bytes: number;
  /** Of the kernels, scales included. */
  bitsPerWeight: number;
}

/**
 * What `quantizeNetwork` of @dsconv/converter stores with its defaults: scales of float16, one per block, or per output channel in the first
 * convolution, in depthwise layers and where depth is below 16. Batch normalization is folded, also at 32 bits. A layer with scales that float16
 * cannot hold, which only its weights tell, has four bytes for each instead of two.
 */
export function storedSize(
  { layers }: Pick<Architecture, 'layers'>,
  bits: number,
  blockSize: number | null,
): StoredSize {
  let weights = 0;
  let kernelBytes = 0;
  let biasBytes = 0;
  for (const layer of layers) {
    const isFloat = blockSize === null || layer.kind === 'norm';
    weights += weightCount(layer);
    kernelBytes += isFloat ? 4 * weightCount(layer) : filterBytes(layer, bits, blockSize);
    if (layer.kind === 'norm' || layer.source.bias !== null || layer.source.norm !== null) {
      biasBytes += 4 * outChannels(layer);
    }
  }
  return { bits, blockSize, bytes: kernelBytes + biasBytes, bitsPerWeight: (8 * kernelBytes) / weights };
}

function filterBytes(layer: LayerSpec, bits: number, blockSize: number): number {
  const [kh, kw, inner, outer] = layer.shape;
  const isWide = layer.role === 'stem' || layer.kind === 'depthwise';
  const isPerChannel = isWide || inner < 16;
  const scales = isPerChannel ? outChannels(layer) : kh * kw * Math.ceil(inner / blockSize) * outer;
  return Math.ceil((weightCount(layer) * (isWide ? 8 : bits)) / 8) + 2 * scales;
}
