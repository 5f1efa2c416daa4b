/**
 * Level 2 of the kernel contract, second half: plans. A backend compiles a trace to a plan of fixed shapes that runs without any JavaScript per
 * operator; where it cannot, the function itself runs, and the plan says why.
 */
import { getBackend, setBackend, type Tensor, tensor } from '@tensorflow/tfjs-core';
import { type CompiledPlan, type CompileOptions, getDSConvBackend } from './contract.js';
import { DisposedError, InvalidArgumentError } from './errors.js';
import { captureAsync, type TensorFunction, type Trace, TraceError } from './trace.js';

/** A function, recorded for fixed shapes and ready to run again and again. */
export interface Plan {
  /** 'compiled', or 'eager' where the backend could not compile the trace. */
  readonly mode: 'compiled' | 'eager';
  /** Why the plan is eager, naming the operation; null when it is compiled. */
  readonly reason: string | null;
  /** The compiled form, null when eager. */
  readonly compiled: CompiledPlan | null;
  readonly inputShapes: readonly (readonly number[])[];
  readonly outputShapes: readonly (readonly number[])[];
  /**
   * Runs the plan on tensors of the recorded shapes. Several runs may be under way.
   *
   * @returns what the function returned, as new tensors: one, or an array
   * @throws InvalidArgumentError when number, shape or dtype of the inputs differ from the recorded ones
   * @throws DisposedError after `dispose()`
   */
  run(...inputs: Tensor[]): Promise<Tensor | Tensor[]>;
  dispose(): void;
}

/**
 * Records a function on the current backend and compiles it.
 *
 * @param body such as `(x) => network.predict(x)` or `model.predict`
 * @param examples tensors of the shapes the plan shall have
 */
export async function compile(body: TensorFunction, ...examples: Tensor[]): Promise<Plan> {
  let trace: Trace;
  try {
    trace = await captureAsync(body, ...examples);
  } catch (error) {
    if (!(error instanceof TraceError)) throw error;
    return eagerPlan(body, examples, error.message);
  }
  return compilePlan(trace);
}

/**
 * Compiles a trace on the backend it was recorded on. Where the backend has no plans, or does not know an operation of the trace, the plan runs
 * the function itself, and `reason` says which operation it was.
 */
export async function compilePlan(trace: Trace, options: CompileOptions = {}): Promise<Plan> {
  const backend = getDSConvBackend(trace.backend);
  if (!backend?.compilePlan) return eagerTrace(trace, `backend '${trace.backend}' has no plans`);
  const odd = [...trace.inputs, ...trace.outputs].find(({ dtype }) => dtype !== 'float32');
  if (odd) return eagerTrace(trace, `an input or output has dtype ${odd.dtype}; plans take and give float32`);
  try {
    return new TracePlan(trace, await backend.compilePlan(trace, options));
  } catch (error) {
    if (!(error instanceof TraceError)) throw error;
    return eagerTrace(trace, error.message);
  }
}

class TracePlan implements Plan {
  readonly mode = 'compiled';
  readonly reason = null;
  readonly inputShapes: readonly (readonly number[])[];
  readonly outputShapes: readonly (readonly number[])[];
  private plan: CompiledPlan | null;

  constructor(
    private readonly trace: Trace,
    compiled: CompiledPlan,
  ) {
    this.plan = compiled;
    this.inputShapes = trace.inputs.map(({ shape }) => shape);
    this.outputShapes = trace.outputs.map(({ shape }) => shape);
  }

  get compiled(): CompiledPlan {
    if (this.plan === null) throw new DisposedError('a plan was used after dispose()');
    return this.plan;
  }

  async run(...inputs: Tensor[]): Promise<Tensor | Tensor[]> {
    const { compiled } = this;
    checkInputs(inputs, this.inputShapes);
    if (compiled.runTensors && getBackend() === this.trace.backend) {
      const tensors = await compiled.runTensors(inputs);
      return this.trace.returnsArray ? tensors : tensors[0]!;
    }
    const values = await Promise.all(inputs.map((input) => readNow(input)));
    const outputs = this.outputShapes.map((shape) => new Float32Array(shape.reduce((n, d) => n * d, 1)));
    await compiled.run(values, outputs);
    if (getBackend() !== this.trace.backend) await setBackend(this.trace.backend);
    const tensors = outputs.map((values, n) => tensor(values, [...this.outputShapes[n]!], 'float32'));
    return this.trace.returnsArray ? tensors : tensors[0]!;
  }

  dispose(): void {
    this.plan?.dispose();
    this.plan = null;
  }
}

/** Without waiting where the backend can read at once, so that runs queue up in the order of the calls. */
function readNow(input: Tensor): Float32Array | Promise<Float32Array> {
  try {
    return input.dataSync() as Float32Array;
  } catch {
    return input.data() as Promise<Float32Array>;
  }
}

function checkInputs(inputs: readonly Tensor[], shapes: readonly (readonly number[])[]): void {
  if (inputs.length !== shapes.length) {
    throw new InvalidArgumentError(`${inputs.length} inputs are given; expected ${shapes.length}`);
  }
  inputs.forEach((input, n) => {
    if (input.dtype !== 'float32' || input.shape.join() !== shapes[n]!.join()) {
      throw new InvalidArgumentError(
        `input ${n} is ${input.dtype} of shape [${input.shape}]; expected float32 [${shapes[n]}] as recorded`,
      );
    }
  });
}

function eagerTrace(trace: Trace, reason: string): Plan {
  return new EagerPlan(
    trace.body,
    trace.inputs.map(({ shape }) => shape),
    trace.outputs.map(({ shape }) => shape),
    reason,
  );
}

function eagerPlan(body: TensorFunction, examples: readonly Tensor[], reason: string): Plan {
  return new EagerPlan(
    body,
    examples.map(({ shape }) => shape),
    [],
    reason,
  );
}

class EagerPlan implements Plan {
  readonly mode = 'eager';
  readonly compiled = null;
  private disposed = false;

  constructor(
    private readonly body: TensorFunction,
    readonly inputShapes: readonly (readonly number[])[],
    readonly outputShapes: readonly (readonly number[])[],
    readonly reason: string,
  ) {}

  async run(...inputs: Tensor[]): Promise<Tensor | Tensor[]> {
    if (this.disposed) throw new DisposedError('a plan was used after dispose()');
    checkInputs(inputs, this.inputShapes);
    return this.body(...inputs);
  }

  dispose(): void {
    this.disposed = true;
  }
}
