/** Kernels that this backend does not have run as TensorFlow.js's own on the CPU, with the tensors moved there and back. */
import { MathBackendCPU } from '@tensorflow/tfjs-backend-cpu';
import {
  type BackendValues,
  backend_util,
  type DataId,
  type DataType,
  getKernel,
  getKernelsForBackend,
  type KernelFunc,
  type NamedTensorInfoMap,
  type TensorInfo,
} from '@tensorflow/tfjs-core';
import type { CudaBackend, CudaKernel, KernelArguments } from './backend.js';

/** Whose kernels they are. */
const HOST = 'cpu';

/** TensorFlow.js's CPU backend, but for a recommendation of another package that it prints at the first write. */
class HostBackend extends MathBackendCPU {
  override write(values: BackendValues, _shape: number[], dtype: DataType): DataId {
    const dataId = {};
    this.data.set(dataId, { values, dtype, refCount: 1 } as never);
    return dataId;
  }
}

const hosts = new WeakMap<CudaBackend, HostBackend>();
const warned = new Set<string>();

/** A kernel for every one that the CPU has and `present` lacks. */
export function fallbackKernels(present: ReadonlySet<string>): CudaKernel[] {
  return getKernelsForBackend(HOST)
    .filter(({ kernelName }) => !present.has(kernelName))
    .map(({ kernelName }) => ({
      kernelName,
      kernelFunc: ((call: KernelArguments) => runOnHost(kernelName, call)) as unknown as KernelFunc,
    }));
}

/**
 * Runs a kernel on the CPU; also for the cases that a kernel of this backend leaves out. Waits for the device, and says so once for each kernel, unless
 * TensorFlow.js is in production mode.
 */
export function runOnHost<A>(
  kernelName: string,
  { inputs, backend, attrs }: KernelArguments<A>,
): TensorInfo | TensorInfo[] {
  if (!warned.has(kernelName)) {
    warned.add(kernelName);
    backend_util.warn(
      `kernel ${kernelName} runs on the CPU, its tensors are moved there and back: backend 'dsconv-cuda' has none for this case (said once)`,
    );
  }
  const host = hostOf(backend);
  const visit = new Visit(backend, host);
  try {
    const moved = visit.move(inputs) as NamedTensorInfoMap;
    const { kernelFunc } = getKernel(kernelName, HOST);
    const result = kernelFunc({ inputs: moved, backend: host, attrs: attrs as never });
    return Array.isArray(result) ? result.map((info) => visit.fetch(info)) : visit.fetch(result);
  } finally {
    visit.end();
  }
}

/** How many pieces of data the CPU holds for a backend: none between calls. */
export function heldOnHost(backend: CudaBackend): number {
  return hosts.get(backend)?.numDataIds() ?? 0;
}

function hostOf(backend: CudaBackend): HostBackend {
  let host = hosts.get(backend);
  if (!host) {
    host = new HostBackend();
    hosts.set(backend, host);
  }
  return host;
}

type Inputs = TensorInfo | null | undefined | Inputs[] | { [name: string]: Inputs };

const isTensor = (value: object): value is TensorInfo => 'dataId' in value;

/** One call: what was moved to the CPU for it, and what it made there. */
class Visit {
  /** Data of this backend and of the CPU that are the same. */
  private readonly there = new Map<DataId, DataId>();
  private readonly back = new Map<DataId, TensorInfo>();
  private readonly made = new Set<DataId>();

  constructor(
    private readonly backend: CudaBackend,
    private readonly host: HostBackend,
  ) {}

  /** Inputs are tensors by name, arrays of them, or arrays by name. */
  move(inputs: Inputs): Inputs {
    if (!inputs) return inputs;
    if (Array.isArray(inputs)) return inputs.map((input) => this.move(input));
    if (isTensor(inputs)) return this.moveTensor(inputs);
    return Object.fromEntries(Object.entries(inputs).map(([name, input]) => [name, this.move(input)]));
  }

  /** A result as a tensor of this backend. */
  fetch({ dataId, shape, dtype }: TensorInfo): TensorInfo {
    const input = this.back.get(dataId);
    // A reshape, say: the CPU's result is its input's data. A cast may be too, with another dtype, which here is another number of bytes.
    if (input && input.dtype === dtype) return this.backend.reshaped(input, shape);
    if (!input) this.made.add(dataId);
    const values = this.host.readSync(dataId);
    // What the CPU's arrays hold of an input (a slice is a view) must not change with it.
    return this.backend.makeTensorInfo(shape, dtype, ArrayBuffer.isView(values) ? values.slice() : values);
  }

  /** Forgets everything on the CPU, however often it was referred to. */
  end(): void {
    for (const dataId of [...this.made, ...this.back.keys()]) this.host.disposeData(dataId, true);
  }

  private moveTensor(info: TensorInfo): TensorInfo {
    const { shape, dtype } = info;
    let dataId = this.there.get(info.dataId);
    if (dataId === undefined) {
      dataId = this.copy(info);
      this.there.set(info.dataId, dataId);
      this.back.set(dataId, info);
    }
    return { dataId, shape, dtype };
  }

  private copy({ dataId, shape, dtype }: TensorInfo): DataId {
    const values = this.backend.readSync(dataId);
    if (dtype !== 'complex64') return this.host.write(values, shape, dtype);
    const { real, imag } = backend_util.splitRealAndImagArrays(values as Float32Array);
    const parts = {
      real: this.host.makeTensorInfo(shape, 'float32', real),
      imag: this.host.makeTensorInfo(shape, 'float32', imag),
    };
    const complex = getKernel('Complex', HOST).kernelFunc({
      inputs: parts,
      backend: this.host,
      attrs: {},
    }) as TensorInfo;
    for (const part of Object.values(parts)) this.host.disposeData(part.dataId);
    return complex.dataId;
  }
}
