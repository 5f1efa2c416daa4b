/** What is said of drivers that are missing, old, empty, broken. */
import { existsSync } from 'node:fs';
import { BackendUnavailableError } from '@dsconv/core';
import { describe, expect, test } from 'vitest';
import { loadAddon } from '../src/native/load.js';
import { probe, probeInChild } from '../src/native/probe.js';
import { checkLibrary, missing, withEnvironment } from './support/native-device.js';

const driver = missing ? '' : await checkLibrary();

function refusal(environment: Record<string, string>, timeoutMs = 10_000): Promise<unknown> {
  return withEnvironment({ DSCONV_CUDA_DRIVER: driver, ...environment }, () =>
    probeInChild(timeoutMs).then(
      () => new Error('the driver was taken'),
      (error: unknown) => error,
    ),
  );
}

describe.skipIf(missing)('probe', () => {
  test('tells the version and the devices', async () => {
    const found = await withEnvironment(
      { DSCONV_CUDA_DRIVER: driver, DSCONV_EMULATED_DEVICES: '2', DSCONV_EMULATED_CC: '86' },
      () => probeInChild(10_000),
    );
    expect(found).toMatchObject({ driverVersion: 13000, emulated: true });
    expect(found.devices).toHaveLength(2);
    expect(found.devices[1]).toMatchObject({ index: 1, computeCapability: [8, 6], supported: true });
  });

  test('asks once', async () => {
    await withEnvironment({ DSCONV_CUDA_DRIVER: driver }, async () => {
      const first = probe();
      expect(probe()).toBe(first);
      await first;
    });
  });

  test.each([
    ['no driver', { DSCONV_CUDA_DRIVER: '/nonexistent' }, /^no NVIDIA driver was found \(.*nonexistent.*\)$/],
    [
      'an old driver',
      { DSCONV_EMULATED_DRIVER_VERSION: '11040' },
      'the NVIDIA driver knows CUDA 11.4; expected one for CUDA 11.8 or newer',
    ],
    ['no device', { DSCONV_EMULATED_DEVICES: '0' }, 'the NVIDIA driver shows no device'],
    [
      'an old device',
      { DSCONV_EMULATED_CC: '70' },
      'emulated device 0 has compute capability 7.0; expected 7.5 or newer',
    ],
    [
      'a driver that does not fit to its kernel module',
      { DSCONV_EMULATED_FAIL: 'cuInit:1:803' },
      /^the NVIDIA driver does not start: CUDA_ERROR_SYSTEM_DRIVER_MISMATCH/,
    ],
    [
      'a driver that crashes',
      { DSCONV_EMULATED_CRASH: 'cuInit' },
      /^the NVIDIA driver crashed .* \(ended by SIGABRT\)$/,
    ],
  ])('says in one sentence: %s', async (_, environment, sentence) => {
    const error = await refusal(environment);
    expect(error).toBeInstanceOf(BackendUnavailableError);
    expect((error as Error).message).toMatch(sentence);
    expect((error as Error).message).not.toContain('\n');
  });

  test('does not wait for a driver that hangs', async () => {
    const error = await refusal({ DSCONV_EMULATED_HANG: 'cuDeviceGetCount' }, 1500);
    expect((error as Error).message).toBe('the NVIDIA driver did not answer within 1.5 s in a child process');
  });

  test('a library that is no driver is too old a driver', async () => {
    const other = ['/lib/x86_64-linux-gnu/libm.so.6', '/lib/aarch64-linux-gnu/libm.so.6'].find((path) =>
      existsSync(path),
    );
    const error = await refusal({ DSCONV_CUDA_DRIVER: other ?? 'libm.so.6' });
    expect((error as Error).message).toBe(
      'the NVIDIA driver lacks cuInit; expected one for CUDA 11.8 or newer',
    );
  });

  test('open refuses what probe does, by code', async () => {
    const codes = async (environment: Record<string, string>) =>
      withEnvironment({ DSCONV_CUDA_DRIVER: driver, ...environment }, () => {
        try {
          loadAddon().open(0).close();
          return null;
        } catch (error) {
          return (error as { code?: string }).code;
        }
      });
    expect(await codes({ DSCONV_CUDA_DRIVER: '/nonexistent' })).toBe('NO_DRIVER');
    expect(await codes({ DSCONV_EMULATED_DRIVER_VERSION: '10020' })).toBe('DRIVER_TOO_OLD');
    expect(await codes({ DSCONV_EMULATED_DEVICES: '0' })).toBe('NO_DEVICE');
    expect(await codes({ DSCONV_EMULATED_CC: '72' })).toBe('DEVICE_TOO_OLD');
    expect(await codes({})).toBe(null);
  });
});
