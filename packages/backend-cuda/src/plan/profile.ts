/** Where the time of a plan goes, step by step: its launches one after the other with events between them, not as a graph. */
import { type ConvGeometry, DisposedError, fuse, lower, type Step, type Trace } from '@dsconv/core';
import { backend as tfBackend } from '@tensorflow/tfjs-core';
import type { CudaBackend } from '../backend.js';
import { PlanBuilder } from './builder.js';

/** One step of a plan and how long the device was busy with it. */
export interface StepTime {
  /** 'convolution', 'pool', 'mean', …; 'quantize' where a value is rounded for its readers. */
  op: string;
  /** Of convolutions and poolings, else null. */
  geometry: ConvGeometry | null;
  depthwise: boolean;
  /** Multiply-accumulates, 0 where there are none. */
  macs: number;
  microseconds: number;
}

/** A plan that measures each of its steps. */
export interface ProfiledPlan {
  /** Runs once. @param inputs as those of a compiled plan; default zeros. @throws DisposedError after `dispose()` */
  run(inputs?: readonly Float32Array[]): Promise<StepTime[]>;
  dispose(): void;
}

/**
 * A plan of a trace that was recorded on `dsconv-cuda`, the current backend, which tells where its time goes. Launches are not a graph here, so short steps take
 * a few microseconds more.
 *
 * @throws TraceError naming an operation that plans do not know
 * @throws OutOfMemoryError
 */
export function profilePlan(trace: Trace): ProfiledPlan {
  return new Profile(tfBackend() as CudaBackend, trace);
}

class Profile implements ProfiledPlan {
  private readonly builder: PlanBuilder;
  private readonly base: number;
  private disposed = false;

  constructor(
    private readonly backend: CudaBackend,
    trace: Trace,
  ) {
    backend.device.alive();
    this.builder = new PlanBuilder(backend, fuse(lower(trace)));
    try {
      this.builder.finish({});
      this.base = backend.allocate(this.builder.memory.bytes);
    } catch (error) {
      this.builder.free();
      throw error;
    }
  }

  async run(inputs?: readonly Float32Array[]): Promise<StepTime[]> {
    if (this.disposed) throw new DisposedError('a profile of a plan was used after dispose()');
    const { builder, base, backend } = this;
    const { device } = backend;
    const { native, stream } = device;
    builder.program.inputs.forEach((value, n) => {
      const address = base + builder.floatOf(value).offset;
      const count = builder.program.sizes.get(value)!;
      const given = inputs?.[n];
      if (given) device.call(() => native.write(address, given, stream));
      else backend.fill32(address, 0, count);
    });
    const { steps } = builder;
    const events = device.call(() => Array.from({ length: steps.length + 1 }, () => native.createEvent()));
    try {
      const mark = (n: number): void => device.call(() => native.recordEvent(events[n]!, stream));
      builder.record(base, stream, mark);
      mark(steps.length);
      await device.later(() => native.synchronize(stream));
      return steps.map((step, n) => ({
        ...describe(step),
        microseconds: 1000 * device.call(() => native.elapsed(events[n]!, events[n + 1]!)),
      }));
    } finally {
      if (device.usable) for (const event of events) native.destroyEvent(event);
    }
  }

  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    this.backend.free(this.base);
    this.builder.free();
  }
}

function describe(step: Step | null): Omit<StepTime, 'microseconds'> {
  const none = { geometry: null, depthwise: false, macs: 0 };
  if (step === null) return { op: 'quantize', ...none };
  const { op } = step;
  if (op === 'pool') return { op, ...none, geometry: step.geometry };
  if (op === 'matMul') return { op, ...none, macs: step.batch * step.m * step.k * step.n };
  if (op !== 'convolution') return { op, ...none };
  const { geometry: g, depthwise } = step;
  const outputs = g.batch * g.outHeight * g.outWidth * g.outChannels;
  const depth = depthwise ? 1 : g.inChannels / g.groups;
  return { op, geometry: g, depthwise, macs: outputs * depth * g.kernelHeight * g.kernelWidth };
}
