/** What whole quantized networks lose, and the search for the smallest one that loses little enough. */
import { InvalidArgumentError } from '@dsconv/core';
import type { Network } from '@dsconv/models';
import type { CalibrationPictures } from '../calibration/calibrate-options.js';
import { agreement, divergence } from './compare-logits.js';
import type { Selection } from './knapsack.js';
import { logitsOf } from './network-logits.js';

/** What is lost by a network that was made. */
export interface MeasuredLoss {
  /** Kullback-Leibler divergence from the float network's answers, nats per picture. */
  loss: number;
  /** Part of the pictures with the float network's class. */
  agreement: number;
}

/** Holds quantized networks against the float one on the same pictures. */
export class LossMeter {
  private expected: Float32Array | null = null;

  constructor(
    private readonly float: Network,
    private readonly pictures: CalibrationPictures,
  ) {}

  async measure(network: Network): Promise<MeasuredLoss> {
    this.expected ??= await logitsOf(this.float, this.pictures);
    const found = await logitsOf(network, this.pictures);
    const { classes } = this.float.architecture;
    return {
      loss: divergence(this.expected, found, classes),
      agreement: agreement(this.expected, found, classes),
    };
  }
}

/** A network that was made, with what it loses. */
export interface Trial<R> {
  selection: Selection;
  network: Network;
  report: R;
  measured: MeasuredLoss;
}

/**
 * The smallest of some selections with little enough loss, by bisection: a larger one is taken to lose less.
 *
 * @param selections by rising bytes
 * @param make a network for a selection, and measures it
 * @throws InvalidArgumentError when even the largest loses too much
 */
export async function smallestWithin<R>(
  selections: readonly Selection[],
  maxDrop: number,
  make: (selection: Selection) => Promise<Trial<R>>,
): Promise<{ best: Trial<R>; trials: Trial<R>[] }> {
  const trials: Trial<R>[] = [];
  let best: Trial<R> | null = null;
  let [low, high] = [0, selections.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const trial = await make(selections[middle]!);
    trials.push(trial);
    // A hair of room, for parts of pictures are no binary fractions.
    if (1 - trial.measured.agreement <= maxDrop + 1e-9) {
      best?.network.dispose();
      best = trial;
      high = middle;
    } else {
      trial.network.dispose();
      low = middle + 1;
    }
  }
  if (best) return { best, trials };
  const least = Math.min(...trials.map(({ measured }) => 1 - measured.agreement));
  throw new InvalidArgumentError(
    `target.maxDrop is ${maxDrop}, but the least that was reached is ${least.toFixed(4)}; expected at least that, or more pictures`,
  );
}

/** At most `count` selections, evenly spread over the logarithm of their bytes; the first and the last among them. */
export function spread(selections: readonly Selection[], count: number): Selection[] {
  const last = selections.length - 1;
  if (selections.length <= count) return [...selections];
  const [from, to] = [Math.log(selections[0]!.bytes), Math.log(selections[last]!.bytes)];
  const picked = new Set<number>([0, last]);
  for (let n = 1; n < count - 1; n++) {
    const wanted = from + ((to - from) * n) / (count - 1);
    const at = selections.findIndex(({ bytes }) => Math.log(bytes) >= wanted);
    picked.add(at < 0 ? last : at);
  }
  return [...picked].sort((a, b) => a - b).map((n) => selections[n]!);
}
