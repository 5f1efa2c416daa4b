/** Replaying a recorded network step by step, with whatever stands for its convolutions at the moment. */

import type { TraceNode, TraceTensor, ValueId } from '@dsconv/core';
import { type DSConvFilter, dsconv2d, dsDepthwiseConv2d } from '@dsconv/core';
import {
  add,
  cast,
  engine,
  leakyRelu,
  mul,
  type NamedAttrMap,
  type NamedTensorMap,
  prelu,
  relu,
  relu6,
  reshape,
  sigmoid,
  type Tensor,
  type Tensor1D,
  type Tensor4D,
  tidy,
} from '@tensorflow/tfjs-core';
import { convolve } from '../graph/runtime/convolve.js';
import type { ConvolutionNode, NetworkStructure } from './structure.js';

/** Inputs of a convolution. */
export interface ConvolutionInputs {
  x: Tensor4D;
  residual: Tensor4D | null;
  /** Of 'prelu', one per channel. */
  slopes: Tensor1D | null;
}

/** Computes a convolution of the network, epilogue included. */
export type Convolve = (convolution: ConvolutionNode, inputs: ConvolutionInputs) => Tensor4D;

/** Sees the inputs of every node that is no convolution before it runs. */
export type Observe = (index: number, node: TraceNode, inputs: NamedTensorMap) => void;

/** One network on its way through one batch of pictures: what is computed so far and still needed. */
export class Stream {
  private constructor(
    private readonly structure: NetworkStructure,
    private readonly constants: ReadonlyMap<ValueId, Tensor>,
    private readonly values: Map<ValueId, Tensor>,
    private next: number,
  ) {}

  /** @param x stays the caller's */
  static start(structure: NetworkStructure, constants: ReadonlyMap<ValueId, Tensor>, x: Tensor): Stream {
    const values = new Map([[structure.trace.inputs[0]!.value, x.clone()]]);
    return new Stream(structure, constants, values, 0);
  }

  /** Index of the node that is run next. */
  get position(): number {
    return this.next;
  }

  /** Another stream at the same place; the tensors' data is shared. */
  fork(): Stream {
    const values = new Map([...this.values].map(([value, tensor]) => [value, tensor.clone()]));
    return new Stream(this.structure, this.constants, values, this.next);
  }

  /** Runs the nodes before `end`. */
  advance(end: number, convolve: Convolve, observe?: Observe): void {
    for (; this.next < end; this.next++) {
      const node = this.structure.trace.nodes[this.next]!;
      const convolution = this.structure.convolutionAt.get(this.next);
      if (convolution) {
        this.define(node, [tidy(() => convolve(convolution, this.inputsOf(convolution)))]);
      } else {
        this.define(
          node,
          tidy(() => {
            const inputs: NamedTensorMap = {};
            for (const [name, input] of Object.entries(node.inputs)) inputs[name] = this.read(input);
            observe?.(this.next, node, inputs);
            const attributes = { ...node.attributes } as NamedAttrMap;
            const result = engine().runKernel(node.kernel, asGiven(inputs), attributes);
            return Array.isArray(result) ? result : [result as Tensor];
          }),
        );
      }
    }
  }

  /** Inputs of the convolution that is run next. They belong to the stream. */
  inputsOf({ node }: ConvolutionNode): ConvolutionInputs {
    const { x, residual, preluActivationWeights } = node.inputs;
    return {
      x: this.read(x!) as Tensor4D,
      residual: residual ? (this.read(residual) as Tensor4D) : null,
      slopes: preluActivationWeights ? (this.read(preluActivationWeights) as Tensor1D) : null,
    };
  }

  /** The network's result, once every node is run. It belongs to the stream. */
  output(): Tensor {
    return this.read(this.structure.trace.outputs[0]!);
  }

  /** Output of the convolution that was run last, or null where nothing will read it. It belongs to the stream. */
  outputOf({ node }: ConvolutionNode): Tensor4D | null {
    const output = node.outputs[0]!;
    return this.values.has(output.value) ? (this.read(output) as Tensor4D) : null;
  }

  /** Takes a result for the convolution that is run next, and goes on behind it. */
  settle(result: Tensor): void {
    this.define(this.structure.trace.nodes[this.next]!, [result]);
    this.next++;
  }

  dispose(): void {
    for (const tensor of this.values.values()) tensor.dispose();
    this.values.clear();
  }

  /** The value as it is read here: other readers may see the same data in another shape, or integers where here are floats. */
  private read({ value, shape, dtype }: TraceTensor): Tensor {
    const tensor = this.values.get(value) ?? this.constants.get(value)!;
    const shaped = tensor.shape.join() === shape.join() ? tensor : reshape(tensor, [...shape]);
    return shaped.dtype === dtype ? shaped : cast(shaped, dtype);
  }

  private define(node: TraceNode, results: readonly Tensor[]): void {
    const { lastUse } = this.structure;
    node.outputs.forEach(({ value }, n) => {
      // A result that shares its data, such as a reshape's, takes the place of what it was made from.
      this.values.get(value)?.dispose();
      if (lastUse[value]! > this.next) this.values.set(value, results[n]!);
      else {
        this.values.delete(value);
        results[n]!.dispose();
      }
    });
    for (const { value } of Object.values(node.inputs)) {
      if (lastUse[value]! > this.next) continue;
      this.values.get(value)?.dispose();
      this.values.delete(value);
    }
  }
}

/** Kernels such as Concat take an array of inputs, which a trace names '0', '1', … */
function asGiven(inputs: NamedTensorMap): NamedTensorMap {
  const isArray = '0' in inputs;
  return isArray ? (Object.values(inputs) as unknown as NamedTensorMap) : inputs;
}

/** The convolution with a quantized filter, as the finished network will run it. */
export function runQuantized(
  { attributes, depthwise }: ConvolutionNode,
  { x, residual, slopes }: ConvolutionInputs,
  filter: DSConvFilter,
  bias: Tensor1D,
): Tensor4D {
  const { geometry: g, activation, leakyreluAlpha, activationBits, outputFormat } = attributes;
  const operator = depthwise ? dsDepthwiseConv2d : dsconv2d;
  return operator(
    x,
    filter,
    [g.strideHeight, g.strideWidth],
    [
      [g.padTop, g.padBottom],
      [g.padLeft, g.padRight],
    ],
    {
      dilations: [g.dilationHeight, g.dilationWidth],
      activation,
      leakyreluAlpha,
      activationBits,
      bias,
      ...(activation === 'prelu' && slopes ? { preluActivationWeights: slopes } : {}),
      ...(depthwise ? {} : { groups: g.groups }),
      ...(residual ? { residual } : {}),
      ...(outputFormat ? { outputFormat } : {}),
    },
  );
}

/** The same convolution with float weights, before residual and activation. */
export function runFloat(
  { attributes, depthwise }: ConvolutionNode,
  x: Tensor4D,
  weights: Tensor4D,
  bias: Tensor1D | null,
): Tensor4D {
  const { geometry: g } = attributes;
  return convolve(x, weights, {
    depthwise,
    strides: [g.strideHeight, g.strideWidth],
    dilations: [g.dilationHeight, g.dilationWidth],
    pad: [
      [g.padTop, g.padBottom],
      [g.padLeft, g.padRight],
    ],
    groups: g.groups,
    activation: 'linear',
    leakyreluAlpha: 0,
    activationBits: null,
    ...(bias ? { bias } : {}),
  }) as Tensor4D;
}

/** What follows a convolution: the residual, then the activation. */
export function finishFloat(
  { attributes }: ConvolutionNode,
  y: Tensor4D,
  { residual, slopes }: Pick<ConvolutionInputs, 'residual' | 'slopes'>,
): Tensor4D {
  const sum = residual ? (add(y, residual) as Tensor4D) : y;
  switch (attributes.activation) {
    case 'relu':
      return relu(sum);
    case 'relu6':
      return relu6(sum);
    case 'silu':
      return mul(sum, sigmoid(sum));
    case 'leakyrelu':
      return leakyRelu(sum, attributes.leakyreluAlpha);
    case 'prelu':
      return prelu(sum, reshape(slopes!, [1, 1, 1, -1]));
    default:
      return sum;
  }
}
