/** The rounding of filters inside training: forward on the grid, backward as if it were not there. NUMERICS §6. */
import {
  customGrad,
  getBackend,
  mul,
  type Tensor,
  type Tensor4D,
  tensor,
  tidy,
  zeros,
} from '@tensorflow/tfjs-core';
import { fakeQuantizeComposite, gradientsComposite, refitComposite } from './composite.js';
import {
  asStored,
  dequantizeOnHost,
  fitOnHost,
  gradientsOnHost,
  type HostScales,
  refitOnHost,
  roundOnHost,
} from './host.js';
import { type Partition, scaleShape, weightsPerScale } from './partition.js';

/** Backends whose tensors `dataSync` hands over without waiting for another processor. */
export function isHostBackend(name = getBackend()): boolean {
  return name === 'cpu' || name === 'wasm' || name === 'tensorflow' || name.startsWith('dsconv-cpu');
}

/**
 * Rounds a filter to its grid:
 *
 *     ŵ = kds * q + kdsBias,   q = clamp(roundHalfEven((w - kdsBias) / kds), -2^(b-1), 2^(b-1)-1)
 *
 * with straight-through gradients: `∂ŵ/∂w` is 1 where the clamp changes nothing and 0 where it does; `∂ŵ/∂kds = q - (w - kdsBias)/kds` there, and
 * `q` at the clamp; `∂ŵ/∂kdsBias` is 0 and 1. The gradients of scales and shifts are multiplied by `1/√(N (2^(b-1) - 1))`, `N` the weights of a
 * scale, so that they move as fast as the weights do (Esser et al., "Learned Step Size Quantization", arXiv 1902.08153, sections 2.1 and 2.2; Bhalgat et
 * al., "LSQ+", arXiv 2004.09576).
 *
 * @param w the shadow weights, float32, in the shape of the partition
 * @param kds scales, as `scaleShape` says; a scale of 0 rounds to 0. Scales and shifts count as the numbers that files will store
 * @param kdsBias shifts of the same shape, or null
 */
export function fakeQuantize(
  w: Tensor4D,
  kds: Tensor,
  kdsBias: Tensor | null,
  bits: number,
  partition: Partition,
): Tensor4D {
  const onHost = isHostBackend();
  const step = 1 / Math.sqrt(weightsPerScale(partition) * (2 ** (bits - 1) - 1));
  const operator = customGrad((...args: unknown[]) => {
    const save = args.at(-1) as (tensors: Tensor[]) => void;
    const [weights, scales, shifts = null] = args.slice(0, -1) as Tensor[];
    save(shifts ? [weights!, scales!, shifts] : [weights!, scales!]);
    const value = onHost
      ? forwardOnHost(weights!, scales!, shifts, bits, partition)
      : fakeQuantizeComposite(weights as Tensor4D, scales!, shifts, bits, partition);
    const gradFunc = (dy: Tensor, saved: Tensor[]): Tensor[] => {
      const [savedW, savedKds, savedShifts = null] = saved;
      const { dw, dkds, dkdsBias } = onHost
        ? backwardOnHost(dy, savedW!, savedKds!, savedShifts, bits, partition)
        : gradientsComposite(dy as Tensor4D, savedW as Tensor4D, savedKds!, savedShifts, bits, partition);
      return savedShifts ? [dw, mul(dkds, step), mul(dkdsBias, step)] : [dw, mul(dkds, step)];
    };
    return { value, gradFunc };
  });
  return operator(...(kdsBias ? [w, kds, kdsBias] : [w, kds])) as Tensor4D;
}

/** The scales that fit the weights after a step: see `refitOnHost`.  */
export function refitScales(w: Tensor4D, kds: Tensor, bits: number, partition: Partition): Tensor {
  if (!isHostBackend()) return refitComposite(w, kds, bits, partition);
  return tensor(refitOnHost(floats(w), floats(kds), bits, partition), kds.shape);
}

/** Scales fitted from scratch, as core's quantizer does. Elsewhere than on the host by steps of least squares, from the largest weights on. */
export function fitScales(w: Tensor4D, bits: number, partition: Partition): Tensor {
  if (isHostBackend()) return tensor(fitOnHost(floats(w), bits, partition).kds, scaleShape(partition));
  return tidy(() => {
    let kds: Tensor = zeros(scaleShape(partition));
    for (let n = 0; n < 8; n++) kds = refitComposite(w, kds, bits, partition);
    return kds;
  });
}

function forwardOnHost(
  w: Tensor,
  kds: Tensor,
  kdsBias: Tensor | null,
  bits: number,
  partition: Partition,
): Tensor4D {
  const scales = hostScales(kds, kdsBias, partition);
  const q = roundOnHost(floats(w), scales, bits, partition);
  return tensor(dequantizeOnHost(q, scales, partition), [...partition.shape]);
}

function backwardOnHost(
  dy: Tensor,
  w: Tensor,
  kds: Tensor,
  kdsBias: Tensor | null,
  bits: number,
  partition: Partition,
): { dw: Tensor; dkds: Tensor; dkdsBias: Tensor } {
  const found = gradientsOnHost(floats(dy), floats(w), hostScales(kds, kdsBias, partition), bits, partition);
  return {
    dw: tensor(found.dw, w.shape),
    dkds: tensor(found.dkds, kds.shape),
    dkdsBias: tensor(found.dkdsBias, kds.shape),
  };
}

function hostScales(kds: Tensor, kdsBias: Tensor | null, partition: Partition): HostScales {
  return {
    kds: asStored(floats(kds), partition),
    kdsBias: kdsBias && asStored(floats(kdsBias), partition),
  };
}

const floats = (t: Tensor): Float32Array => t.dataSync() as Float32Array;
