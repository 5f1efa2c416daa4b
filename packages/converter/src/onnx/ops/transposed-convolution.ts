/** ConvTranspose: the gradient of a convolution with respect to its input. */
import { intAttribute, intsAttribute, stringAttribute, typeAttribute } from '../../graph/attributes.js';
import { type Constant, dataOf, floats, transposed } from '../constant.js';
import { channelsLast } from '../layout.js';
import type { NodeContext, Translate } from '../node-context.js';
import { computed } from '../value.js';
import { addBias, spread } from './convolution.js';

const translate: Translate = (node) => {
  const [x, weight] = [node.input(0), node.input(1)];
  node.rank(x, 4);
  node.rank(weight, 4);
  const constant = node.constant(1, 'its weights');
  const [batch, channels, ...sizes] = x.shape as [number, number, number, number];
  const [depth, perGroup, ...kernel] = weight.shape as [number, number, number, number];
  const group = node.int('group', 1);
  if (depth !== channels || !(group >= 1) || channels % group !== 0) {
    node.fail(`has weights of shape [${weight.shape}] in ${group} groups for ${channels} channels`);
  }
  const outputs = perGroup * group;
  const strides = node.ints('strides', [1, 1], 2);
  const dilations = node.ints('dilations', [1, 1], 2);
  const { pads, out } = borders(node, sizes, kernel, strides, dilations);
  const wide = spread(group === 1 ? constant : diagonal(constant, group), { dilations: [...dilations] });
  const { builder } = node;
  const product = builder.emit(
    'Conv2DBackpropInput',
    [
      outputShape(node, builder.lay(x, channelsLast(4)), batch, [...out, outputs]),
      builder.constant(weight.name, transposed(wide, [2, 3, 1, 0])),
      builder.lay(x, channelsLast(4)),
    ],
    {
      T: typeAttribute('DT_FLOAT'),
      data_format: stringAttribute('NHWC'),
      strides: intsAttribute([1, ...strides, 1]),
      dilations: intsAttribute([1, 1, 1, 1]),
      padding: stringAttribute('EXPLICIT'),
      explicit_paddings: intsAttribute([0, 0, pads[0]!, pads[2]!, pads[1]!, pads[3]!, 0, 0]),
    },
  );
  const result = addBias(node, product, node.optional(2), outputs);
  return computed(node.name, result, [batch, outputs, ...out], channelsLast(4));
};

/** Pads `[top, left, bottom, right]` and the size of the output, of which one tells the other. */
function borders(
  node: NodeContext,
  sizes: readonly number[],
  kernel: readonly number[],
  strides: readonly number[],
  dilations: readonly number[],
): { pads: number[]; out: number[] } {
  const extra = node.ints('output_padding', [0, 0], 2);
  const automatic = node.text('auto_pad', 'NOTSET');
  const whole = sizes.map((size, n) => {
    return strides[n]! * (size - 1) + extra[n]! + (kernel[n]! - 1) * dilations[n]! + 1;
  });
  const wanted = node.has('output_shape')
    ? node.ints('output_shape', [], 2)
    : automatic.startsWith('SAME')
      ? sizes.map((size, n) => size * strides[n]!)
      : null;
  if (!wanted) {
    const pads = automatic === 'VALID' ? [0, 0, 0, 0] : [...node.ints('pads', [0, 0, 0, 0], 4)];
    return { pads, out: whole.map((size, n) => size - pads[n]! - pads[n + 2]!) };
  }
  const totals = wanted.map((size, n) => whole[n]! - size);
  if (totals.some((total) => total < 0)) {
    node.fail(`has output_shape [${wanted}]; expected at most [${whole}]`);
  }
  const first = totals.map((total) =>
    automatic === 'SAME_UPPER' ? Math.floor(total / 2) : Math.ceil(total / 2),
  );
  return { pads: [...first, ...totals.map((total, n) => total - first[n]!)], out: [...wanted] };
}

/** Groups as one convolution with zeros between them. `[C, O / group, kh, kw]` → `[C, O, kh, kw]`. */
function diagonal({ shape, data }: Constant, group: number): Constant {
  const [channels, perGroup, kh, kw] = shape as [number, number, number, number];
  const window = kh * kw;
  const outputs = perGroup * group;
  const wide = dataOf('float', channels * outputs * window);
  for (let c = 0; c < channels; c++) {
    const g = Math.floor(c / (channels / group));
    const row = data.subarray(c * perGroup * window, (c + 1) * perGroup * window);
    wide.set(row, (c * outputs + g * perGroup) * window);
  }
  return floats([channels, outputs, kh, kw], wide);
}

/** TensorFlow.js wants all four sizes; an open batch is taken from the input when the network runs. */
function outputShape(node: NodeContext, input: string, batch: number, rest: readonly number[]): string {
  const { builder } = node;
  if (!builder.isOpen(batch)) return builder.vector([batch, ...rest]);
  if (batch !== builder.batch) node.failOpen('has several pictures for each of the batch');
  const shape = builder.emit('Shape', [input], {
    T: typeAttribute('DT_FLOAT'),
    out_type: typeAttribute('DT_INT32'),
  });
  const first = builder.emit('Slice', [shape, builder.vector([0]), builder.vector([1])], {
    T: typeAttribute('DT_INT32'),
    Index: typeAttribute('DT_INT32'),
  });
  return builder.emit('ConcatV2', [first, builder.vector(rest), builder.scalar(0, 'int')], {
    T: typeAttribute('DT_INT32'),
    N: intAttribute(2),
  });
}

export const TRANSPOSED_CONVOLUTIONS = { ConvTranspose: translate };
