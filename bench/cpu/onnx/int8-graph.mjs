/**
 * The int8 ONNX graph of a network, as onnxruntime's own quantizer makes it for x64: int8 weights with a scale per output channel, uint8
 * activations with a scale per tensor, relu and relu6 folded into the range of the output. Two forms of the same numbers: 'qlinear' names
 * the integer operators, 'qdq' surrounds float operators with QuantizeLinear and DequantizeLinear and leaves the fusing to onnxruntime.
 */
import { windowAttributes } from './float-graph.mjs';
import { Graph, MICROSOFT, TYPE } from './graph.mjs';

/**
 * @param {ReturnType<import('./operations.mjs').operationsOf>} network
 * @param {number} batch
 * @param {Map<number, { min: number, max: number }>} ranges of the values, from a calibration
 * @param {'qlinear' | 'qdq'} form
 * @returns {{ model: Uint8Array, names: string[] }}
 */
export function int8Graph({ input, inputShape, output, operations }, batch, ranges, form) {
  const graph = new Graph();
  const writer = form === 'qdq' ? new QdqWriter(graph) : new QLinearWriter(graph);
  const formatOf = activationFormats(graph, operations, ranges, input);
  graph.input('input', [batch, ...inputShape.slice(1)]);
  const tensors = new Map([[input, quantized(graph, 'input', formatOf(input))]]);
  for (const operation of operations) {
    const inputs = operation.inputs.map((value) => tensors.get(value));
    tensors.set(operation.output, writer[operation.kind](operation, inputs, formatOf(operation.output)));
  }
  const logits = dequantized(graph, tensors.get(output));
  graph.output(logits, [batch, operations.at(-1).shape[1]]);
  return { model: graph.encode(), names: [logits] };
}

/** A pooling keeps its input's scale: maxima need no new one, and onnxruntime fuses nothing else. */
function activationFormats(graph, operations, ranges, input) {
  const formats = new Map();
  const define = (value, { min, max }) => {
    const scale = Math.max(max - min, 1e-6) / 255;
    const zeroPoint = Math.round(-min / scale);
    formats.set(value, {
      scale,
      scaleName: graph.scalar(TYPE.float, scale),
      zeroName: graph.scalar(TYPE.uint8, zeroPoint),
    });
  };
  const withZero = ({ min, max }) => ({ min: Math.min(0, min), max: Math.max(0, max) });
  define(input, withZero(ranges.get(input)));
  for (const { kind, inputs, output } of operations) {
    if (kind === 'maxPool') formats.set(output, formats.get(inputs[0]));
    else define(output, withZero(ranges.get(output)));
  }
  return (value) => formats.get(value);
}

function quantized(graph, x, format) {
  return { name: graph.node('QuantizeLinear', [x, format.scaleName, format.zeroName]), format };
}

function dequantized(graph, { name, format }) {
  return graph.node('DequantizeLinear', [name, format.scaleName, format.zeroName]);
}

/** Weights with one scale per output channel, and the bias in units of the sums. */
function quantizeFilter(graph, { filter, bias }, shape, inputScale) {
  const channels = bias.length;
  const depth = filter.values.length / channels;
  const weights = new Int8Array(filter.values.length);
  const scales = new Float32Array(channels);
  const sums = new Int32Array(channels);
  const sumScales = new Float32Array(channels);
  for (let o = 0; o < channels; o++) {
    const row = filter.values.subarray(o * depth, (o + 1) * depth);
    let largest = 1e-9;
    for (const value of row) largest = Math.max(largest, Math.abs(value));
    scales[o] = largest / 127;
    for (let n = 0; n < depth; n++) weights[o * depth + n] = Math.round(row[n] / scales[o]);
    sumScales[o] = inputScale * scales[o];
    sums[o] = Math.round(bias[o] / sumScales[o]);
  }
  return {
    weights: graph.constant(TYPE.int8, shape, weights),
    scales: graph.constant(TYPE.float, [channels], scales),
    zeros: graph.constant(TYPE.int8, [channels], new Int8Array(channels)),
    bias: graph.constant(TYPE.int32, [channels], sums),
    sumScales,
  };
}

const describe = ({ name, format }) => [name, format.scaleName, format.zeroName];

class QLinearWriter {
  constructor(graph) {
    this.graph = graph;
  }

  conv(operation, [x], format) {
    const filter = quantizeFilter(this.graph, operation, operation.filter.shape, x.format.scale);
    const inputs = [...describe(x), filter.weights, filter.scales, filter.zeros];
    inputs.push(format.scaleName, format.zeroName, filter.bias);
    const name = this.graph.node('QLinearConv', inputs, windowAttributes(operation.geometry, true));
    return { name, format };
  }

  gemm(operation, [x], format) {
    const shape = operation.filter.shape.slice(0, 2);
    const filter = quantizeFilter(this.graph, operation, shape, x.format.scale);
    const flat = { ...x, name: this.graph.node('Flatten', [x.name]) };
    const inputs = [...describe(flat), filter.weights, filter.scales, filter.zeros, filter.bias];
    inputs.push(format.scaleName, format.zeroName);
    return { name: this.graph.node('QGemm', inputs, { transB: 1 }, MICROSOFT), format };
  }

  maxPool({ geometry }, [x], format) {
    return { name: this.graph.node('MaxPool', [x.name], windowAttributes(geometry, false)), format };
  }

  add(_operation, [a, b], format) {
    const inputs = [...describe(a), ...describe(b), format.scaleName, format.zeroName];
    return { name: this.graph.node('QLinearAdd', inputs, {}, MICROSOFT), format };
  }

  globalMean(_operation, [x], format) {
    const inputs = [...describe(x), format.scaleName, format.zeroName];
    const name = this.graph.node('QLinearGlobalAveragePool', inputs, { channels_last: 0 }, MICROSOFT);
    return { name, format };
  }
}

class QdqWriter {
  constructor(graph) {
    this.graph = graph;
  }

  conv(operation, [x], format) {
    const inputs = [dequantized(this.graph, x), ...this.#filter(operation, operation.filter.shape, x)];
    const y = this.graph.node('Conv', inputs, windowAttributes(operation.geometry, true));
    return quantized(this.graph, y, format);
  }

  gemm(operation, [x], format) {
    const flat = this.graph.node('Flatten', [dequantized(this.graph, x)]);
    const requantized = dequantized(this.graph, quantized(this.graph, flat, x.format));
    const inputs = [requantized, ...this.#filter(operation, operation.filter.shape.slice(0, 2), x)];
    return quantized(this.graph, this.graph.node('Gemm', inputs, { transB: 1 }), format);
  }

  maxPool({ geometry }, [x], format) {
    const y = this.graph.node('MaxPool', [dequantized(this.graph, x)], windowAttributes(geometry, false));
    return quantized(this.graph, y, format);
  }

  add(_operation, inputs, format) {
    const floats = inputs.map((input) => dequantized(this.graph, input));
    return quantized(this.graph, this.graph.node('Add', floats), format);
  }

  globalMean(_operation, [x], format) {
    const y = this.graph.node('GlobalAveragePool', [dequantized(this.graph, x)]);
    return quantized(this.graph, y, format);
  }

  /** Weights and bias behind DequantizeLinear, each with its scale per channel. */
  #filter(operation, shape, x) {
    const { graph } = this;
    const filter = quantizeFilter(graph, operation, shape, x.format.scale);
    const channels = operation.bias.length;
    const sumScales = graph.constant(TYPE.float, [channels], filter.sumScales);
    const sumZeros = graph.constant(TYPE.int32, [channels], new Int32Array(channels));
    return [
      graph.node('DequantizeLinear', [filter.weights, filter.scales, filter.zeros], { axis: 0 }),
      graph.node('DequantizeLinear', [filter.bias, sumScales, sumZeros], { axis: 0 }),
    ];
  }
}
