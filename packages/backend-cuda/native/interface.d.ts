/**
 * What the native addon of `@dsconv/backend-cuda` exports. The addon has no JavaScript of its own: src/native/load.ts loads it, this file types it. It knows
 * nothing of convolutions: it opens the NVIDIA driver's library at run time and does what TypeScript decides.
 *
 * Conventions
 * - Device addresses are JavaScript numbers: what `malloc` gave, or a place within it. Streams, functions, events, graphs and runners are small integers above
 *   0 that only their own device understands.
 * - Work on one stream happens in the order of the calls; streams know nothing of each other. Stream 0 does not exist.
 * - Views are any ArrayBufferView of any byte offset; lengths are those of the view, in bytes.
 * - Every mistake is an exception with a `code` and one sentence:
 *     TypeError  `INVALID_ARGUMENT` a value of the wrong kind; `INVALID_HANDLE` an integer that names nothing (any more), a foreign address;
 *     RangeError `OUT_OF_RANGE` bytes outside of an allocation, a size that does not fit;
 *     Error      `OUT_OF_MEMORY` the device, or pinned host memory, has no room: the sizes are named;
 *                `INVALID_STATE` what a stream under capture cannot do, and a second capture;
 *                `CUDA_ERROR` any other refusal of the driver, `errorName` is the driver's name of it, such as CUDA_ERROR_INVALID_VALUE;
 *                `DEVICE_LOST` the same where nothing on this device can go on in this process: a kernel touched a wrong address, hardware failed;
 *                `CLOSED` the device was closed, or the environment is shutting down;
 *                `NO_DRIVER`, `DRIVER_TOO_OLD`, `NO_DEVICE`, `DEVICE_TOO_OLD` from `probe` and `open` only.
 *   Functions that return a promise reject with the same errors, and throw none.
 * - Kernels run later than the call that launches them, so an error of theirs shows at any later call on the device.
 * - May be used from several worker_threads: each opens devices of its own. Handles and addresses do not travel between them.
 */

export interface DeviceInfo {
  /** Place among the devices that the driver shows, from 0. */
  index: number;
  /** As the driver calls it, such as `NVIDIA H100 80GB HBM3`. */
  name: string;
  /** `[major, minor]`, such as `[8, 6]`. */
  computeCapability: [number, number];
  multiprocessors: number;
  /** Bytes of device memory, used or not. */
  totalMemory: number;
  /** Most bytes of shared memory a block may have, once asked for by getFunction (opt-in). */
  sharedMemoryPerBlock: number;
  sharedMemoryPerMultiprocessor: number;
  l2Bytes: number;
  maxThreadsPerMultiprocessor: number;
  registersPerMultiprocessor: number;
  /** Of the cores, at most. */
  clockKilohertz: number;
  memoryClockKilohertz: number;
  memoryBusBits: number;
  /** Largest grid: x 2^31 - 1, y and z 65535 on every device so far. */
  maxGrid: [number, number, number];
  /** False where no kernels are found for it: compute capability below 7.5. */
  supported: boolean;
}

export interface ProbeResult {
  /** As the driver tells it: 1000 * major + 10 * minor of the CUDA version it knows, such as 13000. */
  driverVersion: number;
  /** True for the emulation of the tests (emulation/): nothing that it computes was computed by a GPU. */
  emulated: boolean;
  devices: DeviceInfo[];
}

export interface RunnerSpec {
  /** From endCapture of the same stream, or null: copies alone. It must outlive the runner. */
  graph: number | null;
  stream: number;
  /** Where inputs go to, in the order of run's views. */
  inputs: readonly { address: number; bytes: number }[];
  /** Where outputs are fetched from. */
  outputs: readonly { address: number; bytes: number }[];
}

export interface CudaDevice {
  readonly info: DeviceInfo;
  readonly closed: boolean;

  // ---- kernels ---------------------------------------------------------------------------------------------------------------
  /**
   * Makes the kernels of an image known: a fatbin, or PTX as text (its NUL is added here). May be called for several images; a name is searched in the order
   * of loading. The emulation's kernels are its own and it takes any bytes. An image the driver refuses: CUDA_ERROR with what its compiler says.
   */
  loadModule(image: Uint8Array): void;
  /**
   * A kernel by name, once for each name; asking again with more shared memory raises its limit.
   *
   * @param dynamicSharedBytes the most that launches will ask for
   */
  getFunction(name: string, dynamicSharedBytes: number): number;
  /**
   * @param params the kernel's one struct, as C lays it out (src/device/params.ts packs it); copied before the call returns
   */
  launch(
    fn: number,
    gridX: number,
    gridY: number,
    gridZ: number,
    threads: number,
    dynamicSharedBytes: number,
    params: Uint8Array,
    stream: number,
  ): void;

  // ---- memory ----------------------------------------------------------------------------------------------------------------
  /** Device memory whose address is a multiple of 256; its values are not set. At least one byte. */
  malloc(bytes: number): number;
  /** Waits for all work of the device first, as the driver does. The address must be one that malloc gave. */
  free(address: number): void;
  /** Bytes of the whole device: other processes use it too. */
  memoryInfo(): { free: number; total: number };
  /** The view may be changed as soon as the call returns. */
  write(address: number, view: ArrayBufferView, stream: number): void;
  /** Between places on the device, which may not overlap. */
  copy(to: number, from: number, bytes: number, stream: number): void;
  /** @param value 32 bits, signed or unsigned. @param count of 4-byte words; the address is a multiple of 4 */
  fill32(address: number, value: number, count: number, stream: number): void;
  /**
   * Fills the view with what lies at the address when the stream gets there. The event loop is not blocked meanwhile. Until then the view holds its old values.
   * A view whose buffer was transferred away meanwhile: rejected, INVALID_ARGUMENT.
   */
  read(address: number, view: ArrayBufferView, stream: number): Promise<void>;
  /** The same, waiting here. */
  readSync(address: number, view: ArrayBufferView, stream: number): void;

  // ---- order -----------------------------------------------------------------------------------------------------------------
  createStream(): number;
  /** Waits for the work of the stream. Runners and events of the stream must be gone. */
  destroyStream(stream: number): void;
  /** Resolves when all that was put on the stream before is done. */
  synchronize(stream: number): Promise<void>;
  synchronizeSync(stream: number): void;
  createEvent(): number;
  destroyEvent(event: number): void;
  recordEvent(event: number, stream: number): void;
  /** Milliseconds between two recorded events; waits for both here. */
  elapsed(from: number, to: number): number;

  // ---- graphs ----------------------------------------------------------------------------------------------------------------
  /** From here on launch, copy and fill32 on the stream are noted, not done; write, read, synchronize and events on it are INVALID_STATE. */
  beginCapture(stream: number): void;
  /** Ends it: a graph that can be launched any number of times. After an error in between: that error, and the stream is usable again. */
  endCapture(stream: number): number;
  launchGraph(graph: number, stream: number): void;
  /** Waits for the device first. Runners of the graph must be gone. */
  destroyGraph(graph: number): void;

  // ---- whole runs ------------------------------------------------------------------------------------------------------------
  /** Prepares `run`. Pinned host memory for one run is taken now, and more while several runs are in flight. */
  createRunner(spec: RunnerSpec): number;
  /**
   * One round trip: inputs to the device, the graph, outputs back. Inputs may be changed as soon as the call returns; outputs are written when the promise
   * resolves, never before. Several runs may be in flight; they are done in order.
   *
   * @param inputs views of exactly the bytes that the runner was made for; likewise outputs
   */
  run(runner: number, inputs: readonly ArrayBufferView[], outputs: readonly ArrayBufferView[]): Promise<void>;
  /** Waits for runs in flight; their promises still resolve. */
  destroyRunner(runner: number): void;

  /**
   * Gives everything back: memory, streams, graphs, the context. Waits for the device, so that promises in flight settle
   * as if it had not been closed. Calls afterwards: CLOSED; closing again does nothing. Happens by itself when the environment ends or the object is collected.
   */
  close(): void;
}

export interface DSConvCuda {
  /** Number of this interface; a loader refuses another. */
  readonly interfaceVersion: 1;
  /**
   * What the driver has. A crash of a broken driver takes the process along, which is why src/native/probe.ts asks in a child process first.
   *
   * @throws Error `NO_DRIVER`, `DRIVER_TOO_OLD`, `NO_DEVICE`, `CUDA_ERROR`, one sentence each
   */
  probe(): ProbeResult;
  /**
   * Opens a device in its primary context, which other libraries of the process share.
   *
   * @throws as probe does, and `DEVICE_TOO_OLD` below compute capability 7.5
   */
  open(index: number): CudaDevice;
}
