/**
 * Level 2 of the kernel contract, first half: recording. `capture` runs a function once with every kernel call recorded; the flat list is what
 * a backend compiles to a plan. Because kernels are recorded below TensorFlow.js's operators, it works for zoo networks, GraphModels and
 * LayersModels alike. What is computed from constants alone is a constant: shapes that a GraphModel calculates, a normalization's square roots.
 */
import {
  backend as currentBackend,
  type DataId,
  type DataType,
  engine,
  getBackend,
  getKernelsForBackend,
  type KernelBackend,
  type KernelFunc,
  keep,
  type NamedTensorInfoMap,
  type Tensor,
  type TensorInfo,
  tidy,
} from '@tensorflow/tfjs-core';
import { DSConvError, InvalidArgumentError } from './errors.js';

/** Number of a value (the data of one or more tensors) in a trace. */
export type ValueId = number;

/** A tensor in a trace. Tensors that share data, as after a reshape, share the value. */
export interface TraceTensor {
  value: ValueId;
  shape: readonly number[];
  dtype: DataType;
}

/** One kernel call. */
export interface TraceNode {
  kernel: string;
  inputs: Readonly<Record<string, TraceTensor>>;
  outputs: readonly TraceTensor[];
  /** Attributes as the kernel got them. */
  attributes: Readonly<Record<string, unknown>>;
}

/** What a function did, as a flat list in the order of execution. */
export interface Trace {
  /** The backend it was recorded on. */
  backend: string;
  inputs: readonly TraceTensor[];
  outputs: readonly TraceTensor[];
  nodes: readonly TraceNode[];
  /** Values that existed before (weights), were made from numbers in the function or computed from such values alone, copied. */
  constants: ReadonlyMap<ValueId, ConstantValues>;
  /** How many values there are; ids are below it. */
  valueCount: number;
  /** The function itself, for where the trace cannot be compiled. */
  body: TensorFunction;
  /** Whether the function returned an array of tensors. */
  returnsArray: boolean;
}

export type ConstantValues = Float32Array | Int32Array | Uint8Array;

/** A function was recorded that cannot be replayed, or a trace holds something a backend does not know. */
export class TraceError extends DSConvError {
  constructor(message: string) {
    super('TRACE', message);
  }
}

/** A function of one or more tensors, such as `model.predict`. */
export type TensorFunction = (...inputs: Tensor[]) => Tensor | Tensor[];

/**
 * Runs `body` once on the current backend and records every kernel call. The shapes of the examples are the trace's.
 *
 * @throws TraceError when the function reads values that depend on an input while it runs (its path may depend on them), or returns something
 *   that it did not compute from tensors
 */
export function capture(body: TensorFunction, ...examples: Tensor[]): Trace {
  return record(new Recorder(getBackend()), body, examples);
}

/**
 * As {@link capture}, for backends whose tensors cannot be read at once, such as those of a GPU: constants are held while the function runs and read
 * afterwards.
 */
export async function captureAsync(body: TensorFunction, ...examples: Tensor[]): Promise<Trace> {
  const held = new Map<ValueId, Tensor>();
  const recorder = new Recorder(getBackend(), held);
  try {
    const trace = record(recorder, body, examples);
    await recorder.readHeld();
    return trace;
  } finally {
    for (const tensor of held.values()) tensor.dispose();
  }
}

function record(recorder: Recorder, body: TensorFunction, examples: readonly Tensor[]): Trace {
  if (examples.length === 0)
    throw new InvalidArgumentError('examples is empty; expected one tensor per input');
  let trace: Trace | undefined;
  tidy(() => {
    const inputs = examples.map((example) => recorder.depend(example));
    const result = recorder.record(() => body(...examples));
    const outputs = (Array.isArray(result) ? result : [result]).map((tensor) => recorder.use(tensor));
    trace = { ...recorder.finish(), inputs, outputs, body, returnsArray: Array.isArray(result) };
  });
  return trace!;
}

class Recorder {
  private readonly values = new Map<DataId, ValueId>();
  private readonly constants = new Map<ValueId, ConstantValues>();
  /** Data that depends on an input. */
  private readonly dependent = new Set<DataId>();
  private readonly nodes: TraceNode[] = [];
  private readonly backend: KernelBackend = currentBackend();
  private count = 0;
  /** Above zero while a kernel runs: what it calls and reads is its own business. */
  private depth = 0;

  /** @param held where constants wait to be read; without it they are read at once */
  constructor(
    private readonly backendName: string,
    private readonly held?: Map<ValueId, Tensor>,
  ) {}

  /** Reads the constants that were held. */
  async readHeld(): Promise<void> {
    for (const [value, tensor] of this.held!) {
      this.constants.set(value, ((await tensor.data()) as ConstantValues).slice());
    }
  }

  /** A value that the trace is given, or computes from such values. */
  depend(tensor: TensorInfo): TraceTensor {
    this.dependent.add(tensor.dataId);
    return this.define(tensor);
  }

  private define(tensor: TensorInfo): TraceTensor {
    let value = this.values.get(tensor.dataId);
    if (value === undefined) {
      value = this.count++;
      this.values.set(tensor.dataId, value);
    }
    return { value, shape: [...tensor.shape], dtype: tensor.dtype };
  }

  /** A value that is read: one that was defined, or else a constant, copied now because it may be gone later. */
  use(tensor: TensorInfo): TraceTensor {
    const known = this.values.has(tensor.dataId);
    const described = this.define(tensor);
    if (known) return described;
    if (tensor.dtype === 'string' || tensor.dtype === 'complex64') {
      throw new TraceError(`a constant has dtype ${tensor.dtype}; expected float32, int32 or bool`);
    }
    if (this.held) {
      this.held.set(described.value, this.hold(tensor));
      return described;
    }
    this.depth++;
    const values = this.backend.readSync(tensor.dataId) as ConstantValues;
    this.depth--;
    this.constants.set(described.value, values.slice());
    return described;
  }

  /** One more tensor of the same data, so that the data stays. */
  private hold({ dataId, shape, dtype }: TensorInfo): Tensor {
    this.backend.incRef(dataId);
    return keep(engine().makeTensorFromDataId(dataId, shape, dtype, this.backend));
  }

  /** Runs a function with the backend's kernels wrapped and its reads refused. */
  record(body: () => Tensor | Tensor[]): Tensor | Tensor[] {
    const kernels = getKernelsForBackend(this.backendName);
    const originals = kernels.map((config) => config.kernelFunc);
    for (const config of kernels) config.kernelFunc = this.wrap(config.kernelName, config.kernelFunc);
    const restoreReads = this.refuseReads();
    try {
      const result: unknown = body();
      if (result instanceof Promise) {
        throw new TraceError('the function returned a Promise; expected tensors, computed synchronously');
      }
      return result as Tensor | Tensor[];
    } finally {
      restoreReads();
      kernels.forEach((config, n) => {
        config.kernelFunc = originals[n]!;
      });
    }
  }

  finish(): Pick<Trace, 'backend' | 'nodes' | 'constants' | 'valueCount'> {
    const { backendName: backend, nodes, constants, count: valueCount } = this;
    return { backend, nodes, constants, valueCount };
  }

  private wrap(kernel: string, original: KernelFunc): KernelFunc {
    return (params) => {
      if (this.depth > 0) return original(params);
      const inputs: Record<string, TraceTensor> = {};
      // TensorFlow.js hands optional inputs that are absent as undefined or null.
      const given = Object.entries(params.inputs as NamedTensorInfoMap).flatMap(([name, tensor]) =>
        tensor ? [[name, tensor] as const] : [],
      );
      const constant = given.every(([, { dataId }]) => !this.dependent.has(dataId));
      if (!constant) for (const [name, tensor] of given) inputs[name] = this.use(tensor);
      this.depth++;
      let result: TensorInfo | TensorInfo[];
      try {
        result = original(params);
      } finally {
        this.depth--;
      }
      if (constant) return result;
      const outputs = (Array.isArray(result) ? result : [result]).map((tensor) => this.depend(tensor));
      this.nodes.push({ kernel, inputs, outputs, attributes: { ...params.attrs } });
      return result;
    };
  }

  /** Makes reads outside of kernels an error, but those of constants; returns what undoes that. */
  private refuseReads(): () => void {
    const { backend } = this;
    const refuse = (original: 'read' | 'readSync') => {
      const method = backend[original] as (dataId: DataId) => never;
      return (dataId: DataId) => {
        if (this.depth > 0 || !this.dependent.has(dataId)) return method.call(backend, dataId);
        throw new TraceError(
          'the function reads the values of a tensor while it runs; expected one whose path does not depend on its inputs',
        );
      };
    };
    const own = { read: refuse('read'), readSync: refuse('readSync') };
    const before = Object.getOwnPropertyDescriptors(backend);
    Object.assign(backend, own);
    return () => {
      for (const name of ['read', 'readSync'] as const) {
        if (before[name]) Object.defineProperty(backend, name, before[name]);
        else delete (backend as Partial<KernelBackend>)[name];
      }
    };
  }
}
