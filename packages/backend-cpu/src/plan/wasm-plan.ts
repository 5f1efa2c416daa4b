/** Plans of the WebAssembly tiers: every address is fixed beforehand, and a run calls one kernel after the other without a tensor in between. */
import {
  type Activation,
  type CompiledPlan,
  type ConvolutionStep,
  DisposedError,
  type DSConvFilter,
  type Lifetime,
  layOutArena,
  type Operand,
  type Program,
  readsOf,
  type Step,
  type ValueId,
} from '@dsconv/core';
import type { BinaryCode, ConvolutionCall } from '../engine.js';
import { TensorEntry } from '../tensor-entry.js';
import type { WasmEngine } from '../wasm/engine.js';
import type { Ptr } from '../wasm/interface.js';
import { concatRows, padImage, plainBinary, plainUnary, softmaxRows } from './plain-steps.js';

export class WasmCompiledPlan implements CompiledPlan {
  readonly arenaBytes: number;
  readonly liveBytes: number;
  private readonly calls: (() => void)[];
  private readonly addresses: Map<ValueId, Ptr>;
  private readonly arena: Ptr;
  private readonly constants: TensorEntry[] = [];
  private disposed = false;

  constructor(
    private readonly engine: WasmEngine,
    private readonly program: Program,
  ) {
    const { addresses, arena, bytes, liveBytes } = place(engine, program);
    this.addresses = addresses;
    this.arena = arena;
    this.arenaBytes = bytes;
    this.liveBytes = liveBytes;
    this.calls = program.steps.map((step) => this.prepare(step));
  }

  async run(inputs: readonly Float32Array[], outputs: readonly Float32Array[]): Promise<void> {
    if (this.disposed) throw new DisposedError('a plan was used after dispose()');
    const { heap } = this.engine;
    const { program } = this;
    for (const [n, value] of program.inputs.entries()) {
      heap.float32(this.at(value), inputs[n]!.length).set(inputs[n]!);
    }
    for (const call of this.calls) call();
    for (const [n, value] of program.outputs.entries()) {
      outputs[n]!.set(heap.float32(this.at(value), outputs[n]!.length));
    }
  }

  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    for (const entry of this.constants) entry.release();
    this.engine.heap.free(this.arena);
  }

  private at(value: ValueId): Ptr {
    return this.addresses.get(value)!;
  }

  private view(value: ValueId): Float32Array {
    return this.engine.heap.float32(this.at(value), this.program.sizes.get(value)!);
  }

  private operand(operand: Operand | null): Ptr | null {
    if (operand === null) return null;
    return typeof operand === 'number' ? this.at(operand) : this.constant(operand).pointer();
  }

  private constant(values: Float32Array): TensorEntry {
    const entry = new TensorEntry(this.engine.heap, values, 'float32', 1);
    this.constants.push(entry);
    return entry;
  }

  /** A function that does one step. */
  private prepare(step: Step): () => void {
    const { engine } = this;
    const y = this.at(step.output);
    switch (step.op) {
      case 'convolution':
        return this.prepareConvolution(step, y);
      case 'pool': {
        const x = this.at(step.input);
        return () => engine.pool(step.kind, x, y, step.geometry);
      }
      case 'mean': {
        const x = this.at(step.input);
        return () => engine.mean(x, y, step.batch, step.pixels, step.channels);
      }
      case 'matMul': {
        const [a, b] = [this.at(step.a), this.operand(step.b)!];
        const call = { ...step, a, b, y, bias: this.operand(step.bias), slopes: this.operand(step.slopes) };
        return () => engine.matMul(call);
      }
      case 'binary': {
        const { code, count, period, activation } = step;
        const plain = plainBinary(code);
        const { b: right } = step;
        if (plain) {
          return () => {
            const b = typeof right === 'number' ? this.view(right) : right;
            plain(this.view(step.a), b, this.view(step.output));
            if (activation !== 'linear') engine.unary(activation, y, y, count, 0, null, 1);
          };
        }
        const [a, b] = [this.at(step.a), this.operand(right)!];
        return () => {
          engine.binary(code as BinaryCode, a, b, y, count, period);
          if (activation !== 'linear') engine.unary(activation, y, y, count, 0, null, 1);
        };
      }
      case 'unary': {
        const { code, count, alpha } = step;
        const x = this.at(step.input);
        const plain = plainUnary(code);
        if (plain) return () => plain(this.view(step.input), this.view(step.output));
        const slopes = this.operand(step.slopes);
        return () => engine.unary(code as Activation, x, y, count, alpha, slopes, step.slopes?.length ?? 1);
      }
      case 'scaleShift': {
        const { scale, shift, count, activation } = step;
        const x = this.at(step.input);
        return () => {
          engine.scaleShift(x, y, count, scale, shift);
          if (activation !== 'linear') engine.unary(activation, y, y, count, 0, null, 1);
        };
      }
      case 'softmax':
        return () => softmaxRows(this.view(step.input), this.view(step.output), step.channels);
      case 'concat':
        return () =>
          concatRows(
            step.inputs.map((value) => this.view(value)),
            step.channels,
            this.view(step.output),
          );
      case 'pad':
        return () => padImage(this.view(step.input), this.view(step.output), step);
    }
  }

  private prepareConvolution(step: ConvolutionStep, y: Ptr): () => void {
    const { engine, program } = this;
    const { geometry, activation, leakyreluAlpha, filter, outputFormat, depthwise, multiplier } = step;
    const call: ConvolutionCall = {
      geometry,
      x: this.at(step.input),
      y,
      bias: this.operand(step.bias),
      residual: this.operand(step.residual),
      slopes: this.operand(step.slopes),
      activation,
      leakyreluAlpha,
    };
    if (filter instanceof Float32Array) {
      const entry = this.constant(filter);
      return depthwise ? () => engine.depthwise(call, entry, multiplier) : () => engine.conv2d(call, entry);
    }
    const quantized: DSConvFilter = filter;
    const channels = geometry.outChannels;
    const pixels = program.sizes.get(step.output)! / channels;
    return () => {
      engine.dsconv(call, quantized, step.activationBits ?? 0);
      if (outputFormat) engine.bfpRound(y, y, pixels, channels, outputFormat);
    };
  }
}

/** Gives every value an address in one allocation. */
function place(engine: WasmEngine, program: Program) {
  const lifetimes = new Map<ValueId, Lifetime>();
  const bytesOf = (value: ValueId): number => 4 * program.sizes.get(value)!;
  for (const value of program.inputs) lifetimes.set(value, { bytes: bytesOf(value), first: -1, last: -1 });
  program.steps.forEach((step, n) => {
    lifetimes.set(step.output, { bytes: bytesOf(step.output), first: n, last: n });
    for (const value of readsOf(step)) lifetimes.get(value)!.last = n;
  });
  for (const value of program.outputs) lifetimes.get(value)!.last = program.steps.length;
  const values = [...lifetimes.keys()];
  const { offsets, bytes, liveBytes } = layOutArena([...lifetimes.values()]);
  const arena = engine.heap.alloc(bytes);
  return {
    addresses: new Map(values.map((value, n) => [value, arena + offsets[n]!])),
    arena,
    bytes,
    liveBytes,
  };
}
