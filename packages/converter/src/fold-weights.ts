import { type BatchNormParameters, DSConvError, foldBatchNorm } from '@dsconv/core';
import {
  type Architecture,
  FileFormatError,
  type LayerSpec,
  type LayerWeights,
  outChannels,
} from '@dsconv/models';
import type { SourceTensors } from './source-tensors.js';

/**
 * Takes the tensors of every layer, brings them to HWIO and folds batch normalization.
 *
 * @param epsilon ε of a layer's batch normalization, where the source states another than the architecture's
 * @throws FileFormatError, NotFiniteError as `SourceTensors.take`
 */
export function foldWeights(
  architecture: Architecture,
  tensors: SourceTensors,
  source: string,
  epsilon: ReadonlyMap<string, number> = new Map(),
): Map<string, LayerWeights> {
  const weights = new Map<string, LayerWeights>();
  for (const layer of architecture.layers) {
    const channels = outChannels(layer);
    const { norm } = layer.source;
    const isNorm = layer.kind === 'norm';
    const kernel = isNorm
      ? new Float32Array(channels).fill(1)
      : architecture.framework === 'pytorch'
        ? takeTorchKernel(layer, tensors)
        : tensors.take(layer.source.weight, layer.shape);
    // The bias of a normalization is its β, which is folded below.
    const hasBias = layer.source.bias !== null && !isNorm;
    const bias = hasBias ? tensors.take(layer.source.bias!, [channels]) : undefined;
    if (norm === null) {
      weights.set(layer.name, { filter: kernel, bias: bias ?? null });
      continue;
    }
    const parameters: BatchNormParameters = {
      gamma: tensors.take(norm.gamma, [channels]),
      beta: tensors.take(norm.beta, [channels]),
      mean: tensors.take(norm.mean, [channels]),
      variance: tensors.take(norm.variance, [channels]),
      epsilon: epsilon.get(layer.name) ?? norm.epsilon,
    };
    const kind = layer.kind === 'depthwise' ? 'depthwise' : 'conv2d';
    try {
      const folded = foldBatchNorm(kernel, layer.shape, parameters, bias, kind);
      const statistics = { mean: parameters.beta!, deviation: parameters.gamma!.map(Math.abs) };
      weights.set(layer.name, { filter: folded.weights, bias: folded.bias, statistics });
    } catch (error) {
      if (!(error instanceof DSConvError)) throw error;
      throw new FileFormatError(source, `batch normalization of layer '${layer.name}': ${error.message}`, {
        cause: error,
      });
    }
  }
  return weights;
}

/**
 * PyTorch's `[O, I, kh, kw]` to HWIO. A linear layer is `[O, I·kh·kw]`, because PyTorch flattens pictures channel by channel; a depthwise
 * kernel is `[C·multiplier, 1, kh, kw]`.
 */
function takeTorchKernel(layer: LayerSpec, tensors: SourceTensors): Float32Array {
  const [kh, kw, inner, outer] = layer.shape;
  const taps = kh * kw;
  if (layer.kind === 'depthwise') return takeDepthwiseKernel(layer, tensors);
  const shape = layer.kind === 'dense' ? [outer, inner * taps] : [outer, inner, kh, kw];
  const from = tensors.take(layer.source.weight, shape);
  const to = new Float32Array(from.length);
  // A strip of outputs at a time: whole cache lines are written, which is several times faster for VGG's hundred million weights.
  for (let strip = 0; strip < outer; strip += STRIP) {
    const end = Math.min(outer, strip + STRIP);
    for (let i = 0; i < inner; i++) {
      for (let tap = 0; tap < taps; tap++) {
        const row = (tap * inner + i) * outer;
        for (let o = strip; o < end; o++) to[row + o] = from[(o * inner + i) * taps + tap]!;
      }
    }
  }
  return to;
}

/** Outputs in a cache line. */
const STRIP = 16;

/** To `[kh, kw, C, multiplier]`; output `c·multiplier + m` reads channel `c` in both. */
function takeDepthwiseKernel({ shape, source }: LayerSpec, tensors: SourceTensors): Float32Array {
  const [kh, kw, channels, multiplier] = shape;
  const outputs = channels * multiplier;
  const from = tensors.take(source.weight, [outputs, 1, kh, kw]);
  const to = new Float32Array(from.length);
  const taps = kh * kw;
  for (let o = 0; o < outputs; o++) {
    for (let tap = 0; tap < taps; tap++) to[tap * outputs + o] = from[o * taps + tap]!;
  }
  return to;
}
