/** A plan on the GPU: the dispatch list, its bind groups and buffers are made once, and a run only submits them. */
import {
  type CompiledPlan,
  type CompileOptions,
  DisposedError,
  fuse,
  lower,
  type Trace,
  TraceError,
} from '@dsconv/core';
import type { Tensor } from '@tensorflow/tfjs-core';
import { engine } from '@tensorflow/tfjs-core';
import { OutOfMemoryError } from '../errors.js';
import type { Dispatch } from '../gpu/dispatch.js';
import type { GpuState } from '../gpu/state.js';
import type { StepShader } from '../gpu/step-variants.js';
import { bufferOf, flushCommands } from '../gpu/stream.js';
import type { Variant } from '../gpu/variants.js';
import type { ConvolutionCall } from '../kernels/convolution.js';
import { PlanBuilder } from './builder.js';
import type { Place } from './memory.js';
import { testSpecial } from './special-test.js';
import { testStepShader } from './step-test.js';

/**
 * Compiles a trace. Shaders are compiled beside the event loop, all of them before the first run.
 *
 * @throws TraceError naming an operation that plans do not know, or a value that the device cannot hold
 */
export async function compileTrace(
  state: GpuState,
  trace: Trace,
  { onProgress }: CompileOptions = {},
): Promise<CompiledPlan> {
  state.alive();
  const builder = new PlanBuilder(state, fuse(lower(trace)));
  try {
    await state.pipelines.prepare(builder.variants, onProgress);
    await testSteps(state, builder.variants);
    await testSpecials(state, builder.specials);
    const off = builder.variants.find(({ key }) => state.disabled.has(key) && !builder.specials.has(key));
    if (off) throw new TraceError(state.disabled.get(off.key)!);
    return new GpuPlan(state, builder, trace);
  } catch (error) {
    builder.free();
    if (error instanceof OutOfMemoryError) throw new TraceError(error.message);
    throw error;
  }
}

/** Known answers of the shaders that were not used before. */
async function testSteps(state: GpuState, variants: readonly Variant[]): Promise<void> {
  const shaders = variants.flatMap(({ layout, key }) => (layout === 'step' ? [key as StepShader] : []));
  const test = async (shader: StepShader): Promise<void> => {
    const failure = await testStepShader(state, shader);
    if (failure) state.disabled.set(shader, failure);
  };
  for (const shader of new Set(shaders)) {
    if (!state.tests.has(shader)) state.tests.set(shader, test(shader));
    await state.tests.get(shader);
  }
}

/** The same of shaders for some kinds of convolutions, each of which has one for all kinds behind it. */
async function testSpecials(state: GpuState, calls: ReadonlyMap<string, ConvolutionCall>): Promise<void> {
  for (const [key, call] of calls) {
    const test = async (): Promise<void> => {
      const failure = await testSpecial(state, call);
      if (failure) state.disabled.set(key, failure);
    };
    if (!state.tests.has(key)) state.tests.set(key, test());
    await state.tests.get(key);
  }
}

/** An input or output: where it lies while a plan runs. */
interface Port {
  place: Place;
  bytes: number;
  shape: readonly number[];
}

class GpuPlan implements CompiledPlan {
  readonly arenaBytes: number;
  readonly liveBytes: number;
  private readonly dispatches: readonly Dispatch[];
  private readonly inputs: readonly Port[];
  private readonly outputs: readonly Port[];
  /** Buffers for reading results that no run uses now. */
  private readonly staging: GPUBuffer[] = [];
  private disposed = false;
  private running = 0;

  constructor(
    private readonly state: GpuState,
    private readonly builder: PlanBuilder,
    trace: Trace,
  ) {
    this.dispatches = builder.finish();
    this.arenaBytes = builder.memory.bytes;
    this.liveBytes = builder.memory.liveBytes;
    const { program } = builder;
    const ports = (values: readonly number[], tensors: Trace['inputs']): Port[] =>
      values.map((value, n) => {
        const { shape } = tensors[n]!;
        return { place: builder.floatOf(value), bytes: 4 * program.sizes.get(value)!, shape };
      });
    this.inputs = ports(program.inputs, trace.inputs);
    this.outputs = ports(program.outputs, trace.outputs);
  }

  async run(inputs: readonly Float32Array[], outputs: readonly Float32Array[]): Promise<void> {
    const { device } = this.check();
    this.inputs.forEach(({ place }, n) => {
      device.queue.writeBuffer(this.bufferAt(place), 0, inputs[n]! as Float32Array<ArrayBuffer>);
    });
    const encoder = device.createCommandEncoder();
    this.encode(encoder);
    const staging = this.takeStaging();
    let offset = 0;
    for (const { place, bytes } of this.outputs) {
      encoder.copyBufferToBuffer(this.bufferAt(place), 0, staging, offset, bytes);
      offset += bytes;
    }
    device.queue.submit([encoder.finish()]);
    this.running++;
    try {
      await staging.mapAsync(GPUMapMode.READ);
      offset = 0;
      for (const [n, { bytes }] of this.outputs.entries()) {
        outputs[n]!.set(new Float32Array(staging.getMappedRange(offset, bytes)));
        offset += bytes;
      }
      staging.unmap();
    } catch (error) {
      await this.state.rethrow(error);
    } finally {
      this.running--;
      this.giveStaging(staging);
    }
  }

  async runTensors(inputs: readonly Tensor[]): Promise<Tensor[]> {
    const { device, backend } = this.check();
    const encoder = device.createCommandEncoder();
    this.inputs.forEach(({ place, bytes }, n) => {
      encoder.copyBufferToBuffer(bufferOf(backend, inputs[n]!), 0, this.bufferAt(place), 0, bytes);
    });
    this.encode(encoder);
    const results = this.outputs.map(({ place, bytes, shape }) => {
      const info = backend.makeTensorInfo([...shape], 'float32');
      encoder.copyBufferToBuffer(this.bufferAt(place), 0, bufferOf(backend, info), 0, bytes);
      return engine().makeTensorFromTensorInfo(info);
    });
    // What computes the inputs may still wait in TensorFlow.js's stream.
    flushCommands(backend);
    device.queue.submit([encoder.finish()]);
    return results;
  }

  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    if (this.running === 0) this.free();
  }

  private check(): GpuState {
    if (this.disposed) throw new DisposedError('a plan was used after dispose()');
    this.state.alive();
    return this.state;
  }

  private encode(encoder: GPUCommandEncoder): void {
    const pass = encoder.beginComputePass();
    for (const { pipeline, bindGroup, workgroups } of this.dispatches) {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, bindGroup);
      pass.dispatchWorkgroups(...workgroups);
    }
    pass.end();
  }

  private bufferAt(place: Place): GPUBuffer {
    return this.builder.memory.slice(place).buffer;
  }

  /** Every run that is under way has its own, so that several may be. */
  private takeStaging(): GPUBuffer {
    const size = this.outputs.reduce((sum, { bytes }) => sum + bytes, 0);
    return (
      this.staging.pop() ??
      this.state.device.createBuffer({
        label: 'dsconv plan results',
        size: Math.max(16, size),
        usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
      })
    );
  }

  private giveStaging(buffer: GPUBuffer): void {
    this.staging.push(buffer);
    if (this.disposed && this.running === 0) this.free();
  }

  private free(): void {
    for (const buffer of this.staging.splice(0)) buffer.destroy();
    if (this.state.lost === null) this.builder.free();
  }
}
