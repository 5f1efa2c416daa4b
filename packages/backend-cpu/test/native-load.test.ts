/** What the loader does with an addon that computes wrong, and what it says about it. */
import { createRequire } from 'node:module';
import { BACKEND_NAME } from '@dsconv/backend-cpu';
import { getDSConvBackend, selectBackend } from '@dsconv/core';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import type { DSConvNative, Isa } from '../native/interface.js';
import { chooseIsa } from '../src/native/load.js';

/** As much of the addon as the loader sees; the sets named in `wrong` fail their self-test. */
function addon(wrong: readonly Isa[], isas: readonly Isa[] = ['avx512vnni', 'avx2', 'portable']) {
  const fake = {
    isa: isas[0]!,
    isas,
    interfaceVersion: 1,
    setIsa: (isa: Isa) => {
      fake.isa = isa;
    },
    selfTest: () => (wrong.includes(fake.isa) ? `dsconv2d computed 1 on ${fake.isa}; expected 2` : null),
    threads: 1,
    setThreads: (n: number) => {
      fake.threads = n;
    },
    getThreads: () => fake.threads,
  };
  return fake as unknown as DSConvNative;
}

describe('choosing an instruction set', () => {
  test('takes the best one that computes right', () => {
    const native = addon([]);
    expect(chooseIsa(native)).toBeNull();
    expect(native.isa).toBe('avx512vnni');
  });

  test('passes over those that do not, and says so', () => {
    const native = addon(['avx512vnni']);
    expect(chooseIsa(native)).toBe('passed over avx512vnni: dsconv2d computed 1 on avx512vnni; expected 2');
    expect(native.isa).toBe('avx2');
  });

  test('gives up when none computes right', () => {
    expect(() => chooseIsa(addon(['avx512vnni', 'avx2', 'portable']))).toThrow(
      /failed with every instruction set \(avx512vnni: .*; avx2: .*; portable: .*\)/,
    );
  });

  test('takes a forced one or none', () => {
    const native = addon([]);
    expect(chooseIsa(native, 'avx2')).toBeNull();
    expect(native.isa).toBe('avx2');
    expect(() => chooseIsa(addon(['avx2']), 'avx2')).toThrow(/avx2: dsconv2d computed 1/);
    expect(() => chooseIsa(native, 'neon')).toThrow("DSCONV_CPU_ISA is 'neon'");
  });

  test('never goes back to a set that another thread passed over', () => {
    const native = addon(['avx512vnni']);
    native.setIsa('avx2');
    const setIsa = vi.spyOn(native, 'setIsa');
    expect(chooseIsa(native)).toBeNull();
    expect(setIsa).not.toHaveBeenCalled();
  });
});

describe('the tiers of an addon that computes wrong', () => {
  const require = createRequire(import.meta.url);
  const path = require.resolve('node-gyp-build');

  /** Loads the tiers anew, with node-gyp-build finding this addon. */
  async function tiersWith(native: DSConvNative) {
    require.cache[path] = { ...require.cache[path]!, exports: () => native };
    vi.resetModules();
    return await import('../src/tiers.js');
  }

  beforeEach(() => {
    delete process.env.DSCONV_CPU_ISA;
    require(path);
  });

  test('name the set that serves instead', async () => {
    const { tierStatus } = await tiersWith(addon(['avx512vnni']));
    expect(await tierStatus('native')).toEqual({
      tier: 'native',
      available: true,
      reason: expect.stringMatching(
        /^instruction set avx2, \d+ threads?; passed over avx512vnni: dsconv2d computed 1 on avx512vnni; expected 2$/,
      ),
    });
  });

  test('say why there is none', async () => {
    const { tierStatus } = await tiersWith(addon(['portable'], ['portable']));
    expect(await tierStatus('native')).toMatchObject({
      available: false,
      reason: expect.stringContaining('portable: dsconv2d computed 1'),
    });
  });

  test('give way to WebAssembly', async () => {
    require.cache[path] = { ...require.cache[path]!, exports: () => addon(['portable'], ['portable']) };
    const { tier } = await selectBackend([BACKEND_NAME]);
    expect(tier).toMatch(/^wasm/);
    const [native] = await getDSConvBackend(BACKEND_NAME)!.tiers();
    expect(native).toMatchObject({ tier: 'native', available: false });
  });
});
