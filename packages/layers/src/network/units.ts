/** What weights and scales are measured in while they are trained, so that one learning rate suits all blocks of all layers. */
import type { DSConvFilter } from '@dsconv/core';
import { eachRow } from '../filter/host.js';
import { groupingOf, type Partition, scaleShape } from '../filter/partition.js';

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

/** For every weight the root of the mean square of those that share a scale with it, as a power of two; where all of them are 0, that of the channel. */
export function blockSizes(w: Float32Array, partition: Partition): Float32Array {
  const { outputs } = groupingOf(partition);
  const scales = scaleShape(partition).reduce((a, b) => a * b, 1);
  const [sums, counts] = [new Float64Array(scales), new Float64Array(scales)];
  eachRow(partition, (at, s) => {
    for (let o = 0; o < outputs; o++) {
      sums[s + o]! += w[at + o]! ** 2;
      counts[s + o]!++;
    }
  });
  const ofChannel = new Float64Array(outputs);
  sums.forEach((sum, s) => {
    ofChannel[s % outputs]! += (sum * outputs) / w.length;
  });
  const sizes = sums.map((sum, s) => powerOfTwo(Math.sqrt(sum / counts[s]! || ofChannel[s % outputs]!)));
  const found = new Float32Array(w.length);
  eachRow(partition, (at, s) => {
    found.set(sizes.subarray(s, s + outputs), at);
  });
  return found;
}
