/**
 * Activations that a depthwise convolution reads share an exponent with their neighbours' channels (NUMERICS §3), so a channel whose values stay
 * small next to others keeps few of its bits. Multiplying such a channel where it is made and dividing the one filter that reads it changes
 * nothing in float and costs nothing in the filters: both have scales per output channel there. After Nagel et al., arXiv 1906.04721, section 4.1,
 * which equalizes weights in this way; here it is the activations that gain.
 */
import { type LayerSpec, type LayerWeights, Network, outChannels } from '@dsconv/models';
import type { StatisticsOf } from './calibration/correct-biases.js';
import { type ConvolutionNode, captureStructure, type NetworkStructure } from './calibration/structure.js';
import type { LayerPlan } from './quantize-network.js';

/** Standard deviations above the mean that count as a channel's range. More would leave precision unused; what lies beyond is clipped. */
const DEVIATIONS = 6;

/** A channel is not multiplied by more than this: one that is nearly constant would only amplify its rounding. */
const MOST = 64;

/** A convolution whose output one depthwise convolution reads and nothing else. */
export interface ScaledPair {
  from: string;
  to: string;
  /** Channels are multiplied by these behind `from`, `[channels]`, at least 1. */
  factors: Float64Array;
}

/**
 * Which channels can be multiplied by how much: those that batch normalization keeps far below the ceiling of their 'relu6', or below the largest
 * channel of a 'relu'.
 */
export function rangePairs(
  network: Network,
  plans: readonly { layer: LayerSpec; plan: LayerPlan }[],
): ScaledPair[] {
  const formats = new Map(
    plans.filter(({ layer }) => layer.kind !== 'norm').map(({ layer, plan }) => [layer.name, plan]),
  );
  const structure = captureStructure(network.architecture, network.weights, formats, null, 1);
  return pairsOf(structure, (layer) => network.weights.get(layer)!.statistics);
}

/** As {@link rangePairs}, of any recorded network. Layers that run more than once are left alone. */
export function pairsOf(structure: NetworkStructure, statisticsOf: StatisticsOf): ScaledPair[] {
  const pairs: ScaledPair[] = [];
  const runs = new Map<string, number>();
  for (const { layer } of structure.convolutions) runs.set(layer, (runs.get(layer) ?? 0) + 1);
  for (const to of structure.convolutions) {
    const from = to.depthwise ? onlySource(structure, to) : null;
    const statistics = from && statisticsOf(from.layer);
    const activation = from?.attributes.activation;
    if (!from || !statistics || (activation !== 'relu6' && activation !== 'relu')) continue;
    if (runs.get(from.layer) !== 1 || runs.get(to.layer) !== 1) continue;
    const ranges = Float64Array.from(
      statistics.mean,
      (mean, c) => mean + DEVIATIONS * statistics.deviation[c]!,
    );
    // Without a ceiling nothing is cut off, and all channels may become as large as the largest.
    const ceiling = activation === 'relu6' ? 6 : ranges.reduce((a, b) => Math.max(a, b), 0);
    const factors = ranges.map((range) => (range > 0 ? Math.min(MOST, Math.max(1, ceiling / range)) : 1));
    if (factors.some((factor) => factor > 1)) pairs.push({ from: from.layer, to: to.layer, factors });
  }
  return pairs;
}

/** The convolution without residual that made a depthwise convolution's input, if nothing else reads it. */
function onlySource(
  { trace, convolutionAt }: NetworkStructure,
  { node, attributes }: ConvolutionNode,
): ConvolutionNode | null {
  const { value } = node.inputs.x!;
  const readers = trace.nodes.filter(({ inputs }) => Object.values(inputs).some((x) => x.value === value));
  const isOutput = trace.outputs.some((output) => output.value === value);
  const at = trace.nodes.findIndex(({ outputs }) => outputs.some((output) => output.value === value));
  const from = convolutionAt.get(at) ?? null;
  if (readers.length !== 1 || isOutput || from === null || from.node.inputs.residual) return null;
  return attributes.filter.shape[3] === 1 ? from : null;
}

/** The same network in float, its channels scaled for pairs that {@link rangePairs} found. The filters of other layers are shared. */
export function scaleRanges(network: Network, pairs: readonly ScaledPair[]): Network {
  if (pairs.length === 0) return network;
  const weights = new Map(network.weights);
  const layers = new Map(network.architecture.layers.map((layer) => [layer.name, layer]));
  for (const { from, to, factors } of pairs) {
    weights.set(from, multiplied(layers.get(from)!, weights.get(from)!, factors));
    const reader = weights.get(to)!;
    const { filter } = reader;
    const divided = (filter as Float32Array).map((w, n) => w / factors[n % factors.length]!);
    weights.set(to, { ...reader, filter: divided });
  }
  const { architecture, preprocessing, labels, metadata, activationBits } = network;
  return new Network({ architecture, weights, preprocessing, labels, metadata, activationBits });
}

function multiplied(
  layer: LayerSpec,
  { filter, bias, statistics }: LayerWeights,
  factors: Float64Array,
): LayerWeights {
  const outputs = outChannels(layer);
  const times = (values: Float32Array): Float32Array =>
    values.map((value, n) => value * factors[n % outputs]!);
  return {
    filter: times(filter as Float32Array),
    bias: bias && times(bias),
    ...(statistics
      ? { statistics: { mean: times(statistics.mean), deviation: times(statistics.deviation) } }
      : {}),
  };
}
