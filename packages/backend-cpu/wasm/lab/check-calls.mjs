/**
 * What the random checks do not reach: outputFormat, one image for two filters, a subsampled image, wrong arguments, no memory
 * left, zero-sized inputs, addresses beyond 2 GiB, and full blocks of 1024 depths of -128 * -127.
 */
import { load, random } from './module.mjs';
import { bfpRound, dsconv } from './reference.mjs';

let failed = 0;
const expect = (name, what, ok) => {
  if (!ok) {
    failed++;
    console.log(`${name}: FAILED ${what}`);
  }
};
const ints = (rnd, n, lo, hi, T = Float32Array) => T.from({ length: n }, () => rnd.int(lo, hi));

function filterOf(m, q, scales, { bits, taps, I, O, block, perBlock }) {
  const pq = m.put(q),
    ps = m.put(scales),
    f = m.alloc(m.e.ds_pack_bytes(bits, taps, I, O, 1, block, perBlock, 0));
  const status = m.e.ds_pack(f, pq, ps, 0, bits, taps, I, O, 1, block, perBlock);
  m.free(pq, ps);
  if (status) throw new Error(`ds_pack ${status}`);
  return f;
}

const square = (size, k, stride, out) => ({
  batch: 1,
  inH: size,
  inW: size,
  outH: out,
  outW: out,
  kh: k,
  kw: k,
  strideH: stride,
  strideW: stride,
  dilationH: 1,
  dilationW: 1,
  padTop: k >> 1,
  padLeft: k >> 1,
});

for (const name of ['relaxed', 'simd']) {
  const m = load(name),
    rnd = random(5);
  expect(name, 'isa', m.e.isa() === (name === 'relaxed' ? 1 : 0));
  for (const bits of [2, 4, 8]) {
    const half = 2 ** (bits - 1),
      I = 96,
      O = 24,
      block = 32;
    const x = ints(rnd, 49 * I, -127, 127),
      px = m.put(x),
      y = m.alloc(4 * 49 * O);
    const make = (k) => {
      const q = ints(rnd, k * k * I * O, -half, half - 1, Int8Array),
        s = new Float32Array(k * k * 3 * O).fill(0.5);
      return { k, q, s, f: filterOf(m, q, s, { bits, taps: k * k, I, O, block, perBlock: 1 }) };
    };
    const a = make(1),
      b = make(3);
    expect(
      name,
      'kinds agree',
      m.e.bfp_image_kind(a.f) === m.e.bfp_image_kind(b.f) && m.e.bfp_image_kind(a.f) !== 0,
    );
    const image = m.alloc(m.e.bfp_image_bytes(a.f, 49));
    m.e.bfp_quantize(a.f, px, image, 1, 7, 7, I, 1, 1, 8);
    for (const w of [a, b])
      for (const outputMantissa of [0, 5]) {
        const g = { ...square(7, w.k, 1, 7), inC: I };
        const call = m.call({ ...g, image, filter: w.f, y, mantissa: 8, outputMantissa, outputBlock: 10 });
        const status = m.e.dsconv2d(call),
          got = Float32Array.from(m.f32(y, 49 * O));
        const ref = dsconv(
          { ...g, groups: 1, O, block, mantissa: 8, activation: 0 },
          x,
          w.q,
          w.s,
          true,
          null,
          null,
          null,
          null,
        );
        const want = outputMantissa
          ? bfpRound(Float32Array.from(ref.y), 49, O, 1, 10, 5)
          : Float32Array.from(ref.y);
        expect(
          name,
          `shared image, ${bits} bits, output ${outputMantissa}`,
          status === 0 && got.every((v, i) => v === want[i]),
        );
        m.free(call);
      }
    // Every second pixel: the strided call and the same with a subsampled image.
    const small = m.alloc(m.e.bfp_image_bytes(a.f, 16));
    m.e.bfp_quantize(a.f, px, small, 1, 7, 7, I, 2, 2, 8);
    const c1 = m.call({ ...square(7, 1, 2, 4), inC: I, x: px, filter: a.f, y, mantissa: 8 });
    const c2 = m.call({ ...square(4, 1, 1, 4), inC: I, image: small, filter: a.f, y, mantissa: 8 });
    m.e.dsconv2d(c1);
    const one = Float32Array.from(m.f32(y, 16 * O));
    m.e.dsconv2d(c2);
    expect(
      name,
      'subsampled image',
      one.every((v, i) => v === m.f32(y, 16 * O)[i]),
    );
    const bad = (change) => {
      const c = m.call({ ...square(7, 1, 1, 7), inC: I, x: px, filter: a.f, y, mantissa: 8, ...change });
      const s = m.e.dsconv2d(c);
      m.free(c);
      return s === 2;
    };
    expect(name, 'wrong channel count', bad({ inC: I + 1 }));
    expect(name, 'wrong filter', bad({ filter: image }));
    expect(name, 'wrong mantissa', bad({ mantissa: 9 }));
    expect(name, 'image of another mantissa', bad({ image, mantissa: 7 }));
    expect(name, 'image of another size', bad({ image, inH: 6, outH: 6 }));
    expect(name, 'prelu without alphas', bad({ activation: 5 }));
    expect(name, 'no stride', bad({ strideH: 0 }));
    expect(name, 'empty batch', !bad({ batch: 0 }) && !bad({ inH: 0, outH: 0 }));
    m.free(image, small, c1, c2, a.f, b.f, px, y);
  }
  {
    const I = 2048,
      O = 9,
      q = new Int8Array(I * O).fill(-128),
      s = new Float32Array(2 * O).fill(1);
    const f = filterOf(m, q, s, { bits: 8, taps: 1, I, O, block: 1024, perBlock: 1 }),
      x = new Float32Array(5 * I).fill(-127);
    const px = m.put(x),
      y = m.alloc(4 * 5 * O),
      call = m.call({ ...square(1, 1, 1, 1), batch: 5, inC: I, x: px, filter: f, y, mantissa: 8 });
    expect(
      name,
      '1024 * -128 * -127',
      m.e.dsconv2d(call) === 0 && m.f32(y, 5 * O).every((v) => v === 2 * 1024 * 128 * 127),
    );
    m.free(px, y, call, f);
  }
  expect(name, 'leak', m.e.heap_used() === 0);
  {
    // Fill the memory: scratch cannot be had, results beyond 2 GiB are right.
    const I = 64,
      O = 64,
      size = 56,
      q = ints(rnd, I * O, -8, 7, Int8Array),
      s = new Float32Array(O).fill(1);
    const ballast = m.alloc(2.5e9),
      f = filterOf(m, q, s, { bits: 4, taps: 1, I, O, block: 64, perBlock: 0 });
    const x = ints(rnd, size * size * I, -127, 127),
      px = m.put(x),
      y = m.alloc(4 * size * size * O);
    const g = { ...square(size, 1, 1, size), inC: I },
      call = m.call({ ...g, x: px, filter: f, y, mantissa: 8 });
    expect(name, 'beyond 2 GiB', px > 2 ** 31 && m.e.dsconv2d(call) === 0);
    const ref = dsconv(
      { ...g, groups: 1, O, block: 64, mantissa: 8, activation: 0 },
      x,
      q,
      s,
      false,
      null,
      null,
      null,
      null,
    );
    expect(
      name,
      'values beyond 2 GiB',
      m.f32(y, ref.y.length).every((v, i) => v === ref.y[i]),
    );
    const rest = [];
    for (let n = 2 ** 30; n >= 64; n /= 2) for (let p; (p = m.e.alloc(n) >>> 0); ) rest.push(p);
    expect(name, 'out of memory', m.e.dsconv2d(call) === 1);
    m.free(...rest);
    expect(name, 'memory back', m.e.dsconv2d(call) === 0);
    m.free(ballast, f, px, y, call);
    expect(name, 'leak', m.e.heap_used() === 0);
  }
  console.log(`${name}: calls checked`);
}
process.exitCode = failed ? 1 : 0;
