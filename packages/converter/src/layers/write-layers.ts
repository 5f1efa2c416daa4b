/** From a folded topology back to a model.json: every convolution becomes a frozen layer that holds its filter at its bits. */
import type { DSConvFilter } from '@dsconv/core';
import type { FoundConvolution } from '../graph/quantize-convolutions.js';
import { filterToBytes } from '../graph/runtime/filter-bytes.js';
import { floatWeight, type StoredWeight, stringWeight } from '../graph/stored-weights.js';
import type { JsonRecord } from '../json-values.js';
import { FOLDED_CLASS, type FoldedLayers, type LayerConvolution } from './fold-layers.js';
import type { LayerWeights } from './layer-weights.js';
import { FROZEN_CLASSES } from './runtime/names.js';
import { type Container, type Layer, modelConfigOf } from './topology.js';

/** What the layer of a convolution says about its filter. */
export interface PlacedFilter extends FoundConvolution {
  activationBits: number | null;
}

/** Topology and weights of a model. */
export interface AssembledLayers {
  modelTopology: JsonRecord;
  weights: StoredWeight[];
}

/**
 * @param topology `modelTopology` of the source, of which everything but layers is kept
 * @param place of every convolution by name; a filter of null stands for the float weights
 */
export function assembleLayers(
  topology: JsonRecord,
  { container, convolutions }: FoldedLayers,
  source: LayerWeights,
  place: (
    name: string,
    convolution: LayerConvolution,
  ) => Omit<PlacedFilter, 'filter'> & { filter: DSConvFilter | Float32Array },
): AssembledLayers {
  const placed = new Map([...convolutions].map(([name, each]) => [name, place(name, each)]));
  const weights = [...source.weights.values()].filter(({ name }) => !source.taken.has(name));
  for (const [name, { filter, bias }] of placed) {
    const { shape, slopes } = convolutions.get(name)!;
    weights.push(
      filter instanceof Float32Array
        ? floatWeight(`${name}/filter`, shape, filter)
        : stringWeight(`${name}/filter`, filterToBytes(filter)),
    );
    if (bias) weights.push(floatWeight(`${name}/bias`, [bias.length], bias));
    if (slopes) weights.push(floatWeight(`${name}/slopes`, [slopes.length], slopes));
  }
  const configOf = (name: string): JsonRecord => {
    const { filter, bias, activationBits } = placed.get(name)!;
    const convolution = convolutions.get(name)!;
    return frozenConfig(name, { ...convolution, bias }, filter, activationBits);
  };
  const outer = modelConfigOf(topology);
  const classOf = (name: string): string => {
    const { kind, isDense } = convolutions.get(name)!;
    return FROZEN_CLASSES[isDense ? 'dense' : kind];
  };
  const written = { ...outer, config: containerJson(container, configOf, classOf) };
  return {
    modelTopology: outer === topology ? written : { ...topology, model_config: written },
    weights,
  };
}

type Describe<T> = (name: string) => T;

function containerJson(
  { layers, json }: Container,
  configOf: Describe<JsonRecord>,
  classOf: Describe<string>,
): unknown {
  const list = layers.map((layer) => layerJson(layer, configOf, classOf));
  return Array.isArray(json) ? list : { ...(json as JsonRecord), layers: list };
}

function layerJson(layer: Layer, configOf: Describe<JsonRecord>, classOf: Describe<string>): JsonRecord {
  const { name, className, json, nested } = layer;
  if (nested) return { ...json, config: containerJson(nested, configOf, classOf) };
  if (className !== FOLDED_CLASS) return json;
  const isFunctional = 'inbound_nodes' in json;
  return {
    class_name: classOf(name),
    config: configOf(name),
    ...('name' in json ? { name } : {}),
    ...(isFunctional ? { inbound_nodes: inboundNodes(layer) } : {}),
  };
}

function inboundNodes({ calls }: Layer): unknown[] {
  return calls.map((inputs) => inputs.map(({ layer, call, output }) => [layer, call, output, {}]));
}

function frozenConfig(
  name: string,
  convolution: LayerConvolution,
  filter: DSConvFilter | Float32Array,
  activationBits: number | null,
): JsonRecord {
  const {
    shape,
    strides,
    dilations,
    pad,
    groups,
    activation,
    leakyreluAlpha,
    bias,
    slopes,
    outerActivation,
    head,
  } = convolution;
  const isFloat = filter instanceof Float32Array;
  const inputShape = head.batch_input_shape ?? head.batchInputShape;
  return {
    name,
    trainable: false,
    ...(inputShape === undefined ? {} : { batch_input_shape: inputShape, dtype: 'float32' }),
    filter_shape: shape,
    bits: isFloat ? 0 : filter.bits,
    block_size: isFloat ? 1 : filter.blockSize,
    activation_bits: activationBits ?? 0,
    strides,
    dilations,
    padding: typeof pad === 'string' ? pad : 'explicit',
    explicit_paddings: typeof pad === 'string' ? [] : [pad.top, pad.bottom, pad.left, pad.right],
    groups,
    activation,
    leakyrelu_alpha: leakyreluAlpha,
    outer_activation: outerActivation,
    has_bias: bias !== null,
    has_slopes: slopes !== null,
  };
}
