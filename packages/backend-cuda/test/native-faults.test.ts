/** Every function of the driver fails once: a typed error comes out, nothing is left behind, and the next device works. */
import { readFileSync } from 'node:fs';
import { afterAll, describe, expect, test } from 'vitest';
import {
  checkLibrary,
  exerciseDevice,
  missing,
  NOTHING_LEFT,
  Report,
  withEnvironment,
} from './support/native-device.js';

const driver = missing ? '' : await checkLibrary();
const report = new Report();

/** The functions that driver_api.h declares. */
const functions = [
  ...readFileSync(new URL('../native/src/driver_api.h', import.meta.url), 'utf8').matchAll(
    /^ {2}X\((cu\w+),/gm,
  ),
].map((match) => match[1]!);

/** Nobody hears of their errors: they say what another error is called. */
const SILENT = ['cuGetErrorName', 'cuGetErrorString'];
/** Called only where everything is given back, when errors are of no use. */
const AT_THE_END = ['cuModuleUnload', 'cuDevicePrimaryCtxRelease_v2', 'cuMemFreeHost'];
/** With work done at once, an event is never waited for by the waiter. */
const NEVER = ['cuEventSynchronize'];

async function codeWith(rule: string, lazy: boolean): Promise<string | null> {
  return withEnvironment(
    {
      DSCONV_CUDA_DRIVER: driver,
      DSCONV_EMULATED_FAIL: rule,
      DSCONV_EMULATED_REPORT: report.path,
      DSCONV_EMULATED_LAZY: lazy ? '1' : '0',
    },
    async () => {
      try {
        await exerciseDevice();
        return null;
      } catch (error) {
        const { code, message } = error as { code?: string; message: string };
        if (code === undefined) throw error;
        expect(message).not.toContain('\n');
        return code;
      }
    },
  );
}

describe.skipIf(missing).each([false, true])('with work done late: %s', (lazy) => {
  afterAll(() => report.clear());

  test('the list has them all', () => {
    expect(functions.length).toBeGreaterThan(40);
    expect(functions).toContain('cuGraphLaunch');
  });

  test.each(functions.filter((name) => !SILENT.includes(name)))('%s', async (name) => {
    report.clear();
    const code = await codeWith(`${name}:1:999`, lazy);
    if (AT_THE_END.includes(name)) expect(code).toBe(null);
    else if (!(NEVER.includes(name) && !lazy)) expect(code).toBe('CUDA_ERROR');
    // Where the context could not even be had, there was none to give back.
    const had = !/^cu(Init|Driver|Device(Get|Total|PrimaryCtxRetain))/.test(name);
    if (had) expect(report.last()).toEqual(NOTHING_LEFT);
    expect(await codeWith('', lazy)).toBe(null);
  });

  test('errors after which nothing goes on are told apart', async () => {
    expect(await codeWith('cuStreamSynchronize:1:719', lazy)).toBe('DEVICE_LOST');
    expect(await codeWith('cuMemHostAlloc:1:2', lazy)).toBe('OUT_OF_MEMORY');
    expect(await codeWith('cuGraphLaunch:3:700', lazy)).toBe('DEVICE_LOST');
    expect(report.last()).toEqual(NOTHING_LEFT);
  });

  test('later calls fail too', async () => {
    for (const name of [
      'cuMemcpyHtoDAsync_v2',
      'cuMemcpyDtoHAsync_v2',
      'cuEventRecord',
      'cuEventCreate',
      'cuMemHostAlloc',
    ]) {
      for (let nth = 2; ; nth++) {
        const code = await codeWith(`${name}:${nth}:999`, lazy);
        expect(report.last()).toEqual(NOTHING_LEFT);
        // Fewer calls than that, or those of the end.
        if (code === null) break;
        expect(code).toBe('CUDA_ERROR');
      }
    }
  });
});
