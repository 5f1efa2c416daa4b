import { DSConvFilter } from '@dsconv/core';
import { type LayerSpec, outChannels } from '../architecture.js';
import type { LayerWeights, Network } from '../network.js';
import { FIELDS, FORMAT, FORMAT_VERSION, SHIFTER_NAMES } from './network-format.js';
import type { SafeTensor } from './safetensors.js';
import { planSafetensors, writeSafetensors } from './safetensors-writer.js';

/** The bytes of a network's file, float or quantized; {@link FORMAT} says what is in it. */
export function writeNetwork(network: Network): Uint8Array {
  return writeSafetensors(networkTensors(network), networkMetadata(network));
}

/** Length of the file {@link writeNetwork} makes, without making it. */
export function networkFileLength(network: Network): number {
  return planSafetensors(networkTensors(network), networkMetadata(network)).byteLength;
}

function networkTensors(network: Network): Map<string, SafeTensor> {
  const tensors = new Map<string, SafeTensor>();
  for (const layer of network.architecture.layers) {
    const { filter, bias } = network.weights.get(layer.name)!;
    if (filter instanceof DSConvFilter) addFilter(tensors, layer, filter);
    else tensors.set(`${layer.name}.weight`, { dtype: 'F32', shape: layer.shape, data: filter });
    if (bias) tensors.set(`${layer.name}.bias`, { dtype: 'F32', shape: [bias.length], data: bias });
  }
  return tensors;
}

function addFilter(tensors: Map<string, SafeTensor>, layer: LayerSpec, filter: DSConvFilter): void {
  const { vqk, blocks, shape } = filter;
  tensors.set(`${layer.name}.vqk`, { dtype: 'U8', shape: [vqk.length], data: vqk });
  for (const name of SHIFTER_NAMES) {
    const stored = filter.stored(name);
    if (!stored) continue;
    tensors.set(`${layer.name}.${name}`, {
      dtype: stored.format === 'float16' ? 'F16' : 'F32',
      shape: name.startsWith('kds') ? [shape[0], shape[1], blocks, shape[3]] : [outChannels(layer)],
      data: stored.data,
    });
  }
}

function networkMetadata(network: Network): Map<string, string> {
  const { architecture, weights, activationBits, preprocessing, labels, metadata } = network;
  const { name, inputSize, channels, classes } = architecture;
  const layers = architecture.layers.map((layer) => describeLayer(layer, weights.get(layer.name)!));
  const fields = new Map<string, string>([
    [FIELDS.format, FORMAT],
    [FIELDS.version, FORMAT_VERSION],
    [FIELDS.architecture, JSON.stringify({ name, inputSize, channels, classes })],
    // Layer names come from our own architectures; none of them is a number or `__proto__`.
    [FIELDS.layers, JSON.stringify(Object.fromEntries(layers))],
    [FIELDS.activationBits, String(activationBits)],
    [FIELDS.preprocessing, JSON.stringify(preprocessing)],
    [FIELDS.labels, JSON.stringify(labels)],
  ]);
  if (metadata.source !== null) fields.set(FIELDS.source, metadata.source);
  if (metadata.sourceSha256 !== null) fields.set(FIELDS.sourceSha256, metadata.sourceSha256);
  return fields;
}

function describeLayer({ name, kind, shape }: LayerSpec, { filter, snrDb }: LayerWeights): [string, object] {
  if (!(filter instanceof DSConvFilter)) return [name, { kind, shape }];
  const { bits, blockSize } = filter;
  const rounded = typeof snrDb === 'number' ? Math.round(snrDb * 1000) / 1000 : null;
  return [name, { kind, shape, bits, blockSize, snrDb: rounded }];
}
