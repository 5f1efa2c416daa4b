/** A network as a list of kernel calls, recorded once with filters that hold nothing but their shapes. */
import {
  capture,
  DS_DEPTHWISE_CONV2D,
  DSCONV2D,
  type DSConvAttributes,
  DSConvFilter,
  type Trace,
  type TraceNode,
  type ValueId,
} from '@dsconv/core';
import {
  type Architecture,
  type LayerParameters,
  type LayerWeights,
  type NetworkParameters,
  outChannels,
} from '@dsconv/models';
import { keep, type Tensor, tensor, tensor1d, tensor4d, tidy, zeros } from '@tensorflow/tfjs-core';

/** What stands in for a layer's filter while the structure is recorded. */
export interface FilterFormat {
  bits: number;
  blockSize: number;
  perChannel: boolean;
}

/** A quantized convolution among the kernel calls. */
export interface ConvolutionNode {
  /** Its place in {@link NetworkStructure.trace}. */
  index: number;
  layer: string;
  node: TraceNode;
  attributes: DSConvAttributes;
  depthwise: boolean;
}

export interface NetworkStructure {
  trace: Trace;
  /** In the order of execution. */
  convolutions: readonly ConvolutionNode[];
  /** By index in the trace. */
  convolutionAt: ReadonlyMap<number, ConvolutionNode>;
  /** Index of the last node that reads a value; the number of nodes for the outputs. */
  lastUse: Int32Array;
}

/**
 * Runs the architecture's forward function once on zeros.
 *
 * @param formats of every layer but normalizations, whose float numbers are taken from `weights`
 * @param batch pictures that will be run at a time
 * @throws TraceError when the forward function cannot be recorded
 */
export function captureStructure(
  architecture: Architecture,
  weights: ReadonlyMap<string, LayerWeights>,
  formats: ReadonlyMap<string, FilterFormat>,
  activationBits: number | null,
  batch: number,
): NetworkStructure {
  const names = new Map<DSConvFilter, string>();
  const layers = new Map<string, LayerParameters>();
  const { inputSize, channels } = architecture;
  try {
    let trace: Trace | undefined;
    tidy(() => {
      for (const layer of architecture.layers) {
        const format = formats.get(layer.name);
        const { filter: exact, bias } = weights.get(layer.name)!;
        const filter =
          format === undefined
            ? tensor4d(exact as Float32Array, [...layer.shape])
            : placeholder(layer.kind === 'depthwise', layer.shape, format);
        if (filter instanceof DSConvFilter) names.set(filter, layer.name);
        const values = format === undefined && bias ? bias : new Float32Array(outChannels(layer));
        layers.set(layer.name, { filter, bias: tensor1d(values) });
      }
      const parameters: NetworkParameters = { layers, activationBits };
      trace = capture(
        (x) => architecture.forward(x as never, parameters),
        zeros([batch, inputSize, inputSize, channels]),
      );
    });
    return describeTrace(trace!, (filter) => names.get(filter));
  } finally {
    for (const filter of names.keys()) filter.dispose();
  }
}

/** A filter of zeros in a format. */
export function placeholder(
  depthwise: boolean,
  shape: readonly [number, number, number, number],
  { bits, blockSize, perChannel }: FilterFormat,
): DSConvFilter {
  const [kh, kw, inner, outer] = shape;
  const count = kh * kw * inner * outer;
  const scales = (length: number) => ({ format: 'float32' as const, data: new Float32Array(length) });
  return DSConvFilter.fromIntegers(
    {
      kind: depthwise ? 'depthwise' : 'conv2d',
      shape,
      bits,
      blockSize,
      ...(depthwise || perChannel
        ? { cds: scales(depthwise ? inner * outer : outer) }
        : { kds: scales(kh * kw * Math.ceil(inner / blockSize) * outer) }),
    },
    new Int8Array(count),
  );
}

/** @param nameOf the layer that a filter stands for; convolutions with other filters are nodes like any other */
export function describeTrace(
  trace: Trace,
  nameOf: (filter: DSConvFilter) => string | undefined,
): NetworkStructure {
  const convolutions: ConvolutionNode[] = [];
  const lastUse = new Int32Array(trace.valueCount).fill(-1);
  trace.nodes.forEach((node, index) => {
    for (const { value } of Object.values(node.inputs)) lastUse[value] = index;
    if (node.kernel !== DSCONV2D && node.kernel !== DS_DEPTHWISE_CONV2D) return;
    const attributes = node.attributes as unknown as DSConvAttributes;
    const layer = nameOf(attributes.filter);
    if (layer === undefined) return;
    convolutions.push({ index, layer, node, attributes, depthwise: node.kernel === DS_DEPTHWISE_CONV2D });
  });
  for (const { value } of trace.outputs) lastUse[value] = trace.nodes.length;
  const convolutionAt = new Map(convolutions.map((convolution) => [convolution.index, convolution]));
  return { trace, convolutions, convolutionAt, lastUse };
}

/** Values that are read at or after a node and were computed, or given, before it. */
export function liveAt({ trace, lastUse }: NetworkStructure, index: number): Set<ValueId> {
  const live = new Set<ValueId>();
  for (const { value } of trace.inputs) if (lastUse[value]! >= index) live.add(value);
  for (let n = 0; n < index; n++) {
    for (const { value } of trace.nodes[n]!.outputs) if (lastUse[value]! >= index) live.add(value);
  }
  return live;
}

/** Bytes of those values, for the batch that was recorded. */
export function liveBytes(structure: NetworkStructure, index: number): number {
  const live = liveAt(structure, index);
  let bytes = 0;
  const { inputs, nodes } = structure.trace;
  for (const { value, shape } of [...inputs, ...nodes.slice(0, index).flatMap(({ outputs }) => outputs)]) {
    if (!live.delete(value)) continue;
    bytes += 4 * shape.reduce((product, d) => product * d, 1);
  }
  return bytes;
}

/** The numbers of a trace that no layer owns, as tensors that live until they are disposed. */
export function constantTensors({ trace }: NetworkStructure): Map<ValueId, Tensor> {
  const constants = new Map<ValueId, Tensor>();
  for (const { inputs } of trace.nodes) {
    for (const { value, shape, dtype } of Object.values(inputs)) {
      const values = trace.constants.get(value);
      if (values === undefined || constants.has(value)) continue;
      constants.set(value, keep(tidy(() => tensor(values, [...shape], dtype))));
    }
  }
  return constants;
}
