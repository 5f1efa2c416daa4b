/** What the emulation makes of wgmma: a right product under every order of threads, copies and products, and ways to be wrong, each of which it must find. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import {
  checkLibrary,
  missing,
  mutationsFolder,
  openCheck,
  withEnvironment,
} from './support/native-device.js';

const FILE = 'wgmma_product.cu';
const [SIZE, DEPTH] = [64, 256];

const SCHEDULES = ['0', '2', '7'].flatMap((EMU_SCHED) =>
  ['0', '1', '2', '3'].map((EMU_EAGER) => ({ EMU_SCHED, EMU_EAGER })),
);

/** Whether the product is right, or what the device was lost over. */
function product(
  library: string,
  environment: Record<string, string>,
  capability = '90',
): Promise<boolean | string> {
  const values = (seed: number) =>
    Int8Array.from({ length: SIZE * DEPTH }, (_, at) => ((at * 73 + (at >> 8) * seed) % 255) - 127);
  const [a, b] = [values(11), values(5)];
  const all = { DSCONV_CUDA_DRIVER: library, DSCONV_EMULATED_CC: capability, ...environment };
  return withEnvironment(all, async () => {
    const device = openCheck();
    try {
      const stream = device.createStream();
      const [onA, onB, onC] = [a.length, b.length, 4 * SIZE * SIZE].map((bytes) => device.malloc(bytes));
      device.write(onA!, a, stream);
      device.write(onB!, b, stream);
      const params = new DataView(new ArrayBuffer(24));
      for (const [at, address] of [onA, onB, onC].entries())
        params.setBigUint64(8 * at, BigInt(address!), true);
      const c = new Int32Array(SIZE * SIZE);
      const shared = 2 * SIZE * 64 + 1024;
      const fn = device.getFunction('check_wgmma_product', shared);
      device.launch(fn, 1, 1, 1, 128, shared, new Uint8Array(params.buffer), stream);
      await device.read(onC!, c, stream);
      return c.every((sum, at) => {
        const [row, column] = [Math.floor(at / SIZE) * DEPTH, (at % SIZE) * DEPTH];
        let wanted = 0;
        for (let d = 0; d < DEPTH; d++) wanted += a[row + d]! * b[column + d]!;
        return sum === wanted;
      });
    } catch (error) {
      return (error as Error).message;
    } finally {
      device.close();
    }
  });
}

describe.skipIf(missing)('wgmma', () => {
  const source = readFileSync(join(mutationsFolder, FILE), 'utf8');
  const numbers = [...new Set([...source.matchAll(/MUTATION_(\d+)/g)].map((found) => Number(found[1])))];
  const caught = new Map<number, string[]>();
  afterAll(() => {
    for (const [number, by] of caught)
      console.log(`mutation ${number} of ${FILE} is caught by ${by.join(' ')}`);
  });

  test.each(SCHEDULES)('multiplies: %o', async (environment) => {
    expect(await product(await checkLibrary(), environment)).toBe(true);
  });

  test('is there on devices of compute capability 9.0 alone', async () => {
    expect(await product(await checkLibrary(), {}, '80')).toMatch(/NOT_FOUND/);
    expect(await product(await checkLibrary(), {}, '100')).toMatch(/NOT_FOUND/);
  });

  test('there are eight mutations', () =>
    expect(numbers.sort((x, y) => x - y)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]));

  test.each(numbers)('mutation %i is caught', async (number) => {
    const library = await checkLibrary({ file: FILE, number });
    const by: string[] = [];
    for (const environment of SCHEDULES) {
      const found = await product(library, environment);
      if (found !== true) by.push(`${environment.EMU_SCHED}/${environment.EMU_EAGER}`);
    }
    caught.set(number, by);
    expect(by).not.toEqual([]);
  });

  test('what is wrong is said where it can be seen', async () => {
    const said = async (number: number) =>
      String(await product(await checkLibrary({ file: FILE, number }), { EMU_EAGER: '0' }));
    expect(await said(5)).toMatch(/weights that no wgmma.fence came before/);
    expect(await said(6)).toMatch(/changed weights while wgmma multiplied them/);
    expect(await said(7)).toMatch(/a warp ended before products that it began/);
  });
});
