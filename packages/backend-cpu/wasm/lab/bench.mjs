/**
 * GMAC/s of dsconv2d over ResNet-50's convolutions, both modules and float32 of this package, one thread, quantization of the
 * input included. If @tensorflow/tfjs-backend-wasm can be resolved from the working directory, its fused convolution runs
 * interleaved with them. Usage: node bench.mjs [bits] [block] [runs]
 */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { load, random } from './module.mjs';

const bits = +(process.argv[2] ?? 4),
  block = +(process.argv[3] ?? 64),
  runs = +(process.argv[4] ?? 9);

/** [size, I, O, k, stride, count]: the distinct convolutions of ResNet-50 (stride in the 3×3, as torchvision has it). */
const LAYERS = [
  [224, 3, 64, 7, 2, 1],
  [56, 64, 64, 1, 1, 1],
  [56, 64, 64, 3, 1, 3],
  [56, 64, 256, 1, 1, 4],
  [56, 256, 64, 1, 1, 2],
];
for (const [size, w, n] of [
  [56, 128, 4],
  [28, 256, 6],
  [14, 512, 3],
]) {
  LAYERS.push(
    [size, w * 2, w, 1, 1, 1],
    [size, w, w, 3, 2, 1],
    [size, w * 2, w * 4, 1, 2, 1],
    [size / 2, w, w * 4, 1, 1, n],
    [size / 2, w * 4, w, 1, 1, n - 1],
    [size / 2, w, w, 3, 1, n - 1],
  );
}

const rnd = random(1);
const normals = (n) => Float32Array.from({ length: n }, rnd.normal);

async function tfjs() {
  try {
    const require = createRequire(pathToFileURL(join(process.cwd(), 'x.js')));
    const tf = require('@tensorflow/tfjs-core');
    const wasm = require('@tensorflow/tfjs-backend-wasm');
    wasm.setWasmPaths(require.resolve('@tensorflow/tfjs-backend-wasm').replace(/dist.*/, 'dist/'));
    await tf.setBackend('wasm');
    return tf;
  } catch (error) {
    console.log('without tfjs:', error.message);
    return null;
  }
}

function layer(m, [size, I, O, k, stride], x) {
  const out = Math.ceil(size / stride),
    pad = (k - 1) >> 1,
    taps = k * k,
    nb = Math.ceil(I / block),
    half = 2 ** (bits - 1);
  const geometry = {
    batch: 1,
    inH: size,
    inW: size,
    inC: I,
    outH: out,
    outW: out,
    kh: k,
    kw: k,
    strideH: stride,
    strideW: stride,
    dilationH: 1,
    dilationW: 1,
    padTop: pad,
    padLeft: pad,
  };
  const per = I >= 16;
  const q = m.put(Int8Array.from({ length: taps * I * O }, () => rnd.int(-half, half - 1)));
  const s = m.put(normals(per ? taps * nb * O : O));
  const filter = m.alloc(m.e.ds_pack_bytes(bits, taps, I, O, 1, block, +per, 0));
  m.e.ds_pack(filter, q, s, 0, bits, taps, I, O, 1, block, +per);
  const px = m.put(x),
    y = m.alloc(4 * out * out * O),
    bias = m.put(normals(O));
  const call = m.call({ ...geometry, x: px, filter, y, bias, mantissa: 8, activation: 1 });
  const w = m.put(normals(taps * I * O));
  const packed = m.alloc(m.e.conv2d_pack_bytes(taps, I, O, 1));
  m.e.conv2d_pack(packed, w, taps, I, O, 1);
  const floatCall = m.call({ ...geometry, x: px, filter: packed, y, bias, activation: 1 });
  const sub = k === 1 ? stride : 1;
  const image = m.alloc(m.e.bfp_image_bytes(filter, Math.ceil(size / sub) ** 2));
  const keep = [q, s, filter, px, y, bias, call, w, packed, floatCall, image];
  return {
    ds: () => m.e.dsconv2d(call),
    float: () => m.e.conv2d(floatCall),
    quantize: () => m.e.bfp_quantize(filter, px, image, 1, size, size, I, sub, sub, 8),
    free: () => m.free(...keep),
  };
}

const median = (a) => a.sort((p, q) => p - q)[a.length >> 1];
const tf = await tfjs();
const modules = ['relaxed', 'simd'].map(load);
const total = {},
  add = (k, ms) => {
    total[k] = (total[k] ?? 0) + ms;
  };
let macs = 0;
console.log(
  'layer'.padEnd(26),
  'count',
  'relaxed  quant%     simd  quant%   f32 relaxed   f32 simd   tfjs-wasm   [GMAC/s]',
);
for (const L of LAYERS) {
  const [size, I, O, k, stride, count] = L,
    out = Math.ceil(size / stride),
    mac = out * out * O * I * k * k;
  const x = normals(size * size * I);
  const jobs = {};
  const tiers = modules.map((m) => layer(m, L, x));
  tiers.forEach((t, i) => {
    const n = modules[i].name;
    jobs[`${n}`] = t.ds;
    jobs[`${n} quantize`] = t.quantize;
    jobs[`${n} float`] = t.float;
  });
  if (tf) {
    const tx = tf.tensor4d(x, [1, size, size, I]),
      filter = tf.randomNormal([k, k, I, O]),
      bias = tf.zeros([O]);
    jobs.tfjs = () =>
      tf.fused
        .conv2d({ x: tx, filter, bias, strides: stride, pad: k === 1 ? 'valid' : 'same', activation: 'relu' })
        .dispose();
  }
  const times = {};
  for (const [key, job] of Object.entries(jobs)) {
    for (let i = 0; i < 3; i++) job();
    times[key] = [];
  }
  for (let r = 0; r < runs; r++)
    for (const [key, job] of Object.entries(jobs)) {
      const t = performance.now();
      job();
      times[key].push(performance.now() - t);
    }
  const ms = Object.fromEntries(Object.entries(times).map(([key, t]) => [key, median(t)]));
  for (const key in ms) add(key, ms[key] * count);
  macs += mac * count;
  const rate = (key) => (ms[key] ? (mac / ms[key] / 1e6).toFixed(1) : '-').padStart(8);
  const share = (n) => `${((100 * ms[`${n} quantize`]) / ms[n]).toFixed(1)}`.padStart(7);
  console.log(
    `${size}x${size} ${I}->${O} ${k}x${k}/${stride}`.padEnd(26),
    String(count).padStart(5),
    rate('relaxed'),
    share('relaxed'),
    rate('simd'),
    share('simd'),
    '  ',
    rate('relaxed float'),
    '  ',
    rate('simd float'),
    '  ',
    rate('tfjs'),
  );
  for (const t of tiers) t.free();
}
console.log(`\nall ${(macs / 1e9).toFixed(2)} GMAC, ${bits} bits, block ${block}:`);
for (const key in total)
  console.log(
    key.padEnd(18),
    total[key].toFixed(1).padStart(8),
    'ms',
    key.includes('quantize') ? '' : `${(macs / total[key] / 1e6).toFixed(1)} GMAC/s`,
    total.tfjs && !key.includes('quantize') ? `${(total.tfjs / total[key]).toFixed(2)}x tfjs-wasm` : '',
  );
process.exit(0);
