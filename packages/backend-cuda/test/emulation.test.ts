/** The emulation itself: what it must find, under which schedules, and that it finds nothing where nothing is wrong. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { CudaDevice } from '../native/interface.js';
import {
  addParams,
  checkLibrary,
  missing,
  mutationsFolder,
  openCheck,
  withEnvironment,
} from './support/native-device.js';

/** Orders of threads, each with copies that arrive late, early and at random. */
const SCHEDULES = ['0', '1', '2', '7', '11'].flatMap((EMU_SCHED) =>
  ['0', '1', '2'].map((EMU_EAGER) => ({ EMU_SCHED, EMU_EAGER })),
);

const driver = missing ? '' : await checkLibrary();

async function withDevice<T>(
  library: string,
  environment: Record<string, string>,
  action: (device: CudaDevice, stream: number) => T | Promise<T>,
): Promise<T> {
  return withEnvironment({ DSCONV_CUDA_DRIVER: library, ...environment }, async () => {
    const device = openCheck();
    try {
      return await action(device, device.createStream());
    } finally {
      device.close();
    }
  });
}

/** What a kernel of self_check.cu fails with, or null. */
const failure = (name: string, threads: number, n: number, dynamicShared = 0, environment = {}) =>
  withDevice(driver, environment, async (device, stream) => {
    const [x, y] = [device.malloc(4 * 64), device.malloc(4 * 64)];
    try {
      device.launch(
        device.getFunction(name, 0),
        1,
        1,
        1,
        threads,
        dynamicShared,
        addParams(x, y, 1, n),
        stream,
      );
      await device.synchronize(stream);
      return null;
    } catch (error) {
      return (error as Error).message;
    }
  });

describe.skipIf(missing)('the emulation', () => {
  test.each(SCHEDULES)('sums with shuffles, votes and atomics: %o', async (environment) => {
    await withDevice(driver, environment, async (device, stream) => {
      const [x, y] = [device.malloc(4 * 1000), device.malloc(4)];
      device.write(
        x,
        Float32Array.from({ length: 1000 }, (_, n) => n),
        stream,
      );
      device.fill32(y, 0, 1, stream);
      device.launch(device.getFunction('check_sum', 0), 5, 1, 1, 256, 0, addParams(x, y, 0, 1000), stream);
      const sum = new Float32Array(1);
      await device.read(y, sum, stream);
      // Lane 0 holds the multiples of 4, lane 1 what follows them, and so on: two of four are summed twice or not at all without all shuffles.
      expect(sum[0]).toBe((999 * 1000) / 2);
    });
  });

  test('writes outside of an allocation are found, near and far', async () => {
    expect(await failure('check_write_outside', 32, 64)).toMatch(
      /kernel check_write_outside wrote outside of an allocation of 256 bytes|offset 256 of an allocation of 256 bytes/,
    );
    expect(await failure('check_write_outside', 32, -1)).toMatch(
      /kernel check_write_outside wrote outside of an allocation of 256 bytes, at offset -4/,
    );
    expect(await failure('check_write_outside', 32, 2 ** 20)).toMatch(
      /kernel check_write_outside, block \(0, 0, 0\), thread \(0, 0, 0\): touched the address .*: offset 4194304 of an allocation of 256 bytes/,
    );
  });

  test('memory that was freed is forbidden', async () => {
    await withDevice(driver, {}, async (device, stream) => {
      const [x, y] = [device.malloc(256), device.malloc(256)];
      device.free(x);
      const launch = async () => {
        device.launch(device.getFunction('check_add', 0), 1, 1, 1, 64, 0, addParams(x, y, 1, 64), stream);
        await device.synchronize(stream);
      };
      await expect(launch()).rejects.toThrow(/in or near an allocation of 256 bytes that was freed/);
    });
  });

  test('barriers that not all come to are found', async () => {
    expect(await failure('check_deadlock', 64, 0)).toMatch(/kernel check_deadlock, block .*: /);
  });

  test('launch bounds and shared memory are checked', async () => {
    expect(await failure('check_write_outside', 64, 0)).toMatch(/64 threads; its launch bound is 32/);
    expect(await failure('check_add', 64, 64, 49153)).toMatch(
      /49153 bytes of shared memory; it was allowed 49152/,
    );
  });

  test('shared memory that nobody wrote is poison, in every block', async () => {
    await withDevice(driver, {}, async (device, stream) => {
      const y = device.malloc(128);
      const fn = device.getFunction('check_uninitialized', 0);
      for (let n = 0; n < 3; n++) device.launch(fn, 4, 1, 1, 32, 128, addParams(y, y, 0, 0), stream);
      const view = new Float32Array(32);
      await device.read(y, view, stream);
      expect([...view].every(Number.isNaN)).toBe(true);
    });
  });
});

/** Whether the product of product.cu is right under a schedule, or null where the device was lost over it. */
function product(library: string, environment: Record<string, string>): Promise<boolean | null> {
  const [m, n, k] = [40, 37, 144];
  const values = (count: number, seed: number) =>
    Int8Array.from({ length: count }, (_, at) => ((at * 73 + seed) % 255) - 127);
  const [a, b] = [values(m * k, 1), values(n * k, 5)];
  return withDevice(library, environment, async (device, stream) => {
    const [onA, onB, onC] = [device.malloc(m * k), device.malloc(n * k), device.malloc(4 * m * n)];
    device.write(onA, a, stream);
    device.write(onB, b, stream);
    const params = new DataView(new ArrayBuffer(40));
    for (const [at, address] of [onA, onB, onC].entries()) params.setBigUint64(8 * at, BigInt(address), true);
    for (const [at, size] of [m, n, k].entries()) params.setInt32(24 + 4 * at, size, true);
    const c = new Int32Array(m * n);
    try {
      const fn = device.getFunction('check_product', 0);
      device.launch(fn, 2, 2, 1, 128, 2 * 2 * 32 * 48, new Uint8Array(params.buffer), stream);
      await device.read(onC, c, stream);
    } catch {
      return null;
    }
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        let sum = 0;
        for (let d = 0; d < k; d++) sum += a[i * k + d]! * b[j * k + d]!;
        if (c[i * n + j] !== sum) return false;
      }
    }
    return true;
  });
}

describe.skipIf(missing)('mutations', () => {
  const source = readFileSync(join(mutationsFolder, 'product.cu'), 'utf8');
  const numbers = [...new Set([...source.matchAll(/MUTATION_(\d+)/g)].map((found) => Number(found[1])))];
  const caught = new Map<number, string[]>();
  afterAll(() => {
    for (const [number, schedules] of caught)
      console.log(`mutation ${number} is caught by ${schedules.join(' ')}`);
  });

  test('there are nine, and wgmma has its own', () => {
    expect(numbers.sort((x, y) => x - y)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(readdirSync(mutationsFolder).sort()).toEqual(['product.cu', 'self_check.cu', 'wgmma_product.cu']);
  });

  test.each(SCHEDULES)('without one the product is right: %o', async (environment) => {
    expect(await product(driver, environment)).toBe(true);
  });

  test.each(numbers)('mutation %i is caught', async (number) => {
    const library = await checkLibrary({ file: 'product.cu', number });
    const by: string[] = [];
    for (const environment of SCHEDULES) {
      if ((await product(library, environment)) !== true)
        by.push(`${environment.EMU_SCHED}/${environment.EMU_EAGER}`);
    }
    caught.set(number, by);
    expect(by).not.toEqual([]);
  });
});
