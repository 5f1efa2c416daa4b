/** Layers that become a part of the convolution before them: batch normalization and activations. */
import { applyBatchNorm, type Convolution, outChannelsOf } from '../graph/convolution.js';
import { LayerConfig } from './layer-config.js';
import type { LayerWeights } from './layer-weights.js';
import type { Layer } from './topology.js';

/**
 * Takes a layer into the convolution whose output it reads.
 *
 * @param rank of the convolution's output, or null where it is not known
 * @returns false when the layer is none that can be taken
 * @throws LayerError when it is malformed, or a weight is missing or of another length
 */
export function absorbLayer(
  convolution: Convolution,
  layer: Layer,
  rank: number | null,
  weights: LayerWeights,
  file: string,
): boolean {
  if (convolution.activation !== 'linear') return false;
  const config = new LayerConfig(layer, file);
  switch (layer.className) {
    case 'BatchNormalization':
      return absorbNormalization(convolution, layer, config, rank, weights);
    case 'Activation': {
      const activation = config.activation();
      if (activation === 'linear') return true;
      if (activation === 'relu' || activation === 'relu6') convolution.activation = activation;
      else if (activation === 'swish' || activation === 'silu') convolution.activation = 'silu';
      else return false;
      return true;
    }
    case 'ReLU': {
      const most = config.value('max_value', null);
      const plain = config.value('threshold', 0) === 0 && config.value('negative_slope', 0) === 0;
      if (!plain || (most !== null && most !== 6)) return false;
      convolution.activation = most === 6 ? 'relu6' : 'relu';
      return true;
    }
    case 'LeakyReLU':
      convolution.activation = 'leakyrelu';
      convolution.leakyreluAlpha = config.number('alpha', config.number('negative_slope', 0.3));
      return true;
    case 'PReLU': {
      const { shape, values } = weights.get(layer, 'alpha');
      const channels = outChannelsOf(convolution);
      if (values.length !== channels || shape.at(-1) !== channels) return false;
      convolution.activation = 'prelu';
      convolution.slopes = values;
      return true;
    }
    default:
      return false;
  }
}

function absorbNormalization(
  convolution: Convolution,
  layer: Layer,
  config: LayerConfig,
  rank: number | null,
  weights: LayerWeights,
): boolean {
  const stated = config.value('axis', -1);
  const [axis, ...others] = Array.isArray(stated) ? stated : [stated];
  if (others.length > 0 || (axis !== -1 && (rank === null || axis !== rank - 1))) return false;
  const channels = outChannelsOf(convolution);
  const part = (name: string, isThere: boolean, otherwise: number): Float32Array =>
    isThere ? weights.vector(layer, name, channels) : new Float32Array(channels).fill(otherwise);
  return applyBatchNorm(convolution, {
    gamma: part('gamma', config.boolean('scale', true), 1),
    beta: part('beta', config.boolean('center', true), 0),
    mean: part('moving_mean', true, 0),
    variance: part('moving_variance', true, 1),
    epsilon: config.number('epsilon', 0.001),
  });
}

/** Layers that keep the number of dimensions. */
const KEEPING = new Set([
  'Activation',
  'AlphaDropout',
  'BatchNormalization',
  'Dense',
  'Dropout',
  'ELU',
  'GaussianDropout',
  'GaussianNoise',
  'LayerNormalization',
  'LeakyReLU',
  'PReLU',
  'ReLU',
  'Softmax',
]);

/** Dimensions of a layer's output, or null where only running the model would tell. */
export function rankOf(layer: Layer | undefined, byName: ReadonlyMap<string, Layer>): number | null {
  for (let at = layer, steps = 0; at !== undefined && steps < 1000; steps++) {
    const shape = at.config.batch_input_shape ?? at.config.batchInputShape;
    if (at.className === 'Flatten' || /^Global(Average|Max)Pooling[123]D$/.test(at.className)) return 2;
    if (/(Conv2D|Pooling2D|Padding2D|Sampling2D|Cropping2D)$/.test(at.className)) return 4;
    if (at.className === 'Reshape') {
      return Array.isArray(at.config.target_shape) ? at.config.target_shape.length + 1 : null;
    }
    if (Array.isArray(shape)) return shape.length;
    if (!KEEPING.has(at.className)) return null;
    at = byName.get(at.calls[0]?.[0]?.layer ?? '');
  }
  return null;
}
