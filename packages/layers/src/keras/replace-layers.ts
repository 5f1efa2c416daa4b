/** The configuration of a model, Keras' JSON, with other classes in the place of its convolutions. */
import type { LayerChoice, ToDSConvOptions } from './to-dsconv.js';

/** Keras' names, `snake_case`. */
export interface LayerJson {
  class_name: string;
  config: Record<string, unknown> & { name?: string };
  name?: string;
  /** `[[layer, node, tensor, keywords], …]` for every use of the layer. */
  inbound_nodes?: [string, number, number, object?][][];
}

export interface ModelJson {
  class_name: string;
  config: { layers: LayerJson[] } & Record<string, unknown>;
}

const KINDS: Readonly<Record<string, 'conv' | 'depthwise' | 'separable' | 'dense'>> = {
  Conv2D: 'conv',
  DepthwiseConv2D: 'depthwise',
  SeparableConv2D: 'separable',
  Dense: 'dense',
};

const MODELS = new Set(['Model', 'Functional', 'Sequential']);

/**
 * @param used patterns of the options that fitted a layer
 * @param kernelOf shape of a layer's first kernel, which tells what its configuration does not
 */
export function replaceLayers(
  json: ModelJson,
  options: ToDSConvOptions,
  used: Set<string>,
  kernelOf: (name: string) => readonly number[],
): { json: ModelJson; names: Set<string> } {
  const names = new Set<string>();
  let isFirst = true;
  const visit = (model: ModelJson): ModelJson => {
    const isSequential = model.class_name === 'Sequential';
    const list = Array.isArray(model.config) ? (model.config as LayerJson[]) : model.config.layers;
    const replaced = list.flatMap((layer): LayerJson[] => {
      if (MODELS.has(layer.class_name)) {
        return [{ ...layer, ...visit(layer as unknown as ModelJson) } as unknown as LayerJson];
      }
      const kind = KINDS[layer.class_name];
      if (!kind) return [layer];
      const name = nameOf(layer);
      names.add(name);
      const first = isFirst && kind !== 'dense';
      if (first) isFirst = false;
      const left = reasonToLeave(layer, kind, options);
      const choice = left === null ? choose(name, kind, first, options, used) : null;
      options.onLayer?.(name, left ?? (choice === null ? 'it was chosen to be left' : null));
      if (left !== null || choice === null) return [layer];
      return expand(layer, kind, choice, isSequential, kernelOf);
    });
    const config = Array.isArray(model.config) ? replaced : { ...model.config, layers: replaced };
    return { ...model, config: config as ModelJson['config'] };
  };
  return { json: visit(json), names };
}

const nameOf = (layer: LayerJson): string => layer.config.name ?? layer.name ?? '';

function reasonToLeave(layer: LayerJson, kind: string, options: ToDSConvOptions): string | null {
  if (kind === 'dense' && !options.dense) return 'dense layers are replaced where `dense` is set';
  if (kind === 'separable' && !options.separable)
    return 'separable layers are replaced where `separable` is set';
  const format = layer.config.data_format;
  if (format === 'channelsFirst' || format === 'channels_first') return 'its channels come first';
  return null;
}

/** Keras' own words for what the options say about a layer, or null to leave it. */
function choose(
  name: string,
  kind: string,
  isFirst: boolean,
  options: ToDSConvOptions,
  used: Set<string>,
): Record<string, unknown> | null {
  const {
    bits = 4,
    blockSize = 64,
    activationBits = 8,
    scales = 'fitted',
    firstBits = 8,
    depthwiseBits = 8,
  } = options;
  let choice: LayerChoice = { bits: isFirst ? firstBits : kind === 'depthwise' ? depthwiseBits : bits };
  for (const [pattern, value] of Object.entries(options.layers ?? {})) {
    if (!fits(name, pattern)) continue;
    used.add(pattern);
    choice = value && { ...choice, ...value };
  }
  if (choice === null) return null;
  const all = { blockSize, activationBits, scales, ...choice };
  return {
    bits: all.bits,
    block_size: all.blockSize,
    activation_bits: all.activationBits,
    scales: all.scales,
    ...(all.perChannel === undefined || kind === 'depthwise' ? {} : { per_channel: all.perChannel }),
  };
}

function fits(name: string, pattern: string): boolean {
  const parts = pattern.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`).test(name);
}

/** One layer, or a chain of them, of which the last has the name that other layers know. */
function expand(
  layer: LayerJson,
  kind: 'conv' | 'depthwise' | 'separable' | 'dense',
  quantization: Record<string, unknown>,
  isSequential: boolean,
  kernelOf: (name: string) => readonly number[],
): LayerJson[] {
  const { config } = layer;
  const name = nameOf(layer);
  switch (kind) {
    case 'conv':
      return [{ ...layer, class_name: 'DSConv2D', config: { ...config, ...quantization } }];
    case 'depthwise':
      return [{ ...layer, class_name: 'DSDepthwiseConv2D', config: { ...config, ...quantization } }];
    case 'separable':
      return chain(layer, isSequential, separated(config, name, kernelOf(name)[3]!, quantization));
    case 'dense':
      return chain(layer, isSequential, asProduct(config, name, kernelOf(name)[0]!, quantization));
  }
}

type Part = Pick<LayerJson, 'class_name'> & { config: Record<string, unknown> & { name: string } };

/** Input of the first layer of a Sequential, which its first part has to say. */
function inputOf(config: LayerJson['config']): Record<string, unknown> {
  return config.batch_input_shape === undefined ? {} : { batch_input_shape: config.batch_input_shape };
}

function separated(
  config: LayerJson['config'],
  name: string,
  depthMultiplier: number,
  quantization: Record<string, unknown>,
): Part[] {
  const { strides, padding, dilation_rate, kernel_size } = config;
  const { bits: _, ...rest } = quantization;
  const depthwise = {
    ...inputOf(config),
    ...rest,
    bits: 8,
    name: `${name}_depthwise`,
    kernel_size,
    strides,
    padding,
    dilation_rate,
    depth_multiplier: depthMultiplier,
    use_bias: false,
  };
  const { filters, activation, use_bias, bias_initializer } = config;
  const pointwise = {
    ...quantization,
    name,
    filters,
    kernel_size: [1, 1],
    activation,
    use_bias,
    bias_initializer,
  };
  return [
    { class_name: 'DSDepthwiseConv2D', config: depthwise },
    { class_name: 'DSConv2D', config: pointwise },
  ];
}

/** A matrix product as a convolution of one pixel. */
function asProduct(
  config: LayerJson['config'],
  name: string,
  inputs: number,
  quantization: Record<string, unknown>,
): Part[] {
  const { units, activation, use_bias, bias_initializer } = config;
  const product = {
    ...quantization,
    name: `${name}_product`,
    filters: units,
    kernel_size: [1, 1],
    activation,
    use_bias,
    bias_initializer,
  };
  return [
    {
      class_name: 'Reshape',
      config: { ...inputOf(config), name: `${name}_pixel`, target_shape: [1, 1, inputs] },
    },
    { class_name: 'DSConv2D', config: product },
    { class_name: 'Flatten', config: { name } },
  ];
}

function chain(layer: LayerJson, isSequential: boolean, parts: Part[]): LayerJson[] {
  return parts.map((part, n): LayerJson => {
    if (isSequential) return part;
    const before = parts[n - 1];
    const nodes = layer.inbound_nodes ?? [];
    return {
      ...part,
      name: part.config.name,
      inbound_nodes: before ? nodes.map((_, use) => [[before.config.name, use, 0, {}]]) : nodes,
    };
  });
}
