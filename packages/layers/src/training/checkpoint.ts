/** Everything that training needs to go on, as named float arrays. */
import { InvalidArgumentError } from '@dsconv/core';
import { type Optimizer, type Tensor, tensor, tidy, type Variable } from '@tensorflow/tfjs-core';

/** Values of variables by name. */
export type Snapshot = ReadonlyMap<string, { shape: readonly number[]; values: Float32Array }>;

/** Reads variables. */
export async function takeSnapshot(state: ReadonlyMap<string, Variable>): Promise<Snapshot> {
  const entries = await Promise.all(
    [...state].map(async ([name, variable]) => {
      const values = ((await variable.data()) as Float32Array).slice();
      return [name, { shape: [...variable.shape], values }] as const;
    }),
  );
  return new Map(entries);
}

/**
 * Writes values back.
 *
 * @throws InvalidArgumentError naming a variable that the snapshot lacks or has in another shape; nothing is changed then
 */
export function restoreSnapshot(state: ReadonlyMap<string, Variable>, snapshot: Snapshot): void {
  for (const [name, variable] of state) {
    const found = snapshot.get(name);
    if (!found || found.shape.join() !== variable.shape.join()) {
      throw new InvalidArgumentError(
        `the checkpoint has '${name}' ${found ? `of shape [${found.shape}]` : 'not at all'}; expected shape [${variable.shape}]`,
      );
    }
  }
  tidy(() => {
    for (const [name, variable] of state) {
      const { shape, values } = snapshot.get(name)!;
      variable.assign(tensor(values, [...shape]));
    }
  });
}

/**
 * Powers of β that TensorFlow.js's Adam multiplies step by step. It leaves them out of its weights and takes powers of the number of steps instead, which
 * differ in the last bits: training that goes on would not be the training that was not interrupted.
 */
const POWERS = ['accBeta1', 'accBeta2'] as const;

type Powers = { [name in (typeof POWERS)[number]]?: Variable };

/** Accumulators of an optimizer, in its own order. */
export async function takeOptimizer(optimizer: Optimizer): Promise<Snapshot> {
  const weights = await optimizer.getWeights();
  const tensors: [string, Tensor][] = weights.map(({ tensor: value }, n) => [`${n}`, value]);
  for (const name of POWERS) {
    const power = (optimizer as Powers)[name];
    if (power) tensors.push([name, power]);
  }
  const entries = await Promise.all(
    tensors.map(async ([name, value]) => {
      const values = Float32Array.from(await value.data());
      return [name, { shape: [...value.shape], values }] as const;
    }),
  );
  return new Map(entries);
}

export async function restoreOptimizer(optimizer: Optimizer, snapshot: Snapshot): Promise<void> {
  const isPower = (name: string): boolean => POWERS.includes(name as (typeof POWERS)[number]);
  const ordered = [...snapshot].filter(([name]) => !isPower(name)).sort(([a], [b]) => Number(a) - Number(b));
  const weights = ordered.map(([name, { shape, values }]) => ({
    name,
    // The first is the number of steps.
    tensor: name === '0' ? tensor(Int32Array.from(values), [...shape], 'int32') : tensor(values, [...shape]),
  }));
  await optimizer.setWeights(weights);
  for (const { tensor: value } of weights) value.dispose();
  tidy(() => {
    for (const name of POWERS) {
      const saved = snapshot.get(name);
      if (saved) (optimizer as Powers)[name]?.assign(tensor(saved.values, [...saved.shape]));
    }
  });
}
