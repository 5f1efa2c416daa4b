/** What weights and scales are measured in while they are trained, so that one learning rate suits all blocks of all layers. */
import type { DSConvFilter } from '@dsconv/core';
import type { LayerSpec } from '@dsconv/models';

/** Weights before the shifters of the channels. */
export function unshift(values: Float32Array, filter: DSConvFilter): Float32Array {
  const [cds, cdsBias] = [filter.scales('cds')!, filter.scales('cdsBias')];
  return values.map((value, n) => {
    const o = n % cds.length;
    return Math.fround(value - (cdsBias ? cdsBias[o]! : 0)) / cds[o]!;
  });
}

/** The nearest power of two, by which dividing and multiplying is exact; 1 for 0. */
export const powerOfTwo = (value: number): number => (value > 0 ? 2 ** Math.round(Math.log2(value)) : 1);

/**
 * For every weight the root of the mean square of those that share a scale with it, as a power of two; where all of them are 0, that of the channel.
 *
 * @param depth of a block along the inputs; null where channels share one scale each
 */
export function blockSizes(w: Float32Array, { kind, shape }: LayerSpec, depth: number | null): Float32Array {
  const outputs = kind === 'depthwise' ? shape[2] * shape[3] : shape[3];
  const inputs = kind === 'depthwise' ? 1 : shape[2];
  const blocks = depth === null ? 1 : Math.ceil(inputs / depth);
  const groupOf = (n: number): number => {
    if (depth === null) return n % outputs;
    const row = Math.floor(n / outputs);
    const block = Math.floor(row / inputs) * blocks + Math.floor((row % inputs) / depth);
    return block * outputs + (n % outputs);
  };
  const meanSquares = (group: (n: number) => number, count: number): Float64Array => {
    const [sums, counts] = [new Float64Array(count), new Float64Array(count)];
    w.forEach((value, n) => {
      sums[group(n)]! += value * value;
      counts[group(n)]!++;
    });
    return sums.map((sum, n) => sum / counts[n]!);
  };
  const own = meanSquares(groupOf, Math.ceil(w.length / outputs) * outputs);
  const channel = meanSquares((n) => n % outputs, outputs);
  return w.map((_, n) => powerOfTwo(Math.sqrt(own[groupOf(n)]! || channel[n % outputs]!)));
}
