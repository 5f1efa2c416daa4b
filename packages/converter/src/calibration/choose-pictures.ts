/** Which pictures a calibration runs, and how many at a time. */
import { seededRandom } from '../random.js';
import { liveBytes, type NetworkStructure } from './structure.js';

/** Pictures whose activations, in the float and in the quantized network, fit into `memory` bytes. */
export function mostPictures(structure: NetworkStructure, memory: number): number {
  const nodes = structure.convolutions.map(({ index }) => liveBytes(structure, index));
  const resultBytes = structure.convolutions.map(
    ({ node }) => 4 * node.outputs[0]!.shape.reduce((product, d) => product * d, 1),
  );
  const most = Math.max(...nodes.map((bytes, n) => bytes + resultBytes[n]!));
  return Math.max(1, Math.floor(memory / (2 * most)));
}

/** `most` of `count` indices in ascending order, drawn by seed. */
export function choosePictures(count: number, most: number, seed: number): number[] {
  const random = seededRandom(seed);
  const wanted = Math.min(count, most);
  const chosen: number[] = [];
  for (let n = 0; chosen.length < wanted; n++) {
    if (random() * (count - n) < wanted - chosen.length) chosen.push(n);
  }
  return chosen;
}

/** The largest divisor of a number that is at most `most`. */
export function largestDivisor(of: number, most: number): number {
  for (let divisor = Math.min(of, most); ; divisor--) if (of % divisor === 0) return divisor;
}
