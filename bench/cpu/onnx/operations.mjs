/**
 * From the trace of a float network to the few operations that the networks here consist of, in ONNX's layouts. Because a trace is what
 * the network did, a peer that runs these operations runs the same network.
 */
import { resolveGeometry } from '@dsconv/core';

/**
 * @typedef {object} Operation
 * @property {'conv' | 'gemm' | 'maxPool' | 'add' | 'globalMean'} kind 'gemm' is a 1×1 convolution of one pixel
 * @property {number[]} inputs values
 * @property {number} output
 * @property {number[]} shape of the output, NCHW, batch 1
 * @property {'linear' | 'relu' | 'relu6'} activation
 * @property {import('@dsconv/core').ConvGeometry} [geometry] conv, maxPool
 * @property {{ values: Float32Array, shape: number[] }} [filter] OIHW
 * @property {Float32Array} [bias]
 */

/**
 * @param {import('@dsconv/core').Trace} trace of a float zoo network, batch 1
 * @returns {{ input: number, inputShape: number[], output: number, operations: Operation[] }}
 */
export function operationsOf(trace) {
  const operations = [];
  for (const node of trace.nodes) {
    const [output] = node.outputs;
    // A reshape: the same numbers under the same value.
    if (Object.values(node.inputs).some(({ value }) => value === output.value)) continue;
    const read = READERS[node.kernel];
    if (!read) throw new Error(`operation ${node.kernel} has no translation to ONNX`);
    operations.push(read(node, trace.constants));
  }
  const [{ value: input, shape }] = trace.inputs;
  return {
    input,
    inputShape: toNchw(shape),
    output: trace.outputs[0].value,
    operations: joinActivations(operations),
  };
}

const READERS = {
  FusedConv2D: (node, constants) => convolution(node, constants, false),
  FusedDepthwiseConv2D: (node, constants) => convolution(node, constants, true),
  MaxPool: (node) => {
    const { filterSize, strides, pad } = node.attributes;
    const geometry = resolveGeometry({
      inputShape: node.inputs.x.shape,
      kernelSize: typeof filterSize === 'number' ? [filterSize, filterSize] : filterSize,
      outChannels: node.inputs.x.shape[3],
      strides,
      pad,
    });
    return { ...base('maxPool', node, [node.inputs.x]), geometry };
  },
  Add: (node) => base('add', node, [node.inputs.a, node.inputs.b]),
  Relu: (node) => ({ ...base('activation', node, [node.inputs.x]), activation: 'relu' }),
  Relu6: (node) => ({ ...base('activation', node, [node.inputs.x]), activation: 'relu6' }),
  Mean: (node) => base('globalMean', node, [node.inputs.x]),
};

function base(kind, node, inputs) {
  const [output] = node.outputs;
  return {
    kind,
    inputs: inputs.map(({ value }) => value),
    output: output.value,
    shape: toNchw(output.shape),
    activation: 'linear',
  };
}

function convolution(node, constants, depthwise) {
  const { x, filter, bias } = node.inputs;
  const { strides, pad, dilations, activation } = node.attributes;
  const [kh, kw, inner, last] = filter.shape;
  const geometry = resolveGeometry({
    inputShape: x.shape,
    kernelSize: [kh, kw],
    outChannels: depthwise ? inner * last : last,
    strides,
    pad,
    dilations,
    groups: depthwise ? inner : 1,
  });
  const { inHeight, inWidth, outChannels, groups } = geometry;
  const isDense = kh * kw * inHeight * inWidth === 1 && !depthwise;
  return {
    ...base(isDense ? 'gemm' : 'conv', node, [x]),
    activation: activation ?? 'linear',
    geometry,
    filter: {
      values: toOihw(constants.get(filter.value), kh * kw, inner, last, depthwise),
      shape: [outChannels, x.shape[3] / groups, kh, kw],
    },
    bias: bias ? constants.get(bias.value) : new Float32Array(outChannels),
  };
}

/** HWIO to OIHW; a depthwise filter's `[taps][C][multiplier]` to `[C * multiplier][1][taps]`. */
function toOihw(values, taps, inner, last, depthwise) {
  const result = new Float32Array(values.length);
  let n = 0;
  for (let tap = 0; tap < taps; tap++) {
    for (let i = 0; i < inner; i++) {
      for (let o = 0; o < last; o++) {
        const at = depthwise ? (i * last + o) * taps + tap : (o * inner + i) * taps + tap;
        result[at] = values[n++];
      }
    }
  }
  return result;
}

function toNchw(shape) {
  if (shape.length !== 4) return [...shape];
  const [n, h, w, c] = shape;
  return [n, c, h, w];
}

/** An activation on its own belongs to the operation before it, where nothing else reads what that one gives. */
function joinActivations(operations) {
  const joined = [];
  for (const operation of operations) {
    if (operation.kind !== 'activation') {
      joined.push({ ...operation });
      continue;
    }
    const [value] = operation.inputs;
    const before = joined.find(({ output }) => output === value);
    const readers = operations.filter(({ inputs }) => inputs.includes(value));
    if (before?.activation !== 'linear' || readers.length !== 1) {
      throw new Error(`an activation of value ${value} cannot be joined with the operation before it`);
    }
    Object.assign(before, { activation: operation.activation, output: operation.output });
  }
  return joined;
}
