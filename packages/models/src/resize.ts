/** A resize of a whole picture of which one window is wanted. Sizes in pixels. */
export interface ResizeWindow {
  inWidth: number;
  inHeight: number;
  /** Size the whole picture is scaled to. */
  scaledWidth: number;
  scaledHeight: number;
  /** Corner and size of the window inside the scaled picture. */
  left: number;
  top: number;
  width: number;
  height: number;
}

/** For each output position, the first input position it reads and the weights from there on. */
interface Taps {
  first: Int32Array;
  count: Int32Array;
  /** `[output, most]`. */
  weights: Float64Array;
  most: number;
}

/** Filters by name, as PIL's: `weight(distance)` for distances up to `reach` pixels. */
const KERNELS = {
  bilinear: { reach: 1, weight: (distance: number): number => Math.max(0, 1 - distance) },
  bicubic: { reach: 2, weight: cubic },
} as const;

export type Interpolation = keyof typeof KERNELS;

/** Keys' cubic convolution with a = -1/2: R. G. Keys, IEEE Trans. ASSP 29(6), 1981. */
function cubic(distance: number): number {
  const d = distance;
  if (d < 1) return (1.5 * d - 2.5) * d * d + 1;
  return d < 2 ? ((-0.5 * d + 2.5) * d - 4) * d + 2 : 0;
}

/**
 * Separable interpolation with half-pixel centres. With `antialias` the kernel is widened by the scale when shrinking, so that every
 * input pixel counts: what PIL and torchvision's `antialias=True` compute, without their rounding to bytes. At the border the weights that
 * remain are normalized; what the cubic kernel overshoots is cut off after each pass, as in pictures of bytes.
 *
 * @param pixels float32 `[inHeight, inWidth, channels]`, 0 to 255
 * @returns float32 `[height, width, channels]`
 */
export function resize(
  pixels: Float32Array,
  channels: number,
  window: ResizeWindow,
  interpolation: Interpolation,
  antialias: boolean,
): Float32Array {
  const { inWidth, inHeight, width, height } = window;
  const columns = makeTaps(inWidth, window.scaledWidth, window.left, width, interpolation, antialias);
  const rows = makeTaps(inHeight, window.scaledHeight, window.top, height, interpolation, antialias);
  const firstRow = rows.first[0]!;
  const endRow = rows.first[height - 1]! + rows.count[height - 1]!;
  // Horizontally first, and only for the rows that the vertical pass reads.
  const narrow = new Float32Array((endRow - firstRow) * width * channels);
  let at = 0;
  for (let y = firstRow; y < endRow; y++) {
    for (let x = 0; x < width; x++) {
      const from = (y * inWidth + columns.first[x]!) * channels;
      for (let c = 0; c < channels; c++, at++) {
        let sum = 0;
        for (let k = 0; k < columns.count[x]!; k++) {
          sum += columns.weights[x * columns.most + k]! * pixels[from + k * channels + c]!;
        }
        narrow[at] = clip(sum);
      }
    }
  }
  const stride = width * channels;
  const out = new Float32Array(height * stride);
  for (let y = 0; y < height; y++) {
    const from = (rows.first[y]! - firstRow) * stride;
    for (let n = 0; n < stride; n++) {
      let sum = 0;
      for (let k = 0; k < rows.count[y]!; k++) {
        sum += rows.weights[y * rows.most + k]! * narrow[from + k * stride + n]!;
      }
      out[y * stride + n] = clip(sum);
    }
  }
  return out;
}

/** Only a cubic kernel leaves the range, by design; a bilinear one by rounding. */
const clip = (value: number): number => (value < 0 ? 0 : value > 255 ? 255 : value);

function makeTaps(
  input: number,
  scaled: number,
  offset: number,
  outputs: number,
  interpolation: Interpolation,
  antialias: boolean,
): Taps {
  const { reach, weight: kernel } = KERNELS[interpolation];
  const scale = input / scaled;
  const widening = antialias ? Math.max(1, scale) : 1;
  const support = reach * widening;
  const most = Math.ceil(support) * 2 + 1;
  const taps: Taps = {
    first: new Int32Array(outputs),
    count: new Int32Array(outputs),
    weights: new Float64Array(outputs * most),
    most,
  };
  for (let n = 0; n < outputs; n++) {
    const centre = (n + offset + 0.5) * scale;
    const first = Math.max(0, Math.floor(centre - support + 0.5));
    const end = Math.min(input, Math.floor(centre + support + 0.5));
    let total = 0;
    for (let i = first; i < end; i++) {
      const weight = kernel(Math.abs(i + 0.5 - centre) / widening);
      taps.weights[n * most + i - first] = weight;
      total += weight;
    }
    for (let k = 0; k < end - first; k++) taps.weights[n * most + k]! /= total;
    taps.first[n] = first;
    taps.count[n] = end - first;
  }
  return taps;
}
