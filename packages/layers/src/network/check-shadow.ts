import { type DSConvFilter, InvalidArgumentError } from '@dsconv/core';

/** An output channel whose float weights are not within this factor of the rounded ones was rounded from others. */
const MOST = 2;
/** Share of the channels for which that may be so: few bits leave little of some. */
const EXCEPTIONS = 0.1;

/**
 * Holds float weights against the filter that is said to be made from them, channel by channel: `⟨w, ŵ⟩ / ⟨ŵ, ŵ⟩` is near 1 there.
 *
 * @throws InvalidArgumentError naming the layer
 */
export function checkShadow(layer: string, shadow: Float32Array, filter: DSConvFilter): void {
  const rounded = filter.dequantize();
  const outputs = filter.outChannels;
  const common = new Float64Array(outputs);
  const squares = new Float64Array(outputs);
  rounded.forEach((value, n) => {
    common[n % outputs]! += value * shadow[n]!;
    squares[n % outputs]! += value * value;
  });
  const foreign = common.filter((sum, o) => {
    const slope = sum / squares[o]!;
    return squares[o]! > 0 && !(slope >= 1 / MOST && slope <= MOST);
  }).length;
  if (foreign <= EXCEPTIONS * outputs) return;
  throw new InvalidArgumentError(
    `float has other weights than '${layer}' was quantized from in ${foreign} of ${outputs} channels; expected the very float network, and one quantized without range scaling`,
  );
}
