/** Everything that training needs to go on, as named float arrays. */
import { InvalidArgumentError } from '@dsconv/core';
import { type Optimizer, tensor, tidy, type Variable } from '@tensorflow/tfjs-core';

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

/** Accumulators of an optimizer, in its own order. */
export async function takeOptimizer(optimizer: Optimizer): Promise<Snapshot> {
  const weights = await optimizer.getWeights();
  const entries = await Promise.all(
    weights.map(async ({ tensor: value }, n) => {
      const values = Float32Array.from(await value.data());
      return [`${n}`, { shape: [...value.shape], values }] as const;
    }),
  );
  return new Map(entries);
}

export async function restoreOptimizer(optimizer: Optimizer, snapshot: Snapshot): Promise<void> {
  const ordered = [...snapshot].sort(([a], [b]) => Number(a) - Number(b));
  const weights = ordered.map(([name, { shape, values }]) => ({
    name,
    // The first is the number of steps.
    tensor: name === '0' ? tensor(Int32Array.from(values), [...shape], 'int32') : tensor(values, [...shape]),
  }));
  await optimizer.setWeights(weights);
  for (const { tensor: value } of weights) value.dispose();
}
