/** Convolutions. */
import {
  type Attributes,
  boolAttribute,
  floatAttribute,
  intAttribute,
  intsAttribute,
  stringAttribute,
  typeAttribute,
} from '../../graph/attributes.js';
import { ATTRIBUTES, CONVOLUTION_OPS } from '../../graph/runtime/names.js';
import { type Constant, dataOf, floats, stridesOf, transposed } from '../constant.js';
import { channelsLast } from '../layout.js';
import type { NodeContext, Translate } from '../node-context.js';
import { computed, type Value } from '../value.js';
import { isSame, isUnpadded, ofRow, paddingAttributes, readWindow, type Window } from './window.js';

const FORMAT: Attributes = { T: typeAttribute('DT_FLOAT'), data_format: stringAttribute('NHWC') };

const translateConv: Translate = (node) => convolve(node, node.input(0), node.input(1), node.optional(2));

/**
 * A Conv of whatever operands.
 *
 * @param x `[N, C, H, W]`, or `[N, C, W]`
 * @param weight `[O, C / group, kh, kw]`, or `[O, C / group, kw]`
 */
export function convolve(node: NodeContext, x: Value, weight: Value, bias: Value | null): Value {
  if (x.shape.length === 3) return convolveRow(node, x, weight, bias);
  node.rank(x, 4);
  node.rank(weight, 4);
  const [batch, channels, ...sizes] = x.shape as [number, number, number, number];
  const [outputs, depth, ...kernel] = weight.shape as [number, number, number, number];
  const group = node.int('group', 1);
  if (!(group >= 1) || depth * group !== channels || outputs % group !== 0) {
    node.fail(
      `has weights of shape [${weight.shape}] in ${group} groups for ${channels} channels; expected depth ${channels / group}`,
    );
  }
  const window = readWindow(node, sizes, node.ints('kernel_shape', kernel, 2));
  if (window.kernel.join() !== kernel.join()) {
    node.fail(`has kernel_shape [${window.kernel}]; expected [${kernel}], as its weights have`);
  }
  const known = weight.constant;
  if (!known && group !== 1) node.fail('has computed weights in groups; expected constant ones');
  const { builder } = node;
  const input = builder.lay(x, channelsLast(4));
  let product: string;
  if (!known) {
    if (isSpread(window)) node.fail('has strides, dilations and computed weights; expected constant ones');
    product = builder.emit('Conv2D', [input, builder.lay(weight, [2, 3, 1, 0])], geometry(window, sizes));
  } else {
    // TensorFlow.js has strides and dilations, but not together: zeros between the weights are the same.
    const filter = isSpread(window) ? spread(known, window) : known;
    product = multiply(node, input, weight.name, filter, { group, channels, window, sizes });
  }
  const shape = [batch, outputs, ...window.out];
  return computed(node.name, addBias(node, product, bias, outputs), shape, channelsLast(4));
}

const isSpread = ({ strides, dilations }: Window): boolean =>
  strides.some((n) => n > 1) && dilations.some((n) => n > 1);

interface Product {
  group: number;
  channels: number;
  window: Window;
  sizes: readonly number[];
}

function multiply(
  node: NodeContext,
  input: string,
  name: string,
  weight: Constant,
  { group, channels, window, sizes }: Product,
): string {
  const { builder } = node;
  const [outputs, depth, kh, kw] = weight.shape as [number, number, number, number];
  const at = { ...window, kernel: [kh, kw], dilations: isSpread(window) ? [1, 1] : window.dilations };
  if (group === channels && group > 1) {
    const filter = { ...transposed(weight, [2, 3, 0, 1]), shape: [kh, kw, channels, outputs / channels] };
    return builder.emit(
      'DepthwiseConv2dNative',
      [input, builder.constant(name, filter)],
      geometry(at, sizes),
    );
  }
  const filter = builder.constant(name, transposed(weight, [2, 3, 1, 0]));
  if (group === 1) return builder.emit('Conv2D', [input, filter], geometry(at, sizes));
  return builder.emit(
    CONVOLUTION_OPS.conv2d,
    [input, filter],
    groupedAttributes([kh, kw, depth, outputs], group, at, sizes),
  );
}

function geometry(window: Window, sizes: readonly number[]): Attributes {
  return {
    ...FORMAT,
    strides: intsAttribute([1, ...window.strides, 1]),
    dilations: intsAttribute([1, ...window.dilations, 1]),
    ...paddingAttributes(window, sizes),
  };
}

/** TensorFlow.js has no convolution in groups, so that it is our operator with a float filter. */
function groupedAttributes(
  shape: readonly number[],
  group: number,
  window: Window,
  sizes: readonly number[],
): Attributes {
  const padding = isUnpadded(window) ? 'VALID' : isSame(window, sizes) ? 'SAME' : 'EXPLICIT';
  const [top, left] = window.begin as [number, number];
  const [bottom, right] = window.end as [number, number];
  return {
    T: typeAttribute('DT_FLOAT'),
    [ATTRIBUTES.filterShape]: intsAttribute(shape),
    [ATTRIBUTES.bits]: intAttribute(0),
    [ATTRIBUTES.blockSize]: intAttribute(1),
    [ATTRIBUTES.activationBits]: intAttribute(0),
    [ATTRIBUTES.strides]: intsAttribute(window.strides),
    [ATTRIBUTES.dilations]: intsAttribute(window.dilations),
    [ATTRIBUTES.padding]: stringAttribute(padding),
    [ATTRIBUTES.explicitPaddings]: intsAttribute(padding === 'EXPLICIT' ? [top, bottom, left, right] : []),
    [ATTRIBUTES.groups]: intAttribute(group),
    [ATTRIBUTES.activation]: stringAttribute('linear'),
    [ATTRIBUTES.leakyreluAlpha]: floatAttribute(0.2),
    [ATTRIBUTES.hasBias]: boolAttribute(false),
    [ATTRIBUTES.hasSlopes]: boolAttribute(false),
  };
}

/** Zeros between the weights, as many as the dilations say. */
export function spread(weight: Constant, { dilations }: Pick<Window, 'dilations'>): Constant {
  const [outputs, depth, kh, kw] = weight.shape as [number, number, number, number];
  const [dh, dw] = dilations as [number, number];
  const shape = [outputs, depth, (kh - 1) * dh + 1, (kw - 1) * dw + 1];
  const data = dataOf(
    'float',
    shape.reduce((a, b) => a * b, 1),
  );
  const [so, si, sy, sx] = stridesOf(shape) as [number, number, number, number];
  let n = 0;
  for (let o = 0; o < outputs; o++) {
    for (let i = 0; i < depth; i++) {
      for (let y = 0; y < kh; y++) {
        for (let x = 0; x < kw; x++) data[o * so + i * si + y * dh * sy + x * dw * sx] = weight.data[n++]!;
      }
    }
  }
  return floats(shape, data);
}

export function addBias(node: NodeContext, product: string, bias: Value | null, outputs: number): string {
  if (!bias) return product;
  if (bias.shape.length !== 1 || bias.shape[0] !== outputs) {
    node.fail(`has a bias of shape [${bias.shape}]; expected [${outputs}]`);
  }
  return node.builder.emit('BiasAdd', [product, node.builder.lay(bias, [0])], FORMAT);
}

/** A convolution along one axis is one of pictures of one row. */
function convolveRow(node: NodeContext, x: Value, weight: Value, bias: Value | null): Value {
  node.rank(weight, 3);
  if (!weight.constant) node.fail('has computed weights along one axis; expected constant ones');
  const [batch, channels, size] = x.shape as [number, number, number];
  const [outputs, depth, kernel] = weight.shape as [number, number, number];
  const group = node.int('group', 1);
  if (!(group >= 1) || depth * group !== channels || outputs % group !== 0) {
    node.fail(`has weights of shape [${weight.shape}] in ${group} groups for ${channels} channels`);
  }
  const row = readWindow(node, [size], node.ints('kernel_shape', [kernel], 1));
  const window = ofRow(row);
  const { builder } = node;
  const input = builder.reshape(builder.lay(x, channelsLast(3)), [batch, 1, size, channels]);
  const wide = { ...weight.constant!, shape: [outputs, depth, 1, kernel] };
  const filter = isSpread(window) ? spread(wide, window) : wide;
  const product = multiply(node, input, weight.name, filter, { group, channels, window, sizes: [1, size] });
  const result = addBias(node, product, bias, outputs);
  const flat = builder.reshape(result, [batch, ...row.out, outputs]);
  return computed(node.name, flat, [batch, outputs, ...row.out], channelsLast(3));
}

export const CONVOLUTIONS = { Conv: translateConv };
