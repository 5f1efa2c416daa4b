/** The float ONNX graph of a network. */
import { Graph, TYPE } from './graph.mjs';

/**
 * @param {ReturnType<import('./operations.mjs').operationsOf>} network
 * @param {number} batch
 * @param {number[]} [watched] values to return beside the logits
 * @param {object} [options]
 * @param {boolean} [options.half] computes in float16; input and outputs stay float32
 * @returns {{ model: Uint8Array, names: string[] }} the file, and the outputs' names: the logits', then those watched
 */
export function floatGraph({ input, inputShape, output, operations }, batch, watched = [], { half } = {}) {
  const graph = new Graph();
  const first = graph.input('input', [batch, ...inputShape.slice(1)]);
  const names = new Map([[input, half ? graph.node('Cast', [first], { to: TYPE.float16 }) : first]]);
  const type = half ? TYPE.float16 : TYPE.float;
  const constant = (shape, values) =>
    half ? graph.half(shape, values) : graph.constant(TYPE.float, shape, values);
  const shapes = new Map();
  for (const operation of operations) {
    const inputs = operation.inputs.map((value) => names.get(value));
    const written = WRITERS[operation.kind](graph, operation, inputs, constant);
    const result = activated(graph, written, operation.activation, type);
    names.set(operation.output, result);
    shapes.set(operation.output, operation.kind === 'gemm' ? operation.shape.slice(0, 2) : operation.shape);
  }
  const outputs = [output, ...watched.filter((value) => value !== output)];
  for (const value of outputs) {
    if (half) names.set(value, graph.node('Cast', [names.get(value)], { to: TYPE.float }));
    graph.output(names.get(value), [batch, ...shapes.get(value).slice(1)]);
  }
  return { model: graph.encode(), names: outputs.map((value) => names.get(value)) };
}

/** Window attributes of Conv, QLinearConv and MaxPool. */
export function windowAttributes(geometry, ofConvolution) {
  const { kernelHeight, kernelWidth, strideHeight, strideWidth, dilationHeight, dilationWidth } = geometry;
  const { padTop, padLeft, padBottom, padRight } = geometry;
  return {
    kernel_shape: [kernelHeight, kernelWidth],
    strides: [strideHeight, strideWidth],
    pads: [padTop, padLeft, padBottom, padRight],
    dilations: [dilationHeight, dilationWidth],
    ...(ofConvolution ? { group: geometry.groups } : {}),
  };
}

const WRITERS = {
  conv: (graph, { filter, bias, geometry }, [x], constant) => {
    const weights = constant(filter.shape, filter.values);
    const added = constant([bias.length], bias);
    return graph.node('Conv', [x, weights, added], windowAttributes(geometry, true));
  },
  gemm: (graph, { filter, bias }, [x], constant) => {
    const weights = constant(filter.shape.slice(0, 2), filter.values);
    const added = constant([bias.length], bias);
    return graph.node('Gemm', [graph.node('Flatten', [x]), weights, added], { transB: 1 });
  },
  maxPool: (graph, { geometry }, [x]) => graph.node('MaxPool', [x], windowAttributes(geometry, false)),
  add: (graph, _operation, inputs) => graph.node('Add', inputs),
  globalMean: (graph, _operation, [x]) => graph.node('GlobalAveragePool', [x]),
};

function activated(graph, x, activation, type) {
  if (activation === 'linear') return x;
  if (activation === 'relu') return graph.node('Relu', [x]);
  return graph.node('Clip', [x, graph.scalar(type, 0), graph.scalar(type, 6)]);
}
