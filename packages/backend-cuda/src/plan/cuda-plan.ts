/** A plan on the GPU: its launches are a graph of the driver, made once, and a run is one call of the addon. */
import {
  type CompiledPlan,
  type CompileOptions,
  DisposedError,
  fuse,
  lower,
  type Trace,
  TraceError,
  type ValueId,
} from '@dsconv/core';
import { engine, type Tensor, type TensorInfo } from '@tensorflow/tfjs-core';
import type { CudaBackend } from '../backend.js';
import { OutOfMemoryError } from '../errors.js';
import { PlanBuilder } from './builder.js';
import { PlanGraph } from './graph.js';
import type { Place } from './memory.js';

/**
 * Compiles a trace.
 *
 * @throws TraceError naming an operation that plans do not know, or memory that the device does not have
 */
export async function compileTrace(
  backend: CudaBackend,
  trace: Trace,
  options: CompileOptions = {},
): Promise<CompiledPlan> {
  backend.device.alive();
  const builder = new PlanBuilder(backend, fuse(lower(trace)));
  try {
    builder.finish(options);
    const plan = new CudaPlan(backend, builder, trace);
    // Weights were uploaded on the main stream; runs are on others.
    await backend.device.later(() => backend.device.native.synchronize(backend.device.stream));
    return plan;
  } catch (error) {
    builder.free();
    if (error instanceof OutOfMemoryError) throw new TraceError(error.message);
    throw error;
  }
}

/** An input or output: where it lies while a plan runs. */
interface Port {
  place: Place;
  bytes: number;
  shape: readonly number[];
}

class CudaPlan implements CompiledPlan {
  readonly arenaBytes: number;
  readonly liveBytes: number;
  private readonly inputs: readonly Port[];
  private readonly outputs: readonly Port[];
  /** Graphs with a memory of their own: runs of `run` and of `runTensors` are on different streams and know nothing of each other. */
  private first: PlanGraph | null;
  private own: PlanGraph | null = null;
  private main: PlanGraph | null = null;
  private runner: { id: number; stream: number } | null = null;
  private running = 0;
  private disposed = false;

  constructor(
    private readonly backend: CudaBackend,
    private readonly builder: PlanBuilder,
    trace: Trace,
  ) {
    this.arenaBytes = builder.memory.bytes;
    this.liveBytes = builder.memory.liveBytes;
    const { program } = builder;
    const ports = (values: readonly ValueId[], tensors: Trace['inputs']): Port[] =>
      values.map((value, n) => ({
        place: builder.floatOf(value),
        bytes: 4 * program.sizes.get(value)!,
        shape: tensors[n]!.shape,
      }));
    this.inputs = ports(program.inputs, trace.inputs);
    this.outputs = ports(program.outputs, trace.outputs);
    this.first = new PlanGraph(backend, builder);
  }

  async run(inputs: readonly Float32Array[], outputs: readonly Float32Array[]): Promise<void> {
    this.check();
    const { device } = this.backend;
    const runner = (this.runner ??= this.createRunner());
    this.running++;
    try {
      await device.later(() => device.native.run(runner.id, inputs, outputs));
    } finally {
      this.running--;
      if (this.disposed && this.running === 0) this.free();
    }
  }

  async runTensors(inputs: readonly Tensor[]): Promise<Tensor[]> {
    this.check();
    const { backend } = this;
    const graph = (this.main ??= this.takeGraph());
    this.inputs.forEach(({ place }, n) => {
      backend.copyTensor(inputs[n]!, graph.at(place));
    });
    graph.launch(backend.device.stream);
    const infos: TensorInfo[] = [];
    try {
      for (const { place, bytes, shape } of this.outputs) {
        infos.push(backend.make(shape, 'float32', (y) => backend.copy(y.address, graph.at(place), bytes)));
      }
    } catch (error) {
      for (const { dataId } of infos) backend.disposeData(dataId);
      throw error;
    }
    return infos.map((info) => engine().makeTensorFromTensorInfo(info, backend));
  }

  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    if (this.running === 0) this.free();
  }

  private check(): void {
    if (this.disposed) throw new DisposedError('a plan was used after dispose()');
    this.backend.device.alive();
  }

  /** The graph that was made first, or another one where that is taken. */
  private takeGraph(): PlanGraph {
    const graph = this.first ?? new PlanGraph(this.backend, this.builder);
    this.first = null;
    return graph;
  }

  private createRunner(): { id: number; stream: number } {
    const { device } = this.backend;
    const graph = (this.own ??= this.takeGraph());
    const stream = device.newStream();
    const port = ({ place, bytes }: Port) => ({ address: graph.at(place), bytes });
    try {
      const spec = {
        graph: graph.id,
        stream,
        inputs: this.inputs.map(port),
        outputs: this.outputs.map(port),
      };
      return { id: device.call(() => device.native.createRunner(spec)), stream };
    } catch (error) {
      device.endStream(stream);
      throw error;
    }
  }

  private free(): void {
    const { device } = this.backend;
    const { runner } = this;
    if (runner && device.usable) {
      device.call(() => device.native.destroyRunner(runner.id));
      device.endStream(runner.stream);
    }
    for (const graph of [this.first, this.own, this.main]) graph?.free();
    this.builder.free();
  }
}
