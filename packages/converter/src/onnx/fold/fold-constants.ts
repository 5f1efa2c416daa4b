/** Computes what is known before the network runs: shapes, indices, and weights that exporters left unfinished. */
import { type Constant, ints } from '../constant.js';
import type { NodeContext } from '../node-context.js';
import { ARITHMETIC, type Fold, UNARY_OR_MORE } from './arithmetic.js';
import { checkCount, checkSum } from './limits.js';
import { QUANTIZATION } from './quantization.js';
import { SHAPES } from './shapes.js';

const FOLDS: Readonly<Record<string, Fold>> = { ...ARITHMETIC, ...SHAPES, ...QUANTIZATION };

/** How many inputs they need; the others read theirs one by one, or take any number. */
const LEAST_INPUTS: Readonly<Record<string, number>> = {
  ...Object.fromEntries(
    Object.keys(ARITHMETIC)
      .filter((op) => !UNARY_OR_MORE.includes(op))
      .map((op) => [op, 2]),
  ),
  DequantizeLinear: 2,
  Expand: 2,
  Gather: 2,
  QuantizeLinear: 2,
  Range: 3,
  Where: 3,
};

/** Their result is known although what they read is not. */
const OF_SHAPE: Readonly<Record<string, (node: NodeContext) => Constant>> = {
  Shape: (node) => {
    const { shape } = node.input(0);
    const rank = shape.length;
    const end = (at: number): number => Math.min(Math.max(at < 0 ? at + rank : at, 0), rank);
    const sizes = shape.slice(end(node.int('start', 0)), end(node.int('end', rank)));
    return ints([sizes.length], sizes);
  },
  Size: (node) => ints([], [node.count(node.input(0))]),
};

/** @returns the node's outputs, or null when they depend on the network's inputs */
export function foldConstants(node: NodeContext): (Constant | null)[] | null {
  const { op } = node.proto;
  const ofShape = Object.hasOwn(OF_SHAPE, op) ? OF_SHAPE[op] : undefined;
  if (ofShape) return [ofShape(node)];
  const fold = Object.hasOwn(FOLDS, op) ? FOLDS[op] : undefined;
  if (!fold) return null;
  const inputs: Constant[] = [];
  for (let n = 0; n < node.inputCount; n++) {
    const value = node.optional(n);
    if (!value) continue;
    if (!value.constant) return null;
    inputs.push(value.constant);
  }
  const least = LEAST_INPUTS[op] ?? (op === 'Constant' ? 0 : 1);
  if (inputs.length < least) node.fail(`has ${inputs.length} inputs; expected at least ${least}`);
  const outputs = fold(node, inputs);
  for (const output of outputs ?? []) if (output) checkCount(node, output.shape, output.kind);
  // A reshape takes no memory.
  checkSum(node, outputs?.filter((output) => !inputs.some(({ data }) => data === output?.data)) ?? []);
  return outputs;
}
