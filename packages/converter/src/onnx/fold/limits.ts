import { elementCount } from '../../graph/stored-weights.js';
import type { Constant } from '../constant.js';
import type { NodeContext } from '../node-context.js';

/** Larger constants are no weights, and no shapes or indices: those are kept as doubles. */
const MOST_VALUES = { float: 2 ** 27, int: 2 ** 24, bool: 2 ** 24 };

/** All that a graph may compute before it runs. A few bytes of a file can ask for any amount. */
const MOST_IN_ALL = 2 ** 29;

/** @throws NodeError before memory is taken for what no network needs */
export function checkCount(
  node: NodeContext,
  shape: readonly number[],
  kind: Constant['kind'] = 'float',
): void {
  const count = elementCount(shape);
  const most = MOST_VALUES[kind];
  if (shape.every((size) => Number.isSafeInteger(size) && size >= 0) && count <= most) return;
  const problem = `makes a constant of shape [${node.builder.describe(shape)}]; expected at most ${most} values`;
  if (node.builder.isOpen(count)) node.failOpen(problem);
  node.fail(problem);
}

/** @throws NodeError when all constants together are larger than any network */
export function checkSum(node: NodeContext, constants: readonly (Constant | null)[]): void {
  const { builder } = node;
  for (const constant of constants) builder.folded += constant?.data.length ?? 0;
  if (builder.folded > MOST_IN_ALL) {
    node.fail(`brings the constants to ${builder.folded} values; expected at most ${MOST_IN_ALL} in all`);
  }
}
