import { elementCount } from '../../graph/stored-weights.js';
import type { NodeContext } from '../node-context.js';

/** Larger constants are no shapes and no weights. */
const MOST_VALUES = 2 ** 27;

/** @throws NodeError before memory is taken for what no network needs */
export function checkCount(node: NodeContext, shape: readonly number[]): void {
  const count = elementCount(shape);
  if (shape.every((size) => Number.isSafeInteger(size) && size >= 0) && count <= MOST_VALUES) return;
  const problem = `makes a constant of shape [${node.builder.describe(shape)}]; expected at most ${MOST_VALUES} values`;
  if (node.builder.isOpen(count)) node.failOpen(problem);
  node.fail(problem);
}
