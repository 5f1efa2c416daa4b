/** Bits and block size of every convolution of a graph, checked before any work is done. */
import { InvalidArgumentError, type QuantizeMethod, type ScaleFormat } from '@dsconv/core';
import { nearest } from '@dsconv/models';
import type { LayerOptions, QuantizeProgress } from '../quantize-network.js';
import type { FoldedGraph } from './fold-graph.js';
import { parseReference } from './graph.js';

/** How a whole model is quantized; the names and defaults of `quantizeNetwork`. */
export interface QuantizeOptions {
  /** Weight bits, 2 to 8. */
  bits: number;
  /** Depth of a block, and of the activation blocks. Default 64. */
  blockSize?: number;
  /** Bits of the convolutions that no other convolution comes before, which are quantized per channel. Default 8. */
  firstBits?: number;
  /** Bits of depthwise convolutions, which are quantized per channel. Default 8. */
  depthwiseBits?: number;
  /** Storage of scales. Default 'float16'. */
  scales?: ScaleFormat;
  /** Default 'search'. */
  method?: QuantizeMethod;
  /** Mantissa bits of activations, 2 to 8, or null for float activations. Default 8. */
  activationBits?: number | null;
  /** Exceptions by the name of a node or layer; `*` stands for any characters. The last one that fits counts. */
  layers?: Readonly<Record<string, LayerOptions>>;
  /** Called before each layer and once at the end, when `done` equals `total`. */
  onProgress?: (progress: QuantizeProgress) => void;
}

export type ConvolutionPlan = Required<LayerOptions>;

/** `B * 2^(b-1) * (2^(m-1)-1)` must not exceed this, so that integer sums are exact in float32 (NUMERICS §4). */
const EXACT_LIMIT = 2 ** 24;

/** A layer as far as a plan is concerned. */
export interface PlannedLayer {
  name: string;
  kind: 'conv2d' | 'depthwise';
  /** Depth of the filter. */
  depth: number;
  /** No other convolution comes before it. */
  isFirst: boolean;
}

/** Plans for the convolutions of a graph. Errors as {@link planLayers}. */
export function planConvolutions(
  folded: Pick<FoldedGraph, 'graph' | 'convolutions'>,
  options: QuantizeOptions,
): Map<string, ConvolutionPlan> {
  const first = firstConvolutions(folded);
  const layers = [...folded.convolutions].map(([name, { kind, shape }]) => {
    return { name, kind, depth: shape[2], isFirst: first.has(name) };
  });
  return planLayers(layers, options);
}

/** @throws InvalidArgumentError when an option is out of range, or a pattern fits no layer */
export function planLayers(
  layers: readonly PlannedLayer[],
  options: QuantizeOptions,
): Map<string, ConvolutionPlan> {
  const { bits, blockSize = 64, firstBits = 8, depthwiseBits = 8, activationBits = 8 } = options;
  if (activationBits !== null) checkInteger('activationBits', activationBits, 2, 8);
  checkInteger('bits', bits, 2, 8);
  checkInteger('firstBits', firstBits, 2, 8);
  checkInteger('depthwiseBits', depthwiseBits, 2, 8);
  checkInteger('blockSize', blockSize, 1, Number.MAX_SAFE_INTEGER);
  const exceptions = Object.entries(options.layers ?? {}).map(([pattern, own]) => {
    const fits = matcher(pattern);
    if (layers.some(({ name }) => fits(name))) return { fits, own };
    const names = nearest(
      pattern,
      layers.map(({ name }) => name),
    );
    throw new InvalidArgumentError(
      `layers has '${pattern}', which fits no convolution; expected names such as ${names.join(', ')}`,
    );
  });
  return new Map(
    layers.map((layer) => {
      const own: LayerOptions = Object.assign(
        {},
        ...exceptions.filter(({ fits }) => fits(layer.name)).map((exception) => exception.own),
      );
      const isDepthwise = layer.kind === 'depthwise';
      const plan: ConvolutionPlan = {
        bits: own.bits ?? (isDepthwise ? depthwiseBits : layer.isFirst ? firstBits : bits),
        blockSize: own.blockSize ?? blockSize,
        perChannel: isDepthwise || (own.perChannel ?? (layer.isFirst || layer.depth < 16)),
      };
      checkPlan(layer.name, plan, activationBits);
      return [layer.name, plan];
    }),
  );
}

function checkPlan(name: string, { bits, blockSize }: ConvolutionPlan, activationBits: number | null): void {
  checkInteger(`bits of layer '${name}'`, bits, 2, 8);
  checkInteger(`blockSize of layer '${name}'`, blockSize, 1, Number.MAX_SAFE_INTEGER);
  const perUnit = activationBits === null ? 0 : 2 ** (bits - 1) * (2 ** (activationBits - 1) - 1);
  if (blockSize * perUnit > EXACT_LIMIT) {
    throw new InvalidArgumentError(
      `blockSize is ${blockSize} for layer '${name}' at ${bits} weight bits and ${activationBits} activation bits; expected at most ${Math.floor(EXACT_LIMIT / perUnit)}, so that sums stay exact`,
    );
  }
}

function checkInteger(name: string, value: number, low: number, high: number): void {
  if (Number.isInteger(value) && value >= low && value <= high) return;
  const range = high === Number.MAX_SAFE_INTEGER ? `a positive integer` : `an integer from ${low} to ${high}`;
  throw new InvalidArgumentError(`${name} is ${value}; expected ${range}`);
}

/** `*` stands for any characters; everything else for itself. */
function matcher(pattern: string): (name: string) => boolean {
  const parts = pattern.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'));
  const expression = new RegExp(`^${parts.join('.*')}$`, 's');
  return (name) => expression.test(name);
}

/** Convolutions that no other convolution comes before. */
function firstConvolutions({
  graph,
  convolutions,
}: Pick<FoldedGraph, 'graph' | 'convolutions'>): Set<string> {
  const after = new Set<string>();
  const first = new Set<string>();
  for (const { name, inputs } of graph.sorted()) {
    const isAfter = inputs.some((input) => after.has(parseReference(input).name));
    if (convolutions.has(name) && !isAfter) first.add(name);
    if (isAfter || convolutions.has(name)) after.add(name);
  }
  return first;
}
