/**
 * Bias correction without data: what rounding a filter's weights adds to its outputs on average is `(Ŵ - W)ᵀ E[x]`, and the batch normalization
 * before a layer tells E[x]. Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction" (arXiv 1906.04721), section 4.2.
 */
import type { Trace, TraceNode, ValueId } from '@dsconv/core';
import type { LayerSpec, LayerWeights, Network } from '@dsconv/models';
import type { LayerPlan } from '../quantize-network.js';
import { type Moments, mapped, rectified } from './moments.js';
import { type ConvolutionNode, captureStructure, type NetworkStructure } from './structure.js';

/** Kernels that change neither mean nor order of channels; a pooling narrows the distribution, which counts as nothing here. */
const KEEPING = ['Identity', 'Reshape', 'Mean', 'AvgPool', 'Cast'];

/**
 * Mean inputs of the layers whose inputs come from batch normalizations, by the layer's name. Needs a backend with DSConv kernels, on which the
 * network is run once on zeros to see what feeds what.
 */
export function meanInputs(
  network: Network,
  plans: readonly { layer: LayerSpec; plan: LayerPlan }[],
): Map<string, Float64Array> {
  const formats = new Map(
    plans.filter(({ layer }) => layer.kind !== 'norm').map(({ layer, plan }) => [layer.name, plan]),
  );
  const structure = captureStructure(network.architecture, network.weights, formats, null, 1);
  return propagateMeans(structure, (layer) => network.weights.get(layer)!.statistics);
}

/** Mean and deviation of a layer's outputs before residual and activation, or nothing where they are not known. */
export type StatisticsOf = (layer: string) => LayerWeights['statistics'] | null | undefined;

/** The mean inputs of a recorded network's layers. What feeds a layer differently each time it runs is not known. */
export function propagateMeans(
  structure: NetworkStructure,
  statisticsOf: StatisticsOf,
): Map<string, Float64Array> {
  const moments = new Map<ValueId, Moments>();
  const inputs = new Map<string, Float64Array>();
  const seen = new Set<string>();
  structure.trace.nodes.forEach((node, index) => {
    const convolution = structure.convolutionAt.get(index);
    const of = (name: string): Moments | undefined => moments.get(node.inputs[name]?.value ?? -1);
    let found: Moments | null | undefined;
    if (convolution) {
      const x = of('x');
      if (x && !seen.has(convolution.layer)) inputs.set(convolution.layer, x.mean);
      else inputs.delete(convolution.layer);
      seen.add(convolution.layer);
      const statistics = statisticsOf(convolution.layer);
      found =
        statistics &&
        behind(convolution, statistics, node.inputs.residual ? (of('residual') ?? null) : undefined);
    } else found = through(node, of, structure.trace);
    const { value } = node.outputs[0]!;
    if (found) moments.set(value, found);
    // A reshape's result is the value it was made from, whose moments stay.
    else if (!Object.values(node.inputs).some((input) => input.value === value)) moments.delete(value);
  });
  return inputs;
}

/** @param residual undefined where there is none, null where nothing is known of it */
function behind(
  { attributes }: ConvolutionNode,
  statistics: NonNullable<LayerWeights['statistics']>,
  residual: Moments | null | undefined,
): Moments | undefined {
  if (residual === null) return undefined;
  const own: Moments = {
    mean: Float64Array.from(statistics.mean),
    variance: Float64Array.from(statistics.deviation, (d) => d * d),
  };
  const sum = residual === undefined ? own : added(own, residual);
  switch (attributes.activation) {
    case 'linear':
      return sum;
    case 'relu':
      return rectified(sum, Infinity);
    case 'relu6':
      return rectified(sum, 6);
    case 'silu':
      return mapped(sum, (z) => z / (1 + Math.exp(-z)));
    case 'leakyrelu':
      return mapped(sum, (z) => (z < 0 ? attributes.leakyreluAlpha * z : z));
    default:
      return undefined;
  }
}

/** Taken as independent. */
function added(a: Moments, b: Moments): Moments {
  return {
    mean: a.mean.map((mean, c) => mean + b.mean[c]!),
    variance: a.variance.map((variance, c) => variance + b.variance[c]!),
  };
}

function through(
  node: TraceNode,
  of: (name: string) => Moments | undefined,
  trace: Trace,
): Moments | undefined {
  const { kernel, inputs } = node;
  if (kernel === 'FusedBatchNorm') return normalized(node, trace);
  if (KEEPING.includes(kernel)) {
    const input = inputs.x ?? inputs.input;
    const isWithin = kernel === 'Reshape' || input?.shape.at(-1) === node.outputs[0]!.shape.at(-1);
    return isWithin ? (of('x') ?? of('input')) : undefined;
  }
  if (kernel === 'Relu' || kernel === 'Relu6') {
    const x = of('x');
    return x && rectified(x, kernel === 'Relu' ? Infinity : 6);
  }
  if (kernel === 'Add') {
    const [a, b] = [of('a'), of('b')];
    return a && b && a.mean.length === b.mean.length ? added(a, b) : undefined;
  }
  if (kernel !== 'Concat' || !channelsAdd(node)) return undefined;
  const parts = Object.keys(inputs).map((name) => of(name));
  if (!parts.every((part): part is Moments => part !== undefined)) return undefined;
  return {
    mean: Float64Array.from(parts.flatMap(({ mean }) => [...mean])),
    variance: Float64Array.from(parts.flatMap(({ variance }) => [...variance])),
  };
}

/** A batch normalization that was not folded has outputs of mean β and deviation |γ|, whatever its inputs. */
function normalized({ inputs, outputs }: TraceNode, { constants }: Trace): Moments | undefined {
  const channels = outputs[0]!.shape.at(-1)!;
  const vector = (name: string, otherwise: number): Float64Array | null => {
    const input = inputs[name];
    if (!input) return new Float64Array(channels).fill(otherwise);
    const values = constants.get(input.value);
    return values?.length === channels ? Float64Array.from(values) : null;
  };
  const [mean, deviation] = [vector('offset', 0), vector('scale', 1)];
  return mean && deviation ? { mean, variance: deviation.map((d) => d * d) } : undefined;
}

/** A concatenation side by side, not one behind the other. */
function channelsAdd({ inputs, outputs }: TraceNode): boolean {
  const channels = Object.values(inputs).map(({ shape }) => shape.at(-1)!);
  return outputs[0]!.shape.at(-1) === channels.reduce((a, b) => a + b, 0);
}

/**
 * The bias that takes the mean of the rounding error back.
 *
 * @param exact float weights in the order of the layer's shape
 * @param found what is stored, dequantized
 * @param mean of every input channel
 * @param groups that the channels are divided into
 */
export function correctedBias(
  { kind, shape }: Pick<LayerSpec, 'kind' | 'shape'>,
  exact: Float32Array,
  found: Float32Array,
  bias: Float32Array | null,
  mean: Float64Array,
  groups = 1,
): Float32Array {
  const [, , inner, outer] = shape;
  const outputs = kind === 'depthwise' ? inner * outer : outer;
  const corrected = bias ? Float64Array.from(bias) : new Float64Array(outputs);
  for (let n = 0; n < exact.length; n++) {
    // Depthwise output `c · multiplier + m` reads channel c; else the rows are taps of all channels of a group.
    const output = n % outputs;
    const channel =
      kind === 'depthwise'
        ? Math.floor(output / outer)
        : (Math.floor(n / outputs) % inner) + Math.floor((output * groups) / outputs) * inner;
    corrected[output]! += (exact[n]! - found[n]!) * mean[channel]!;
  }
  return Float32Array.from(corrected);
}
