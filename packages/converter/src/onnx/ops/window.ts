/** Where the windows of convolutions and poolings stand. */

import type { Attributes } from '../../graph/attributes.js';
import { intsAttribute, stringAttribute } from '../../graph/attributes.js';
import type { NodeContext } from '../node-context.js';

/** One entry for every spatial axis. */
export interface Window {
  kernel: number[];
  strides: number[];
  dilations: number[];
  /** Border that the node asks for. */
  begin: number[];
  end: number[];
  /** What windows need behind that border where their number is rounded up. */
  beyond: number[];
  /** Sizes of the output. */
  out: number[];
}

/** Reads strides, dilations, pads, auto_pad and ceil_mode. */
export function readWindow(node: NodeContext, sizes: readonly number[], kernel: readonly number[]): Window {
  const rank = sizes.length;
  const ones = new Array<number>(rank).fill(1);
  const positive = (name: string): number[] => {
    const list = [...node.ints(name, ones, rank)];
    if (list.some((n) => !(n > 0))) node.fail(`has ${name} [${list}]; expected numbers above 0`);
    return list;
  };
  if (kernel.some((n) => !(n > 0))) node.fail(`has a window of [${kernel}]; expected sizes above 0`);
  const [strides, dilations] = [positive('strides'), positive('dilations')];
  const pads = [...node.ints('pads', new Array<number>(2 * rank).fill(0), 2 * rank)];
  if (pads.some((n) => !(n >= 0))) node.fail(`has pads [${pads}]; expected numbers from 0`);
  const window: Window = {
    kernel: [...kernel],
    strides,
    dilations,
    begin: pads.slice(0, rank),
    end: pads.slice(rank),
    beyond: ones.map(() => 0),
    out: [],
  };
  for (let n = 0; n < rank; n++) setAxis(node, window, n, sizes[n]!);
  return window;
}

/** A window along one axis as one of a row of pixels. */
export function ofRow({ kernel, strides, dilations, begin, end, beyond, out }: Window): Window {
  return {
    kernel: [1, ...kernel],
    strides: [1, ...strides],
    dilations: [1, ...dilations],
    begin: [0, ...begin],
    end: [0, ...end],
    beyond: [0, ...beyond],
    out: [1, ...out],
  };
}

/** Pixels that a window covers. */
export const reach = ({ kernel, dilations }: Pick<Window, 'kernel' | 'dilations'>, n: number): number =>
  (kernel[n]! - 1) * dilations[n]! + 1;

function setAxis(node: NodeContext, window: Window, n: number, size: number): void {
  const stride = window.strides[n]!;
  const covered = reach(window, n);
  const automatic = node.text('auto_pad', 'NOTSET');
  if (automatic === 'SAME_UPPER' || automatic === 'SAME_LOWER') {
    const out = Math.ceil(size / stride);
    const total = Math.max(0, (out - 1) * stride + covered - size);
    const less = Math.floor(total / 2);
    window.begin[n] = automatic === 'SAME_UPPER' ? less : total - less;
    window.end[n] = total - window.begin[n]!;
  } else if (automatic === 'VALID') {
    window.begin[n] = 0;
    window.end[n] = 0;
  } else if (automatic !== 'NOTSET' && automatic !== '') {
    node.fail(`has auto_pad ${automatic}; expected NOTSET, SAME_UPPER, SAME_LOWER or VALID`);
  }
  const padded = size + window.begin[n]! + window.end[n]!;
  const steps = (padded - covered) / stride;
  let out = Math.floor(steps) + 1;
  if (node.int('ceil_mode', 0) === 1) {
    out = Math.ceil(steps) + 1;
    // A window that would begin behind the picture and its border in front is left out.
    if ((out - 1) * stride >= size + window.begin[n]!) out--;
  }
  window.beyond[n] = Math.max(0, (out - 1) * stride + covered - padded);
  window.out[n] = out;
}

/** True where TensorFlow's SAME means the same border. */
export function isSame(window: Window, sizes: readonly number[]): boolean {
  return sizes.every((size, n) => {
    const out = Math.ceil(size / window.strides[n]!);
    const total = Math.max(0, (out - 1) * window.strides[n]! + reach(window, n) - size);
    const end = window.end[n]! + window.beyond[n]!;
    return (
      window.out[n] === out &&
      window.begin[n] === Math.floor(total / 2) &&
      end === total - Math.floor(total / 2)
    );
  });
}

export function isUnpadded({ begin, end, beyond }: Window): boolean {
  return [...begin, ...end, ...beyond].every((n) => n === 0);
}

/** The padding of a convolution of TensorFlow.js. */
export function paddingAttributes(window: Window, sizes: readonly number[]): Attributes {
  if (isUnpadded(window)) return { padding: stringAttribute('VALID') };
  if (isSame(window, sizes)) return { padding: stringAttribute('SAME') };
  const sides = window.begin.flatMap((begin, n) => [begin, window.end[n]!]);
  return { padding: stringAttribute('EXPLICIT'), explicit_paddings: intsAttribute([0, 0, ...sides, 0, 0]) };
}
