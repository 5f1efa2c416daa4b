/** PyTorch's modules as ONNX operators, with parameters drawn at random under the names the state dictionary would have. */
import type { SafeTensor } from '@dsconv/models';
import { OnnxGraph } from './onnx-file.js';

export interface ConvOptions {
  stride?: number;
  padding?: number;
  groups?: number;
  bias?: boolean;
}

export interface PoolOptions {
  padding?: number;
  ceil?: boolean;
}

export class TorchModules {
  readonly graph = new OnnxGraph();
  /** The state dictionary, in the order of the calls. */
  readonly state = new Map<string, SafeTensor>();
  private seed: number;

  constructor(seed: number) {
    this.seed = seed;
  }

  /** `nn.Conv2d`. */
  conv(x: string, name: string, inputs: number, outputs: number, kernel: number, options: ConvOptions = {}) {
    const { stride = 1, padding = 0, groups = 1, bias = false } = options;
    const shape = [outputs, inputs / groups, kernel, kernel];
    const weight = this.parameter(`${name}.weight`, shape, 0, spread(shape));
    const operands = [x, weight, ...(bias ? [this.parameter(`${name}.bias`, [outputs], 0, 0.1)] : [])];
    return this.graph.node('Conv', operands, {
      kernel_shape: [kernel, kernel],
      strides: [stride, stride],
      pads: [padding, padding, padding, padding],
      group: groups,
    });
  }

  /** `nn.Linear` on `[N, inputs]`. */
  linear(x: string, name: string, inputs: number, outputs: number): string {
    const weight = this.parameter(`${name}.weight`, [outputs, inputs], 0, spread([outputs, inputs]));
    const bias = this.parameter(`${name}.bias`, [outputs], 0, 0.1);
    return this.graph.node('Gemm', [x, weight, bias], { transB: 1 });
  }

  /** `nn.BatchNorm2d` in evaluation. */
  norm(x: string, name: string, channels: number, epsilon = 1e-5): string {
    const operands = [
      this.parameter(`${name}.weight`, [channels], 1, 0.3),
      this.parameter(`${name}.bias`, [channels], 0, 0.3),
      this.parameter(`${name}.running_mean`, [channels], 0, 0.3),
      this.parameter(`${name}.running_var`, [channels], 1, 0.5),
    ];
    this.state.set(`${name}.num_batches_tracked`, { dtype: 'I64', shape: [], data: BigInt64Array.of(7n) });
    return this.graph.node('BatchNormalization', [x, ...operands], { epsilon: { float: epsilon } });
  }

  relu(x: string): string {
    return this.graph.node('Relu', [x]);
  }

  relu6(x: string): string {
    const limit = (name: string, value: number): string =>
      this.graph.constant(`${name}_${x}`, [], Float32Array.of(value));
    return this.graph.node('Clip', [x, limit('low', 0), limit('high', 6)]);
  }

  maxPool(x: string, kernel: number, stride: number, { padding = 0, ceil = false }: PoolOptions = {}) {
    return this.graph.node('MaxPool', [x], {
      kernel_shape: [kernel, kernel],
      strides: [stride, stride],
      pads: [padding, padding, padding, padding],
      ceil_mode: ceil ? 1 : 0,
    });
  }

  /** `nn.AvgPool2d`. */
  averagePool(x: string, kernel: number): string {
    return this.graph.node('AveragePool', [x], { kernel_shape: [kernel, kernel], strides: [kernel, kernel] });
  }

  globalAveragePool(x: string): string {
    return this.graph.node('GlobalAveragePool', [x]);
  }

  /** `nn.AdaptiveAvgPool2d` of a picture of `from` × `from`, for the sizes where that is simple. */
  adaptiveAveragePool(x: string, from: number, to: number): string {
    if (from === to) return x;
    if (from === 1) return this.graph.node('Tile', [x, this.graph.integers([1, 1, to, to])]);
    if (from % to === 0) return this.averagePool(x, from / to);
    throw new Error(`no simple way from ${from} to ${to}`);
  }

  cat(parts: readonly string[]): string {
    return this.graph.node('Concat', parts, { axis: 1 });
  }

  add(a: string, b: string): string {
    return this.graph.node('Add', [a, b]);
  }

  flatten(x: string): string {
    return this.graph.node('Flatten', [x], { axis: 1 });
  }

  /** Uniform numbers around `centre`, kept in the state dictionary and as a constant of the graph. */
  private parameter(name: string, shape: readonly number[], centre: number, reach: number): string {
    const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
    let seed = this.seed;
    for (let n = 0; n < data.length; n++) {
      seed = (Math.imul(seed, 1664525) + 1013904223) | 0;
      data[n] = centre + (seed / 2 ** 31) * reach;
    }
    this.seed = seed;
    this.state.set(name, { dtype: 'F32', shape: [...shape], data });
    return this.graph.constant(name, shape, data);
  }
}

/** He's variance `2 / fan-in`, as the reach of a uniform distribution. */
const spread = ([, ...fanIn]: readonly number[]): number => Math.sqrt(6 / fanIn.reduce((a, b) => a * b, 1));
