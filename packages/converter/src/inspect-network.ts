import { DSConvFilter, type ScaleFormat } from '@dsconv/core';
import { type LayerKind, type LayerSpec, type LayerWeights, type Network, weightCount } from '@dsconv/models';

/** One row of the table of layers. */
export interface LayerSummary {
  name: string;
  kind: LayerKind;
  shape: readonly number[];
  /** Number of weights. */
  weights: number;
  /** Weight bits; 32 for a float layer. */
  bits: number;
  /** Depth of a block; null for a float layer. */
  blockSize: number | null;
  /** Storage of the scales; null for a float layer. */
  scales: ScaleFormat | null;
  /** Which shifters the filter has, such as ['kds']. */
  shifters: string[];
  /** Bytes of the kernel, scales included. */
  bytes: number;
  /** Bits of the kernel, scales included, per weight. */
  bitsPerWeight: number;
  /** Against the float weights, in dB; null when not known or nothing was lost. */
  snrDb: number | null;
  /** Smallest and largest scale by magnitude; null for a float layer. */
  scaleMin: number | null;
  scaleMax: number | null;
}

/** A network for a table. */
export interface NetworkSummary {
  architecture: string;
  inputSize: number;
  channels: number;
  classes: number;
  quantized: boolean;
  activationBits: number | null;
  /** Bytes of kernels and biases. */
  bytes: number;
  kernelBytes: number;
  bitsPerWeight: number;
  source: string | null;
  sourceSha256: string | null;
  layers: LayerSummary[];
}

/** @throws DisposedError after the network's `dispose()` */
export function inspectNetwork(network: Network): NetworkSummary {
  const { name, inputSize, channels, classes, layers } = network.architecture;
  const rows = layers.map((layer) => summarizeLayer(layer, network.weights.get(layer.name)!));
  const weights = rows.reduce((sum, row) => sum + row.weights, 0);
  return {
    architecture: name,
    inputSize,
    channels,
    classes,
    quantized: network.isQuantized,
    activationBits: network.isQuantized ? network.activationBits : null,
    bytes: network.byteLength,
    kernelBytes: network.kernelByteLength,
    bitsPerWeight: (network.kernelByteLength * 8) / weights,
    ...network.metadata,
    layers: rows,
  };
}

export function summarizeLayer(layer: LayerSpec, { filter, snrDb = null }: LayerWeights): LayerSummary {
  const weights = weightCount(layer);
  const common = {
    name: layer.name,
    kind: layer.kind,
    shape: layer.shape,
    weights,
    bytes: filter.byteLength,
    bitsPerWeight: (filter.byteLength * 8) / weights,
    snrDb,
  };
  if (!(filter instanceof DSConvFilter)) {
    return {
      ...common,
      bits: 32,
      blockSize: null,
      scales: null,
      shifters: [],
      scaleMin: null,
      scaleMax: null,
    };
  }
  const main = filter.stored('kds') ? 'kds' : 'cds';
  const { min, max } = magnitudes(filter.scales(main)!);
  return {
    ...common,
    bits: filter.bits,
    blockSize: filter.blockSize,
    scales: filter.stored(main)!.format,
    shifters: (['kds', 'kdsBias', 'cds', 'cdsBias'] as const).filter((part) => filter.stored(part)),
    scaleMin: min,
    scaleMax: max,
  };
}

function magnitudes(values: Float32Array): { min: number; max: number } {
  let min = Infinity;
  let max = 0;
  for (const value of values) {
    min = Math.min(min, Math.abs(value));
    max = Math.max(max, Math.abs(value));
  }
  return { min, max };
}
