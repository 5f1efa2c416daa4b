/** The addon on the emulation: memory, order, graphs, runs, and what mistakes are answered with. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { CudaDevice } from '../native/interface.js';
import { loadAddon } from '../src/native/load.js';
import {
  addParams,
  checkLibrary,
  exerciseDevice,
  missing,
  NOTHING_LEFT,
  openCheck,
  Report,
  withEnvironment,
} from './support/native-device.js';

const driver = missing ? '' : await checkLibrary();
const report = new Report();
const outside = process.env.DSCONV_CUDA_DRIVER;

describe.skipIf(missing).each(['0', '1'])('a device that does its work late: %s', (lazy) => {
  let device: CudaDevice;
  let stream: number;

  beforeAll(() => {
    Object.assign(process.env, {
      DSCONV_CUDA_DRIVER: driver,
      DSCONV_EMULATED_LAZY: lazy,
      DSCONV_EMULATED_REPORT: report.path,
      DSCONV_EMULATED_MEMORY: String(2 ** 20),
    });
  });
  beforeEach(() => {
    device = openCheck();
    stream = device.createStream();
  });
  afterEach(() => {
    device.close();
    expect(report.last()).toEqual(NOTHING_LEFT);
  });
  afterAll(() => {
    for (const name of ['LAZY', 'REPORT', 'MEMORY']) delete process.env[`DSCONV_EMULATED_${name}`];
    process.env.DSCONV_CUDA_DRIVER = outside;
    report.clear();
  });

  /** The code of the error that an action throws. */
  const codeOf = (action: () => unknown) => {
    try {
      action();
    } catch (error) {
      return (error as { code?: string }).code;
    }
    return null;
  };
  const rejection = (promise: Promise<unknown>) =>
    promise.then(
      () => null,
      (error: { code?: string }) => error.code,
    );

  test('everything, once', async () => {
    await exerciseDevice();
  });

  test('memory is taken and given back, and a lack of it names the sizes', () => {
    const before = device.memoryInfo();
    const address = device.malloc(1000);
    expect(address % 256).toBe(0);
    expect(before.free - device.memoryInfo().free).toBe(1024);
    expect(() => device.malloc(2 ** 21)).toThrow(
      /no room for 2\.0 MiB, of its 1\.0 MiB there are 1023\.0 KiB free/,
    );
    expect(codeOf(() => device.malloc(2 ** 21))).toBe('OUT_OF_MEMORY');
    device.free(address);
    expect(device.memoryInfo()).toEqual(before);
    expect(codeOf(() => device.free(address))).toBe('INVALID_HANDLE');
  });

  test('memory that was never written reads as poison', async () => {
    const view = new Uint8Array(8);
    await device.read(device.malloc(8), view, stream);
    expect([...view]).toEqual(new Array(8).fill(255));
  });

  test('views of every kind and offset', async () => {
    const address = device.malloc(64);
    const bytes = Uint8Array.from({ length: 64 }, (_, n) => n);
    device.write(address, bytes, stream);
    const part = new Uint8Array(64).subarray(3, 7);
    await device.read(address + 8, part, stream);
    expect([...part]).toEqual([8, 9, 10, 11]);
    const data = new DataView(new ArrayBuffer(32), 16, 8);
    await device.read(address, data, stream);
    expect(data.getUint32(0, true)).toBe(0x03020100);
    const doubles = new Float64Array(2);
    device.readSync(address, doubles, stream);
    expect([...new Uint8Array(doubles.buffer)]).toEqual([...bytes.subarray(0, 16)]);
    const shared = new Float32Array(new SharedArrayBuffer(16));
    await device.read(address, shared, stream);
    expect(new Uint8Array(shared.buffer)[15]).toBe(15);
    await device.read(address, new Uint8Array(0), stream);
  });

  test('what is written may be changed at once', async () => {
    const address = device.malloc(4);
    const view = new Int32Array([5]);
    device.write(address, view, stream);
    view[0] = 6;
    const found = new Int32Array(1);
    await device.read(address, found, stream);
    expect(found[0]).toBe(5);
  });

  test('a read gives what is there when its turn comes, not what comes after', async () => {
    const address = device.malloc(4);
    const [first, second] = [new Int32Array(1), new Int32Array(1)];
    device.fill32(address, 1, 1, stream);
    const early = device.read(address, first, stream);
    device.fill32(address, -1, 1, stream);
    await device.read(address, second, stream);
    await early;
    expect([first[0], second[0]]).toEqual([1, -1]);
  });

  test('several runs in flight keep apart', async () => {
    const [x, y] = [device.malloc(4000), device.malloc(4000)];
    device.beginCapture(stream);
    device.launch(device.getFunction('check_add', 0), 1, 1, 1, 1000, 0, addParams(x, y, 1, 1000), stream);
    const graph = device.endCapture(stream);
    const runner = device.createRunner({
      graph,
      stream,
      inputs: [{ address: x, bytes: 4000 }],
      outputs: [
        { address: y, bytes: 4000 },
        { address: x, bytes: 8 },
      ],
    });
    const input = new Float32Array(1000);
    const runs = Array.from({ length: 20 }, async (_, n) => {
      const [sum, same] = [new Float32Array(1000), new Float32Array(2)];
      // One buffer for all: each run has taken its values when the call returns.
      const done = device.run(runner, [input.fill(n)], [sum, same]);
      expect(sum[0]).toBe(0);
      await done;
      expect([sum[0], sum[999], same[1]]).toEqual([n + 1, n + 1, n]);
    });
    await Promise.all(runs);
    expect(codeOf(() => device.destroyGraph(graph))).toBe('INVALID_STATE');
    expect(codeOf(() => device.destroyStream(stream))).toBe('INVALID_STATE');
    const last = device.run(runner, [input], [new Float32Array(1000), new Float32Array(2)]);
    device.destroyRunner(runner);
    await last;
    expect(await rejection(device.run(runner, [input], []))).toBe('INVALID_HANDLE');
  });

  test('runs in flight when the device is closed still settle', async () => {
    const address = device.malloc(16);
    device.fill32(address, 3, 4, stream);
    const view = new Int32Array(4);
    const read = device.read(address, view, stream);
    device.close();
    await read;
    expect(view[3]).toBe(3);
    expect(device.closed).toBe(true);
    expect(codeOf(() => device.malloc(1))).toBe('CLOSED');
    expect(await rejection(device.read(address, view, stream))).toBe('CLOSED');
    device.close();
  });

  test('an output that was transferred away meanwhile is refused', async () => {
    const address = device.malloc(16);
    const view = new Uint8Array(16);
    const read = device.read(address, view, stream);
    structuredClone(view, { transfer: [view.buffer] });
    expect(await rejection(read)).toBe('INVALID_ARGUMENT');
  });

  test('what cannot be captured is refused, and the capture goes on', async () => {
    const address = device.malloc(16);
    device.beginCapture(stream);
    device.fill32(address, 4, 4, stream);
    expect(codeOf(() => device.beginCapture(stream))).toBe('INVALID_STATE');
    expect(codeOf(() => device.write(address, new Uint8Array(4), stream))).toBe('INVALID_STATE');
    expect(codeOf(() => device.readSync(address, new Uint8Array(4), stream))).toBe('INVALID_STATE');
    expect(codeOf(() => device.synchronizeSync(stream))).toBe('INVALID_STATE');
    expect(await rejection(device.read(address, new Uint8Array(4), stream))).toBe('INVALID_STATE');
    const graph = device.endCapture(stream);
    expect(codeOf(() => device.endCapture(stream))).toBe('INVALID_STATE');
    const view = new Int32Array(4);
    device.readSync(address, view, stream);
    expect(view[0]).toBe(-1);
    device.launchGraph(graph, stream);
    device.readSync(address, view, stream);
    expect(view[0]).toBe(4);
  });

  test('mistakes are told apart', async () => {
    const address = device.malloc(16);
    const view = new Float32Array(4);
    expect(codeOf(() => device.write(address + 4, view, stream))).toBe('OUT_OF_RANGE');
    expect(codeOf(() => device.write(12345, view, stream))).toBe('INVALID_HANDLE');
    expect(codeOf(() => device.write(address, view, 99))).toBe('INVALID_HANDLE');
    expect(codeOf(() => device.write(address, [1] as never, stream))).toBe('INVALID_ARGUMENT');
    expect(codeOf(() => device.malloc(0))).toBe('OUT_OF_RANGE');
    expect(codeOf(() => device.malloc(1.5))).toBe('OUT_OF_RANGE');
    expect(codeOf(() => device.malloc('4' as never))).toBe('INVALID_ARGUMENT');
    expect(codeOf(() => device.fill32(address + 2, 0, 1, stream))).toBe('OUT_OF_RANGE');
    expect(codeOf(() => device.copy(address, address + 4, 8, stream))).toBe('OUT_OF_RANGE');
    expect(codeOf(() => device.getFunction('check_none', 0))).toBe('CUDA_ERROR');
    expect(codeOf(() => device.getFunction('check_add', 200_000))).toBe('OUT_OF_RANGE');
    expect(codeOf(() => loadAddon().open(1))).toBe('OUT_OF_RANGE');
    const fn = device.getFunction('check_add', 0);
    const launch = (threads: number, shared: number, params: Uint8Array) => () =>
      device.launch(fn, 1, 1, 1, threads, shared, params, stream);
    expect(codeOf(launch(2000, 0, addParams(address, address, 0, 4)))).toBe('OUT_OF_RANGE');
    expect(codeOf(launch(32, 50_000, addParams(address, address, 0, 4)))).toBe('CUDA_ERROR');
    expect(codeOf(launch(32, 0, new Uint8Array(23)))).toBe('CUDA_ERROR');
    const runner = device.createRunner({
      graph: null,
      stream,
      inputs: [],
      outputs: [{ address, bytes: 16 }],
    });
    expect(await rejection(device.run(runner, [], [new Uint8Array(15)]))).toBe('OUT_OF_RANGE');
    expect(await rejection(device.run(runner, [view], [view]))).toBe('OUT_OF_RANGE');
    expect(codeOf(() => new (device.constructor as new () => unknown)())).not.toBe(null);
  });

  test('a kernel that touches a wrong address loses the device, with its name', async () => {
    const address = device.malloc(64);
    const launch = (name: string, params: Uint8Array) =>
      device.launch(device.getFunction(name, 0), 1, 1, 1, 32, 0, params, stream);
    try {
      launch('check_add', addParams(0x1000, address, 0, 16));
      await device.synchronize(stream);
      expect.unreachable();
    } catch (error) {
      expect(error).toMatchObject({ code: 'DEVICE_LOST', errorName: 'CUDA_ERROR_ILLEGAL_ADDRESS' });
      expect((error as Error).message).toContain('kernel check_add, block (0, 0, 0), thread (0, 0, 0)');
    }
    expect(codeOf(() => device.malloc(4))).toBe('DEVICE_LOST');
    expect(await rejection(device.synchronize(stream))).toBe('DEVICE_LOST');
    device.close();
    // A new context is a new beginning.
    device = openCheck();
    stream = device.createStream();
    await device.synchronize(stream);
  });
});

test.skipIf(missing)(
  'a device that nobody closes is closed with its process, and keeps none alive',
  async () => {
    const { execFile } = await import('node:child_process');
    const { promisify } = await import('node:util');
    const { addonFolder } = await import('../src/native/load.js');
    const code = `
    const device = require('node-gyp-build')(process.argv[1]).open(0);
    const stream = device.createStream(), address = device.malloc(16), view = new Int32Array(4);
    device.fill32(address, 7, 4, stream);
    device.read(address, view, stream).then(() => console.log(view.join()));
  `;
    const { stdout } = await withEnvironment(
      { DSCONV_CUDA_DRIVER: driver, DSCONV_EMULATED_LAZY: '1', DSCONV_EMULATED_REPORT: report.path },
      () =>
        promisify(execFile)(process.execPath, ['-e', code, addonFolder], {
          cwd: addonFolder,
          timeout: 30_000,
        }),
    );
    expect(stdout).toBe('7,7,7,7\n');
    expect(report.last()).toEqual(NOTHING_LEFT);
    report.clear();
  },
);
