import { describe, expect, it } from 'vitest';
import { DEFAULTS, readSettings, requestOf, writeSettings } from '../src/page/settings.js';

describe('settings in the address', () => {
  it('start from nothing, and write nothing where nothing differs', () => {
    expect(readSettings('')).toEqual(DEFAULTS);
    expect(writeSettings(DEFAULTS)).toBe('');
  });

  it('come back as they were written', () => {
    const settings = {
      ...DEFAULTS,
      wish: { kind: 'round' as const, bits: 2, blockSize: 16 },
      backend: 'dsconv-cpu/wasm-simd',
      compare: 'webgpu',
      layer: 'layer2.0.conv1',
      sample: '00002-trouser.png',
      invert: true,
    };
    expect(readSettings(writeSettings(settings))).toEqual(settings);
    const file = { ...DEFAULTS, wish: { kind: 'file' as const, index: 2 } };
    expect(readSettings(writeSettings(file))).toEqual(file);
    const zoo = { ...DEFAULTS, network: 'resnet18.tv_in1k', base: 'https://mirror.example' };
    expect(readSettings(writeSettings(zoo))).toEqual(zoo);
    const own = { ...DEFAULTS, network: 'url', url: 'https://a.example/b.safetensors?x=1&y=2' };
    expect(readSettings(writeSettings(own))).toEqual(own);
  });

  it('that make no sense are left out', () => {
    expect(readSettings('?bits=9&block=64').wish).toEqual(DEFAULTS.wish);
    expect(readSettings('?bits=4').wish).toEqual(DEFAULTS.wish);
    expect(readSettings('?bits=4&block=33').wish).toEqual(DEFAULTS.wish);
    expect(readSettings('?bits=x&block=64').wish).toEqual(DEFAULTS.wish);
    expect(readSettings('?file=-1').wish).toEqual(DEFAULTS.wish);
    expect(readSettings('?url=javascript:alert(1)')).toEqual(DEFAULTS);
    expect(readSettings('?base=ftp://x').base).toBeNull();
    expect(readSettings('?network=url').network).toBe(DEFAULTS.network);
  });

  it('say where the network comes from', () => {
    expect(requestOf(DEFAULTS, true)).toEqual({ kind: 'shipped', id: 'resnet20.fashion_mnist' });
    expect(requestOf({ ...DEFAULTS, network: 'resnet18.tv_in1k' }, false)).toEqual({
      kind: 'zoo',
      id: 'resnet18.tv_in1k',
      base: null,
    });
    expect(requestOf({ ...DEFAULTS, network: 'url' }, false)).toBeNull();
    const url = 'https://a.example/b.safetensors';
    expect(requestOf({ ...DEFAULTS, network: 'url', url }, false)).toEqual({ kind: 'url', url });
  });
});
