/** Matrix products. Those with constant matrices become MatMul of two dimensions or convolutions of 1 × 1, which are quantized. */
import { boolAttribute, intsAttribute, stringAttribute, typeAttribute } from '../../graph/attributes.js';
import { elementCount } from '../../graph/stored-weights.js';
import { broadcastShape, type Constant, floats, transposed } from '../constant.js';
import { plain } from '../layout.js';
import type { NodeContext, Translate } from '../node-context.js';
import { computed, known, type Value } from '../value.js';
import { combined, withNumber } from './element-wise.js';
import { repeated, reshaped } from './shape.js';

const matMul: Translate = (node) => product(node, node.input(0), node.input(1));

/** `a · b`, with broadcasting of the axes before the last two. */
export function product(node: NodeContext, a: Value, b: Value): Value {
  const { builder } = node;
  if (a.shape.length < 1 || b.shape.length < 1) node.fail('reads a number; expected vectors or matrices');
  if (b.constant && b.shape.length === 2 && a.shape.length >= 2)
    return withMatrix(node, a, b.name, b.constant);
  if (a.shape.length === 1 || b.shape.length === 1) node.rank(a.shape.length === 1 ? a : b, 2, 3, 4);
  const [left, right] = [a.shape, b.shape];
  if (left.at(-1) !== right.at(-2)) {
    node.fail(
      `multiplies [${builder.describe(left)}] and [${builder.describe(right)}]; expected equal inner sizes`,
    );
  }
  const batch = broadcastShape(left.slice(0, -2), right.slice(0, -2));
  if (!batch)
    node.fail(
      `multiplies [${builder.describe(left)}] and [${builder.describe(right)}]; expected batches that broadcast`,
    );
  const attr = { T: typeAttribute('DT_FLOAT'), adj_x: boolAttribute(false), adj_y: boolAttribute(false) };
  const references = [a, b].map((value) => {
    const wide = inBatch(node, value, batch!);
    return builder.lay(wide, plain(wide.shape.length));
  });
  const shape = [...batch!, left.at(-2)!, right.at(-1)!];
  return computed(node.name, builder.emit('BatchMatMulV2', references, attr), shape, plain(shape.length));
}

/** TensorFlow.js takes as many matrices on both sides, or one for all; anything between is repeated. */
function inBatch(node: NodeContext, value: Value, batch: readonly number[]): Value {
  const own = value.shape.slice(0, -2);
  if (elementCount(own) === 1 || own.join() === batch.join()) return value;
  const wide = [...new Array<number>(batch.length - own.length).fill(1), ...own];
  const laid = reshaped(node, value, [...wide, ...value.shape.slice(-2)]);
  return repeated(node, laid, [...wide.map((size, n) => (size === batch[n] ? 1 : batch[n]!)), 1, 1]);
}

/** @param matrix `[depth, outputs]` */
export function withMatrix(node: NodeContext, x: Value, name: string, matrix: Constant): Value {
  const { builder } = node;
  const rank = x.shape.length;
  const [depth, outputs] = matrix.shape as [number, number];
  if (x.shape.at(-1) !== depth) {
    node.fail(`multiplies [${builder.describe(x.shape)}] and [${matrix.shape}]; expected equal inner sizes`);
  }
  const shape = [...x.shape.slice(0, -1), outputs];
  const sorted = x.columns ? rows(matrix, x.columns) : matrix;
  if (rank === 2) {
    const attr = {
      T: typeAttribute('DT_FLOAT'),
      transpose_a: boolAttribute(false),
      transpose_b: boolAttribute(false),
    };
    const inputs = [builder.lay(x, plain(2)), builder.constant(name, sorted)];
    return computed(node.name, builder.emit('MatMul', inputs, attr), shape, plain(2));
  }
  // In any order of the other axes, as long as the one that is multiplied lies last.
  const order = x.order.at(-1) === rank - 1 ? x.order : plain(rank);
  const laid = builder.lay(x, order);
  const stored = order.map((axis) => x.shape[axis]!);
  const pixels =
    rank === 4 ? laid : builder.reshape(laid, [stored[0]!, elementCount(stored.slice(1, -1)), 1, depth]);
  const filter = builder.constant(name, { ...sorted, shape: [1, 1, depth, outputs] });
  const made = builder.emit('Conv2D', [pixels, filter], {
    T: typeAttribute('DT_FLOAT'),
    data_format: stringAttribute('NHWC'),
    strides: intsAttribute([1, 1, 1, 1]),
    dilations: intsAttribute([1, 1, 1, 1]),
    padding: stringAttribute('VALID'),
  });
  const reference = rank === 4 ? made : builder.reshape(made, [...stored.slice(0, -1), outputs]);
  return computed(node.name, reference, shape, order);
}

/** The matrix for an input whose columns are sorted otherwise. */
function rows(matrix: Constant, columns: Float64Array): Constant {
  const [depth, outputs] = matrix.shape as [number, number];
  const data = new Float32Array(depth * outputs);
  for (let n = 0; n < depth; n++) {
    const from = columns[n]! * outputs;
    data.set(matrix.data.subarray(from, from + outputs), n * outputs);
  }
  return floats(matrix.shape, data);
}

/** `alpha · a · b + beta · c`, either matrix transposed first. */
const gemm: Translate = (node) => {
  const [given, weight] = [node.input(0), node.input(1)];
  node.rank(given, 2);
  node.rank(weight, 2);
  const alpha = node.float('alpha', 1);
  const a = node.int('transA', 0) === 1 ? turned(node, given) : given;
  const b = node.int('transB', 0) === 1 ? turned(node, weight) : weight;
  const scaled =
    b.constant && alpha !== 1
      ? known(b.name, { ...b.constant, data: b.constant.data.map((value) => value * alpha) })
      : b;
  const multiplied = product(node, a, scaled);
  const result = !b.constant && alpha !== 1 ? withNumber(node, multiplied, 'Mul', alpha) : multiplied;
  const c = node.optional(2);
  if (!c) return result;
  const wide = broadcastShape(result.shape, c.shape);
  if (wide?.join() !== result.shape.join()) {
    node.fail(
      `adds [${c.shape}] to [${node.builder.describe(result.shape)}]; expected a shape that broadcasts to it`,
    );
  }
  return combined(node, [result, scaledBy(node, c, node.float('beta', 1))], 'AddV2');
};

function scaledBy(node: NodeContext, value: Value, factor: number): Value {
  if (factor === 1) return value;
  if (!value.constant) return withNumber(node, value, 'Mul', factor);
  return known(value.name, { ...value.constant, data: value.constant.data.map((number) => number * factor) });
}

/** Rows as columns: of a constant now, else by naming its axes otherwise. */
function turned(node: NodeContext, value: Value): Value {
  if (value.constant) return known(value.name, transposed(value.constant, [1, 0]));
  if (value.columns) node.fail('reads pictures turned; expected rows of them');
  const forms = new Map(
    [...value.forms].map(([key, reference]) => [key === '0,1' ? '1,0' : '0,1', reference]),
  );
  const [m, n] = value.shape as [number, number];
  return { ...value, shape: [n, m], order: value.order.map((axis) => 1 - axis), forms };
}

export const MAT_MUL = { Gemm: gemm, MatMul: matMul } satisfies Record<string, Translate>;
