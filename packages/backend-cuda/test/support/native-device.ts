/** The addon on the emulation, for tests of both: small kernels of emulation/mutations, and everything a device can do, once. */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildEmulation } from '../../emulation/build.mjs';
import type { CudaDevice } from '../../native/interface.js';
import { loadAddon } from '../../src/native/load.js';

export const mutationsFolder = fileURLToPath(new URL('../../emulation/mutations', import.meta.url));

/** Why there is nothing to test here, or null. */
export const missing: string | null = (() => {
  if (process.env.DSCONV_EMULATION_MISSING) return process.env.DSCONV_EMULATION_MISSING;
  try {
    loadAddon();
    return null;
  } catch (error) {
    return (error as Error).message;
  }
})();

/** The library with the kernels of emulation/mutations. */
export async function checkLibrary(mutation?: { file: string; number: number }): Promise<string> {
  // Under emulation/check-sanitized.mjs.
  const sanitize = process.env.DSCONV_SANITIZED === '1';
  return (await buildEmulation({ folder: mutationsFolder, mutation, sanitize })).library;
}

/** Sets variables of the environment for the time of an action. */
export async function withEnvironment<T>(
  values: Record<string, string>,
  action: () => T | Promise<T>,
): Promise<T> {
  const before = Object.keys(values).map((name) => [name, process.env[name]] as const);
  Object.assign(process.env, values);
  try {
    return await action();
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}

export function openCheck(): CudaDevice {
  const device = loadAddon().open(0);
  try {
    device.loadModule(new Uint8Array([1]));
    return device;
  } catch (error) {
    device.close();
    throw error;
  }
}

/** Parameters of the kernels in self_check.cu. */
export function addParams(x: number, y: number, a: number, n: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(24));
  view.setBigUint64(0, BigInt(x), true);
  view.setBigUint64(8, BigInt(y), true);
  view.setFloat32(16, a, true);
  view.setInt32(20, n, true);
  return new Uint8Array(view.buffer);
}

/** What the emulation said when the last device was closed: what had not been given back. */
export class Report {
  readonly path = join(
    tmpdir(),
    `dsconv-cuda-report-${process.pid}-${Math.random().toString(36).slice(2)}.jsonl`,
  );

  last(): Record<string, number | boolean> {
    if (!existsSync(this.path)) throw new Error('no device was closed');
    return JSON.parse(readFileSync(this.path, 'utf8').trimEnd().split('\n').at(-1)!) as Record<
      string,
      number
    >;
  }

  clear(): void {
    rmSync(this.path, { force: true });
  }
}

export const NOTHING_LEFT = {
  allocations: 0,
  bytes: 0,
  pinned: 0,
  streams: 0,
  events: 0,
  graphs: 0,
  executables: 0,
  modules: 0,
  damaged: false,
};

/** Calls every function of a device and checks what comes out; the device is closed even where something throws. */
export async function exerciseDevice(): Promise<void> {
  const device = openCheck();
  try {
    const add = device.getFunction('check_add', 60_000);
    const [stream, other] = [device.createStream(), device.createStream()];
    const [x, y] = [device.malloc(4096), device.malloc(4096)];
    const [start, end] = [device.createEvent(), device.createEvent()];
    device.memoryInfo();
    device.recordEvent(start, stream);
    device.write(
      x,
      Float32Array.from({ length: 1024 }, (_, n) => n),
      stream,
    );
    device.launch(add, 8, 1, 1, 128, 0, addParams(x, y, 0.5, 1024), stream);
    device.copy(x, y, 2048, stream);
    device.fill32(x + 4, 0x3f800000, 2, stream);
    device.recordEvent(end, stream);
    const read = new Float32Array(4);
    await device.read(x, read, stream);
    expectValues(read, [0.5, 1, 1, 3.5]);
    device.readSync(y + 4, read, stream);
    expectValues(read, [1.5, 2.5, 3.5, 4.5]);
    if (!(device.elapsed(start, end) >= 0)) throw new Error('time ran backwards');
    await device.synchronize(other);
    device.synchronizeSync(stream);

    device.beginCapture(stream);
    device.launch(add, 1, 1, 1, 64, 0, addParams(x, y, 2, 64), stream);
    const graph = device.endCapture(stream);
    device.launchGraph(graph, stream);
    const places = { inputs: [{ address: x, bytes: 256 }], outputs: [{ address: y, bytes: 256 }] };
    const runner = device.createRunner({ graph, stream, ...places });
    const outputs = [1, 2, 3].map(() => new Float32Array(64));
    await Promise.all(outputs.map((view, n) => device.run(runner, [new Float32Array(64).fill(n)], [view])));
    for (const [n, view] of outputs.entries()) expectValues(view.subarray(60), new Array(4).fill(n + 2));
    device.destroyRunner(runner);
    device.destroyGraph(graph);
    for (const event of [start, end]) device.destroyEvent(event);
    for (const address of [x, y]) device.free(address);
    for (const each of [stream, other]) device.destroyStream(each);
  } finally {
    device.close();
  }
}

function expectValues(found: Float32Array, expected: number[]): void {
  if (found.join() !== expected.join()) throw new Error(`found ${found.join()}; expected ${expected.join()}`);
}
