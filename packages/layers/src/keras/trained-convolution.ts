/** From the tensors of a trained layer to the integers and scales that it computes with. */
import type { TrainedConvolution } from '@dsconv/converter/freeze';
import { NotFiniteError } from '@dsconv/core';
import { type Tensor, tidy } from '@tensorflow/tfjs-core';
import { floatsOf, freezeFilter } from '../filter/quantized-filter.js';
import { foldNorm } from '../network/batch-norm.js';
import type { LayerState } from './ds-convolution.js';

/** `B * 2^(b-1) * (2^(m-1)-1)` must not exceed this, so that the operator's sums are exact (NUMERICS §4). */
const EXACT_LIMIT = 2 ** 24;

/**
 * @param layer its name, for errors
 * @param activation Keras' name
 * @returns the convolution, or a clause that says why the layer has to stay as it is
 * @throws NotFiniteError naming the layer and the weight that is NaN or infinite
 */
export async function trainedConvolution(
  layer: string,
  state: LayerState,
  activation: string,
): Promise<TrainedConvolution | string> {
  const { norm } = state;
  const { bits, blockSize, activationBits, padding, groups } = state.settings;
  if (
    activationBits !== null &&
    blockSize * 2 ** (bits - 1) * (2 ** (activationBits - 1) - 1) > EXACT_LIMIT
  ) {
    return `its blocks of ${blockSize} are too deep for exact sums at ${bits} weight bits and ${activationBits} activation bits`;
  }
  const read = async (name: string, tensor: Tensor | null): Promise<Float32Array | null> => {
    if (!tensor) return null;
    const values = (await floatsOf(tensor)).slice();
    const bad = values.findIndex((value) => !Number.isFinite(value));
    if (bad < 0) return values;
    throw new NotFiniteError(
      `${name}[${bad}] of layer '${layer}' is ${values[bad]}; expected finite numbers, as before training diverged`,
    );
  };
  const shadow = tidy(() => state.unshifted());
  try {
    const values = {
      w: (await read('kernel', shadow))!,
      kds: (await read('kds', state.kds))!,
      kdsBias: await read('kds_bias', state.kdsBias),
    };
    const own = {
      scale: await read('cds', state.cds),
      shift: await read('cds_bias', state.cdsBias),
      bias: await read('bias', state.bias),
    };
    const folded = norm && {
      gamma: (await read('gamma', norm.gamma))!,
      beta: (await read('beta', norm.beta))!,
      mean: (await read('moving_mean', norm.mean))!,
      variance: (await read('moving_variance', norm.variance))!,
    };
    const { scale, shift, bias } = folded ? through(own, foldNorm(folded)) : own;
    return {
      filter: freezeFilter(values, bits, state.partition, { scale, shift }),
      bias,
      strides: [...state.strides],
      dilations: [...state.dilations],
      groups: state.partition.kind === 'conv2d' ? groups : 1,
      pad: padding,
      activationBits,
      activation,
    };
  } finally {
    if (shadow !== state.kernel) shadow.dispose();
  }
}

/** A layer's shifters, each an array with one value per output channel or null. */
interface ChannelValues {
  scale: Float32Array | null;
  shift: Float32Array | null;
  bias: Float32Array | null;
}

/** What becomes of them behind `y = scale * x + shift`. */
function through(own: ChannelValues, norm: { scale: Float32Array; shift: Float32Array }): ChannelValues {
  const scaled = (values: Float32Array | null): Float32Array | null =>
    values?.map((value, o) => value * norm.scale[o]!) ?? null;
  return {
    scale: scaled(own.scale) ?? norm.scale,
    shift: scaled(own.shift),
    bias: scaled(own.bias)?.map((value, o) => value + norm.shift[o]!) ?? norm.shift,
  };
}
