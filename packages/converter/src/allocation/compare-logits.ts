/** How far a network's answers are from another's. */

/**
 * Mean over pictures of the Kullback-Leibler divergence of softmax probabilities, in nats.
 *
 * @param expected logits `[pictures, classes]`
 * @param found logits likewise
 */
export function divergence(expected: Float32Array, found: Float32Array, classes: number): number {
  let sum = 0;
  for (let from = 0; from < expected.length; from += classes) {
    const p = logProbabilities(expected.subarray(from, from + classes));
    const q = logProbabilities(found.subarray(from, from + classes));
    for (let c = 0; c < classes; c++) sum += Math.exp(p[c]!) * (p[c]! - q[c]!);
  }
  return Math.max(0, (sum * classes) / expected.length);
}

/** Part of the pictures for which both name the same class. */
export function agreement(expected: Float32Array, found: Float32Array, classes: number): number {
  let same = 0;
  for (let from = 0; from < expected.length; from += classes) {
    const end = from + classes;
    if (largestIndex(expected.subarray(from, end)) === largestIndex(found.subarray(from, end))) same++;
  }
  return (same * classes) / expected.length;
}

function largestIndex(values: Float32Array): number {
  let best = 0;
  for (let n = 1; n < values.length; n++) if (values[n]! > values[best]!) best = n;
  return best;
}

function logProbabilities(logits: Float32Array): Float64Array {
  let largest = -Infinity;
  for (const value of logits) largest = Math.max(largest, value);
  let sum = 0;
  for (const value of logits) sum += Math.exp(value - largest);
  const shift = largest + Math.log(sum);
  return Float64Array.from(logits, (value) => value - shift);
}
