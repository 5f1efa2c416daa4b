/**
 * The other kernels beside tfjs-backend-wasm's (resolved from the working directory), microseconds, medians of interleaved runs:
 * depthwise layers of MobileNet, pooling, matMul, element-wise.
 */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { load, random } from './module.mjs';

const require = createRequire(pathToFileURL(join(process.cwd(), 'x.js')));
const tf = require('@tensorflow/tfjs-core');
require('@tensorflow/tfjs-backend-wasm').setWasmPaths(
  require.resolve('@tensorflow/tfjs-backend-wasm').replace(/dist.*/, 'dist/'),
);
await tf.setBackend('wasm');
const rnd = random(1),
  normals = (n) => Float32Array.from({ length: n }, rnd.normal);
const modules = ['relaxed', 'simd'].map(load);

function measure(label, jobs, runs = 15) {
  const times = {};
  for (const [k, f] of Object.entries(jobs)) {
    for (const end = performance.now() + 60; performance.now() < end; ) f();
    times[k] = [];
  }
  for (let r = 0; r < runs; r++)
    for (const [k, f] of Object.entries(jobs)) {
      const t = performance.now();
      f();
      times[k].push(performance.now() - t);
    }
  console.log(
    label.padEnd(30),
    Object.entries(times)
      .map(([k, t]) => `${k} ${(t.sort((a, b) => a - b)[runs >> 1] * 1e3).toFixed(0)}`)
      .join('   '),
  );
}

for (const [size, C, s] of [
  [112, 32, 1],
  [112, 64, 2],
  [56, 128, 1],
  [28, 256, 1],
  [14, 512, 1],
  [7, 1024, 1],
]) {
  const out = Math.ceil(size / s),
    x = normals(size * size * C),
    w = normals(9 * C),
    jobs = {};
  for (const m of modules) {
    const q = m.put(Int8Array.from({ length: 9 * C }, () => rnd.int(-8, 7))),
      sc = m.put(normals(C)),
      px = m.put(x),
      pw = m.put(w),
      y = m.alloc(out * out * C * 4);
    const f = m.alloc(m.e.ds_depthwise_pack_bytes(4, 9, C, 0));
    m.e.ds_depthwise_pack(f, q, sc, 0, 4, 9, C, 0);
    const g = {
      x: px,
      y,
      bias: sc,
      batch: 1,
      inH: size,
      inW: size,
      inC: C,
      outH: out,
      outW: out,
      kh: 3,
      kw: 3,
      strideH: s,
      strideW: s,
      dilationH: 1,
      dilationW: 1,
      padTop: 2 - s,
      padLeft: 2 - s,
      mult: 1,
      block: 64,
      activation: 2,
    };
    const quantized = m.call({ ...g, filter: f, mantissa: 8 }),
      plain = m.call({ ...g, filter: pw });
    jobs[`${m.name} ds`] = () => m.e.ds_depthwise(quantized);
    jobs[`${m.name} float`] = () => m.e.depthwise(plain);
  }
  const tx = tf.tensor4d(x, [1, size, size, C]),
    tw = tf.tensor4d(w, [3, 3, C, 1]),
    tb = tf.zeros([C]);
  jobs.tfjs = () =>
    tf.fused
      .depthwiseConv2d({ x: tx, filter: tw, strides: s, pad: 'same', bias: tb, activation: 'relu6' })
      .dispose();
  measure(`depthwise ${size}x${size}x${C}/${s}`, jobs);
}
{
  const x = normals(112 * 112 * 64),
    jobs = {},
    tx = tf.tensor4d(x, [1, 112, 112, 64]);
  for (const m of modules) {
    const p = m.put(x),
      y = m.alloc(56 * 56 * 64 * 4);
    jobs[m.name] = () => m.e.max_pool(p, y, 1, 112, 112, 64, 56, 56, 3, 3, 2, 2, 1, 1, 0, 0);
  }
  jobs.tfjs = () => tf.maxPool(tx, 3, 2, 'same').dispose();
  measure('max pool 112x112x64 3x3/2', jobs);
  const jobs2 = {},
    tr = tf.tensor1d(x);
  for (const m of modules) {
    const p = m.put(x),
      y = m.alloc(x.length * 4);
    jobs2[m.name] = () => m.e.binary(0, p, p, y, x.length, x.length);
  }
  jobs2.tfjs = () => tf.add(tr, tr).dispose();
  measure('add 800k', jobs2);
  const jobs3 = {};
  for (const m of modules) {
    const p = m.put(x),
      y = m.alloc(x.length * 4);
    jobs3[m.name] = () => m.e.unary(3, p, y, x.length, 0, 0, 1);
  }
  jobs3['tfjs (two ops)'] = () =>
    tf.tidy(() => {
      tf.mul(tr, tf.sigmoid(tr));
    });
  measure('silu 800k', jobs3);
  const jobs4 = {};
  for (const m of modules) {
    const p = m.put(x),
      y = m.alloc(64 * 4);
    jobs4[m.name] = () => m.e.mean_hw(p, y, 1, 112 * 112, 64);
  }
  jobs4.tfjs = () => tf.mean(tx, [1, 2]).dispose();
  measure('mean 112x112x64', jobs4);
}
for (const [M, K, N] of [
  [1, 2048, 1000],
  [128, 768, 768],
  [512, 512, 512],
]) {
  const a = normals(M * K),
    b = normals(K * N),
    jobs = {},
    ta = tf.tensor2d(a, [M, K]),
    tb = tf.tensor2d(b, [K, N]);
  for (const m of modules) {
    const pa = m.put(a),
      pb = m.put(b),
      y = m.alloc(M * N * 4);
    jobs[m.name] = () => m.e.matmul(pa, pb, y, 1, M, K, N, 0, 0, M * K, K * N, 0, 0, 0, 0);
  }
  jobs.tfjs = () => tf.matMul(ta, tb).dispose();
  measure(`matMul ${M}x${K}x${N}`, jobs);
}
process.exit(0);
