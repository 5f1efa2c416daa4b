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
    const kernel =
      architecture.framework === 'pytorch'
        ? takeTorchKernel(layer, tensors)
        : tensors.take(layer.source.weight, layer.shape);
    const bias = layer.source.bias === null ? undefined : tensors.take(layer.source.bias, [channels]);
    const { norm } = layer.source;
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
      weights.set(layer.name, { filter: folded.weights, bias: folded.bias });
    } catch (error) {
      if (!(error instanceof DSConvError)) throw error;
      throw new FileFormatError(source, `batch normalization of layer '${layer.name}': ${error.message}`, {
        cause: error,
      });
    }
  }
  return weights;
}

/** PyTorch's `[O, I, kh, kw]` (a linear layer: `[O, I]`) to HWIO. */
function takeTorchKernel(layer: LayerSpec, tensors: SourceTensors): Float32Array {
  const [kh, kw, inner, outer] = layer.shape;
  const shape = layer.kind === 'dense' ? [outer, inner] : [outer, inner, kh, kw];
  const from = tensors.take(layer.source.weight, shape);
  const to = new Float32Array(from.length);
  const taps = kh * kw;
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      for (let tap = 0; tap < taps; tap++) {
        to[(tap * inner + i) * outer + o] = from[(o * inner + i) * taps + tap]!;
      }
    }
  }
  return to;
}
