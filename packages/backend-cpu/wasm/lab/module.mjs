/** Loads the two modules and wraps pointers: enough JavaScript to drive the kernels from the lab. */
import { readFileSync } from 'node:fs';
import v8 from 'node:v8';

// Node 20 knows relaxed SIMD only behind a flag, which must be set before the module is compiled; Node 21 and later have it.
if (+process.versions.node.split('.')[0] < 21) v8.setFlagsFromString('--experimental-wasm-relaxed-simd');

export const WORDS = [
  'x',
  'image',
  'filter',
  'y',
  'bias',
  'residual',
  'alphas',
  'activation',
  'alpha',
  'mantissa',
  'batch',
  'inH',
  'inW',
  'inC',
  'outH',
  'outW',
  'kh',
  'kw',
  'strideH',
  'strideW',
  'dilationH',
  'dilationW',
  'padTop',
  'padLeft',
  'outputMantissa',
  'outputBlock',
  'mult',
  'block',
];

export function load(name) {
  const bytes = readFileSync(new URL(`../build/dsconv-${name}.wasm`, import.meta.url));
  const e = new WebAssembly.Instance(new WebAssembly.Module(bytes), {}).exports;
  const m = {
    name,
    e,
    f32: (p, n) => new Float32Array(e.memory.buffer, p >>> 0, n),
    u32: (p, n) => new Uint32Array(e.memory.buffer, p >>> 0, n),
    i8: (p, n) => new Int8Array(e.memory.buffer, p >>> 0, n),
    alloc(bytes) {
      const p = e.alloc(Math.max(bytes, 1)) >>> 0;
      if (!p) throw new Error(`alloc(${bytes}) failed`);
      return p;
    },
    put(array) {
      const p = m.alloc(array.byteLength);
      new Uint8Array(e.memory.buffer, p, array.byteLength).set(
        new Uint8Array(array.buffer, array.byteOffset, array.byteLength),
      );
      return p;
    },
    free: (...ps) => {
      for (const p of ps) e.free(p);
    },
    call(record) {
      const p = m.alloc(128);
      const w = m.u32(p, 32).fill(0);
      for (const [k, v] of Object.entries(record)) {
        const i = WORDS.indexOf(k);
        if (i < 0) throw new Error(k);
        if (k === 'alpha') m.f32(p, 32)[i] = v;
        else w[i] = v;
      }
      return p;
    },
  };
  return m;
}

/** Deterministic random numbers, so that a failing case can be run again. */
export function random(seed) {
  let s = seed >>> 0 || 1;
  const next = () => {
    s = (s + 0x6d2b79f5) >>> 0;
    let t = Math.imul(s ^ (s >>> 15), 1 | s);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return {
    next,
    int: (lo, hi) => lo + Math.floor(next() * (hi - lo + 1)),
    pick: (list) => list[Math.floor(next() * list.length)],
    normal: () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(6.283185307179586 * next()),
  };
}
