import {
  BackendUnavailableError,
  DS_DEPTHWISE_CONV2D,
  DSCONV2D,
  type DSConvFilter,
  type QuantizeMethod,
  quantizeDepthwiseFilter,
  quantizeFilter,
  type ScaleFormat,
} from '@dsconv/core';
import { type LayerSpec, type LayerWeights, Network, networkFileLength } from '@dsconv/models';
import { getBackend, getKernel } from '@tensorflow/tfjs-core';
import type { AllocationReport } from './allocation/allocation-report.js';
import { quantizeToTarget } from './allocation/quantize-to-target.js';
import type { QuantizationTarget } from './allocation/targets.js';
import { correctedBias, meanInputs } from './calibration/correct-biases.js';
import { type LayerSummary, summarizeLayer } from './inspect-network.js';
import { type LayerPlan, planNetwork } from './plan-network.js';
import { rangePairs, scaleRanges } from './scale-ranges.js';
import { signalToNoise } from './signal-to-noise.js';

export { type LayerPlan, planNetwork } from './plan-network.js';

/** What may differ from layer to layer. */
export interface LayerOptions {
  /** Weight bits, 2 to 8. */
  bits?: number;
  /** Depth of a block, and of the activation blocks the layer reads. */
  blockSize?: number;
  /** One scale per output channel instead of one per block. */
  perChannel?: boolean;
}

export interface QuantizeNetworkOptions {
  /** Weight bits, 2 to 8. Needed unless there is a `target`. */
  bits?: number;
  /** Chooses bits and block sizes layer by layer to come to a size or a loss; `bits` and `blockSize` then hold for what is not chosen. */
  target?: QuantizationTarget;
  /** With a target: sizes, beside the chosen one, at which whole networks are made and measured. Default 0. */
  curvePoints?: number;
  /** Depth of a block, and of the activation blocks. Default 64. */
  blockSize?: number;
  /** Bits of the first convolution, which is quantized per channel. Default 8. */
  firstBits?: number;
  /** Bits of depthwise convolutions, which are quantized per channel. Default 8. */
  depthwiseBits?: number;
  /** Storage of scales. Default 'float16'. */
  scales?: ScaleFormat;
  /** Default 'search'. */
  method?: QuantizeMethod;
  /** Fit a bias per block too, where a layer is quantized per block. Default false. */
  kdsBias?: boolean;
  /** Match mean and variance per output channel, where a layer is quantized per block. Default false. */
  cds?: boolean;
  /** Mantissa bits of activations, 2 to 8, or null for float activations. Default 8. */
  activationBits?: number | null;
  /**
   * Take back what rounding adds to the outputs on average, where batch normalizations tell the mean inputs. Needs a TensorFlow.js backend
   * with DSConv kernels; by default it is done where the current one has them. Networks without batch normalization are left alone.
   */
  biasCorrection?: boolean;
  /**
   * Use more of the activations' bits before depthwise convolutions: see `scale-ranges.ts`. Needs batch normalizations and such a backend too,
   * and is done by default where both are there.
   */
  rangeScaling?: boolean;
  /** Exceptions by layer name; `*` stands for any characters. Of several that fit, what the last one says counts. */
  layers?: Readonly<Record<string, LayerOptions>>;
  /** Called before each layer and once at the end, when `done` equals `total`. */
  onProgress?: (progress: QuantizeProgress) => void;
}

export interface QuantizeProgress {
  /** Layers finished. */
  done: number;
  total: number;
  /** The layer that is quantized next, or null at the end. */
  layer: string | null;
  /** With a target: whether layers are measured or quantized. */
  stage?: 'measure' | 'quantize';
}

/** One quantized layer, with what it was before. */
export interface LayerReport extends LayerSummary {
  /** Bytes of the float32 kernel. */
  bytesBefore: number;
  /** Bytes of packed integers and scales. */
  bytesAfter: number;
}

/** What quantizing did. All bytes are bytes stored in files. */
export interface QuantizationReport {
  /** Length of the float32 network's file in our format. */
  bytesBefore: number;
  /** Length of the quantized network's file. */
  bytesAfter: number;
  /** Bytes of all float32 kernels. */
  kernelBytesBefore: number;
  /** Bytes of all quantized kernels, scales included. */
  kernelBytesAfter: number;
  /** Bits of kernel, scales included, per weight. */
  bitsPerWeight: number;
  /** Layers whose biases make up for the rounding of their weights. */
  correctedBiases: number;
  layers: LayerReport[];
  /** How bits were chosen, with a target. */
  allocation?: AllocationReport;
}

/**
 * Quantizes every layer of a float network. The event loop gets a turn between layers, so that progress can be drawn and a signal be handled.
 *
 * @param options `seed`, by default 1, is of what a target draws at random
 * @throws InvalidArgumentError when an option is out of range, a layer is unknown, or the network is already quantized
 * @throws NotFiniteError naming the layer and index of a NaN or infinite weight
 */
export async function quantizeNetwork(
  network: Network,
  options: QuantizeNetworkOptions & { seed?: number },
): Promise<{ network: Network; report: QuantizationReport }> {
  if (options.target) {
    return quantizeToTarget(network, null, { ...options, target: options.target }, (from, layers) =>
      quantizeNetwork(from, { ...withoutTarget(options), layers }),
    );
  }
  const { architecture, preprocessing, labels, metadata } = network;
  const { activationBits = 8, onProgress } = options;
  const plans = planNetwork(network, options);
  const float = withScaledRanges(network, plans, options);
  const means = wantsCorrection(options) ? meanInputs(float, plans) : new Map<string, Float64Array>();
  const weights = new Map<string, LayerWeights>();
  for (const { layer, plan } of plans) {
    onProgress?.({ done: weights.size, total: plans.length, layer: layer.name });
    await new Promise<void>((resolve) => setTimeout(resolve));
    const { filter: exact, bias } = float.weights.get(layer.name)!;
    if (layer.kind === 'norm') {
      weights.set(layer.name, { filter: (exact as Float32Array).slice(), bias: bias?.slice() ?? null });
      continue;
    }
    const filter = quantizeLayer(layer, exact as Float32Array, plan, options);
    const found = filter.dequantize();
    const snrDb = signalToNoise(exact as Float32Array, found);
    const mean = means.get(layer.name);
    const corrected = mean
      ? correctedBias(layer, exact as Float32Array, found, bias, mean)
      : (bias?.slice() ?? null);
    weights.set(layer.name, { filter, bias: corrected, snrDb });
  }
  onProgress?.({ done: plans.length, total: plans.length, layer: null });
  const quantized = new Network({ architecture, weights, preprocessing, labels, activationBits, metadata });
  return { network: quantized, report: makeReport(network, quantized, means.size) };
}

/** The options of one of the networks that are made on the way to a target. */
export function withoutTarget<T extends QuantizeNetworkOptions>(
  options: T,
): Omit<T, 'target' | 'curvePoints'> {
  const { target, curvePoints, onProgress, ...rest } = options;
  const staged = (progress: QuantizeProgress): void => onProgress?.({ ...progress, stage: 'quantize' });
  return { bits: 4, ...rest, onProgress: staged } as unknown as Omit<T, 'target' | 'curvePoints'>;
}

/** The network with channels scaled for its depthwise convolutions, where that is wanted and possible. */
export function withScaledRanges(
  network: Network,
  plans: readonly { layer: LayerSpec; plan: LayerPlan }[],
  { rangeScaling, activationBits = 8 }: QuantizeNetworkOptions,
): Network {
  const isWanted = activationBits !== null && wantsKernels('rangeScaling', rangeScaling);
  return isWanted ? scaleRanges(network, rangePairs(network, plans)) : network;
}

/** Whether biases are corrected. */
export function wantsCorrection({ biasCorrection }: Pick<QuantizeNetworkOptions, 'biasCorrection'>): boolean {
  return wantsKernels('biasCorrection', biasCorrection);
}

/**
 * Whether something that needs DSConv kernels is done: as asked for, or where the current backend has them.
 *
 * @throws BackendUnavailableError when it is asked for and cannot be done
 */
export function wantsKernels(option: string, asked: boolean | undefined): boolean {
  const name = getBackend();
  const isPossible = name !== undefined && [DSCONV2D, DS_DEPTHWISE_CONV2D].every((op) => getKernel(op, name));
  if (asked && !isPossible) {
    throw new BackendUnavailableError(
      `the current TensorFlow.js backend '${name}' has no DSConv kernels, which ${option} needs; expected a backend such as 'dsconv-cpu'`,
    );
  }
  return asked ?? isPossible;
}

/** Rounds one layer's weights, nothing else. */
export function quantizeLayer(
  layer: Pick<LayerSpec, 'name' | 'kind' | 'shape'>,
  exact: Float32Array,
  { bits, blockSize, perChannel }: LayerPlan,
  { scales = 'float16', method = 'search', kdsBias = false, cds = false }: QuantizeNetworkOptions,
): DSConvFilter {
  const common = { bits, blockSize, scales, method, name: layer.name };
  if (layer.kind === 'depthwise') return quantizeDepthwiseFilter(exact, layer.shape, common);
  const shifters = perChannel ? {} : { kdsBias, cds };
  return quantizeFilter(exact, layer.shape, { ...common, ...shifters, perChannel });
}

/** What became of every layer. */
export function makeReport(before: Network, after: Network, correctedBiases: number): QuantizationReport {
  const layers = after.architecture.layers.map((layer): LayerReport => {
    const summary = summarizeLayer(layer, after.weights.get(layer.name)!);
    return {
      ...summary,
      bytesBefore: before.weights.get(layer.name)!.filter.byteLength,
      bytesAfter: summary.bytes,
    };
  });
  const weights = layers.reduce((sum, { weights: count }) => sum + count, 0);
  return {
    bytesBefore: networkFileLength(before),
    bytesAfter: networkFileLength(after),
    kernelBytesBefore: before.kernelByteLength,
    kernelBytesAfter: after.kernelByteLength,
    bitsPerWeight: (after.kernelByteLength * 8) / weights,
    correctedBiases,
    layers,
  };
}
