/**
 * Choosing one of several forms for every layer, so that the sum of their losses is least and the sum of their bytes stays within a budget: the
 * multiple-choice knapsack problem. Sinha and Zoltners, "The Multiple-Choice Knapsack Problem", Operations Research 27 (1979).
 */

/** One form a layer can have. */
export interface Choice {
  /** Whole bytes, at least 0. */
  bytes: number;
  /** What is lost; smaller is better. */
  loss: number;
}

export interface Selection {
  /** Index of the choice of every layer. */
  chosen: number[];
  bytes: number;
  loss: number;
}

/** Partial selections that are kept at most. Beyond it the ones least likely to matter are dropped, and the result may fall short of the optimum. */
const MOST_STATES = 100_000;

/**
 * The choices that can be best for some price of a byte: none is cheaper with less loss, and none lies above the line between two others.
 *
 * @returns indices by ascending bytes
 */
export function lowerHull(choices: readonly Choice[]): number[] {
  const order = choices.map((_, n) => n).sort((a, b) => compare(choices[a]!, choices[b]!) || a - b);
  const hull: number[] = [];
  for (const n of order) {
    const next = choices[n]!;
    if (hull.length > 0 && choices[hull.at(-1)!]!.loss <= next.loss) continue;
    while (hull.length > 1) {
      const [a, b] = [choices[hull.at(-2)!]!, choices[hull.at(-1)!]!];
      // The slope from a to b must be steeper than from b to the next.
      if ((a.loss - b.loss) * (next.bytes - b.bytes) > (b.loss - next.loss) * (b.bytes - a.bytes)) break;
      hull.pop();
    }
    hull.push(n);
  }
  return hull;
}

const compare = (a: Choice, b: Choice): number => a.bytes - b.bytes || a.loss - b.loss;

/** A step from one choice of a layer to the next on its hull. */
interface Step {
  layer: number;
  to: number;
  bytes: number;
  gain: number;
}

/**
 * Everything that is best for some price of a byte, from the smallest on: each selection makes one layer larger than in the one before. Bytes
 * rise and losses fall.
 */
export function hullSelections(layers: readonly (readonly Choice[])[]): Selection[] {
  const { base, steps } = relaxation(layers);
  const selections = [base];
  for (const { layer, to, bytes, gain } of steps) {
    const last = selections.at(-1)!;
    const chosen = [...last.chosen];
    chosen[layer] = to;
    selections.push({ chosen, bytes: last.bytes + bytes, loss: last.loss - gain });
  }
  return selections;
}

function relaxation(layers: readonly (readonly Choice[])[]): { base: Selection; steps: Step[] } {
  const hulls = layers.map(lowerHull);
  const base = total(
    layers,
    hulls.map((hull) => hull[0]!),
  );
  const steps = hulls.flatMap((hull, layer) =>
    hull.slice(1).map((to, n): Step => {
      const [from, next] = [layers[layer]![hull[n]!]!, layers[layer]![to]!];
      return { layer, to, bytes: next.bytes - from.bytes, gain: from.loss - next.loss };
    }),
  );
  // By falling gain per byte; a layer's own steps fall already, and of equal ones the sort keeps the order.
  steps.sort((a, b) => b.gain * a.bytes - a.gain * b.bytes);
  return { base, steps };
}

/** Sums up. */
export function total(layers: readonly (readonly Choice[])[], chosen: readonly number[]): Selection {
  let [bytes, loss] = [0, 0];
  for (const [layer, choice] of chosen.entries()) {
    bytes += layers[layer]![choice]!.bytes;
    loss += layers[layer]![choice]!.loss;
  }
  return { chosen: [...chosen], bytes, loss };
}

/** A selection for the layers up to one of them. */
interface State {
  bytes: number;
  loss: number;
  choice: number;
  before: State | null;
}

/**
 * The selection of least loss within the budget, or null where even the smallest is too large. Exact: partial selections are extended layer by
 * layer, and dropped when another is smaller with less loss, or when what they can still reach, by the relaxed problem's price of a byte, is no
 * better than a selection already known.
 */
export function selectWithin(layers: readonly (readonly Choice[])[], budget: number): Selection | null {
  const { base, steps } = relaxation(layers);
  if (base.bytes > budget) return null;
  const { known, price } = greedy(layers, base, steps, budget);
  // Least of loss + price · bytes, and of bytes, over the layers from n on.
  const priced = layers.map((choices) => Math.min(...choices.map(({ bytes, loss }) => loss + price * bytes)));
  const smallest = layers.map((choices) => Math.min(...choices.map(({ bytes }) => bytes)));
  const restPriced = suffixSums(priced);
  const restBytes = suffixSums(smallest);
  const slack = 1e-9 * Math.abs(known.loss) + Number.MIN_VALUE;
  let states: State[] = [{ bytes: 0, loss: 0, choice: -1, before: null }];
  layers.forEach((choices, layer) => {
    const next: State[] = [];
    for (const before of states) {
      choices.forEach((choice, index) => {
        const bytes = before.bytes + choice.bytes;
        const loss = before.loss + choice.loss;
        if (bytes + restBytes[layer + 1]! > budget) return;
        if (loss + price * (bytes - budget) + restPriced[layer + 1]! > known.loss + slack) return;
        next.push({ bytes, loss, choice: index, before });
      });
    }
    states = thinned(withoutDominated(next), price);
  });
  const best = states.reduce<State | null>((a, b) => (a === null || b.loss < a.loss ? b : a), null);
  return best === null || best.loss >= known.loss ? known : total(layers, choicesOf(best));
}

/** Follows the relaxation as far as it fits, then takes whatever later step still does. */
function greedy(
  layers: readonly (readonly Choice[])[],
  base: Selection,
  steps: readonly Step[],
  budget: number,
): { known: Selection; price: number } {
  const chosen = [...base.chosen];
  const blocked = new Set<number>();
  let bytes = base.bytes;
  let price = 0;
  for (const step of steps) {
    if (blocked.has(step.layer)) continue;
    if (bytes + step.bytes > budget) {
      // A layer goes along its hull one step after the other.
      blocked.add(step.layer);
      if (price === 0) price = step.gain / step.bytes;
      continue;
    }
    bytes += step.bytes;
    chosen[step.layer] = step.to;
  }
  return { known: total(layers, chosen), price };
}

/** `sums[n]` is the sum from n on; `sums[length]` is 0. */
function suffixSums(values: readonly number[]): number[] {
  const sums = new Array<number>(values.length + 1).fill(0);
  for (let n = values.length - 1; n >= 0; n--) sums[n] = sums[n + 1]! + values[n]!;
  return sums;
}

function withoutDominated(states: State[]): State[] {
  states.sort(compare);
  const kept: State[] = [];
  for (const state of states) if (kept.length === 0 || state.loss < kept.at(-1)!.loss) kept.push(state);
  return kept;
}

function thinned(states: State[], price: number): State[] {
  if (states.length <= MOST_STATES) return states;
  const cost = ({ bytes, loss }: State): number => loss + price * bytes;
  return states
    .sort((a, b) => cost(a) - cost(b))
    .slice(0, MOST_STATES)
    .sort(compare);
}

function choicesOf(state: State): number[] {
  const chosen: number[] = [];
  for (let at: State | null = state; at !== null && at.choice >= 0; at = at.before) chosen.push(at.choice);
  return chosen.reverse();
}
