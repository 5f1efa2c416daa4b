/** dsconv2d against the reference over random shapes: exact tier and bounded tier of NUMERICS §5. */
import { load, random } from './module.mjs';
import { dsconv } from './reference.mjs';

const GUARD = 64;

export function geometry(rnd) {
  const c = {
    batch: rnd.int(1, 2),
    inH: rnd.int(1, 9),
    inW: rnd.int(1, 9),
    kh: rnd.pick([1, 1, 2, 3, 3]),
    kw: rnd.pick([1, 1, 2, 3, 3, 5]),
    strideH: rnd.pick([1, 1, 2, 3]),
    strideW: rnd.pick([1, 1, 2]),
    dilationH: rnd.pick([1, 1, 2]),
    dilationW: rnd.pick([1, 1, 3]),
    padTop: rnd.int(-1, 2),
    padLeft: rnd.int(-1, 2),
  };
  if (rnd.next() < 0.35)
    Object.assign(c, { kh: 1, kw: 1, padTop: 0, padLeft: 0, dilationH: 1, dilationW: 1 });
  if (rnd.next() < 0.3) Object.assign(c, { strideH: 1, strideW: 1 });
  const span = (n, k, d, s, pad, after) => Math.floor((n + pad + after - (k - 1) * d - 1) / s) + 1;
  const after = c.kh === 1 && c.kw === 1 && c.padTop === 0 ? 0 : rnd.int(0, 2);
  c.outH = Math.max(0, span(c.inH, c.kh, c.dilationH, c.strideH, c.padTop, after));
  c.outW = Math.max(0, span(c.inW, c.kw, c.dilationW, c.strideW, c.padLeft, after));
  return c;
}

/** Compares, returns the first mismatch or null. */
export function compare(got, ref, bound, exact, activation) {
  for (let i = 0; i < got.length; i++) {
    const r = ref[i];
    if (Number.isNaN(r) !== Number.isNaN(got[i])) return { i, got: got[i], want: r };
    if (Number.isNaN(r) || got[i] === r) continue;
    // Sums of eighths of integers are exact in float32 below 2^20; beyond that the bounded tier applies.
    let slack = exact && bound[i] < 0.25 ? 0 : bound[i];
    if (activation === 3) slack = slack * 1.2 + Math.abs(r) * 2e-6 + 1e-30;
    else if (activation >= 4) slack = slack * 2 + Math.abs(r) * 2 ** -23;
    if (!(Math.abs(got[i] - r) <= slack)) return { i, got: got[i], want: r, slack };
  }
  return null;
}

export function runCase(m, seed, forced = {}) {
  const rnd = random(seed);
  const c = { ...geometry(rnd), alpha: 0.25 };
  const exact = rnd.next() < 0.4;
  c.groups = rnd.pick([1, 1, 1, 2, 3]);
  const bits = forced.bits ?? rnd.int(2, 8);
  c.mantissa = rnd.next() < 0.15 ? 0 : rnd.next() < 0.5 ? 8 : rnd.int(2, 8);
  c.block = rnd.pick([1, 3, 7, 16, 32, 32, 64, 64, 100, 128, 200, 256, 512, 1024]);
  const I = rnd.pick([
    1,
    2,
    3,
    4,
    5,
    8,
    15,
    16,
    17,
    31,
    32,
    48,
    64,
    65,
    100,
    128,
    130,
    192,
    260,
    300,
    rnd.next() < 0.2 ? 1030 : 64,
  ]);
  c.O = c.groups * rnd.pick([1, 3, 4, 7, 8, 9, 12, 16, 17]);
  c.inC = I * c.groups;
  c.activation = exact ? rnd.int(0, 2) : rnd.int(0, 5);
  const perBlock = rnd.next() < 0.65,
    hasShift = rnd.next() < 0.25;
  const taps = c.kh * c.kw,
    nb = Math.ceil(I / c.block);
  if (c.batch * c.outH * c.outW * c.O * taps * I > 4e6) return 'skip';
  const half = 2 ** (bits - 1),
    full = rnd.next() < 0.2;
  const q = Int8Array.from({ length: taps * I * c.O }, () => (full ? -half : rnd.int(-half, half - 1)));
  const x = new Float32Array(c.batch * c.inH * c.inW * c.inC);
  const wide = rnd.next() < 0.3,
    limit = 2 ** (Math.max(c.mantissa, 2) - 1) - 1;
  for (let i = 0; i < x.length; i++) {
    if (exact) x[i] = full ? -limit : rnd.int(-limit, limit);
    else x[i] = rnd.normal() * (wide ? 2 ** rnd.int(-20, 20) : 1);
  }
  if (rnd.next() < 0.2)
    for (let p = 0; p + 4 < x.length; p += rnd.int(5, 900)) x.fill(0, p, p + rnd.int(1, 200));
  if (rnd.next() < 0.1)
    for (let k = 0; k < 3; k++)
      x[rnd.int(0, x.length - 1)] = rnd.pick([
        NaN,
        Infinity,
        -Infinity,
        0,
        ...(exact ? [] : [1e-35, 2 ** -101, 2 ** -100, 3e30]),
      ]);
  const scaleOf = () => (exact ? 2 ** rnd.int(-2, 0) : rnd.normal() * 0.1);
  const scales = Float32Array.from({ length: perBlock ? taps * nb * c.O : c.O }, scaleOf);
  const shift = hasShift ? Float32Array.from({ length: taps * nb * c.O }, scaleOf) : null;
  const n = c.batch * c.outH * c.outW * c.O;
  const bias =
    rnd.next() < 0.5
      ? Float32Array.from({ length: c.O }, () => (exact ? rnd.int(-5, 5) : rnd.normal()))
      : null;
  const residual =
    rnd.next() < 0.3 ? Float32Array.from({ length: n }, () => (exact ? rnd.int(-5, 5) : rnd.normal())) : null;
  const alphas = c.activation === 5 ? Float32Array.from({ length: c.O }, () => rnd.normal()) : null;

  const used = m.e.heap_used();
  const px = m.put(x),
    pq = m.put(q),
    ps = m.put(scales),
    pb = shift ? m.put(shift) : 0;
  const bytes = m.e.ds_pack_bytes(bits, taps, I, c.O, c.groups, c.block, +perBlock, +hasShift) >>> 0;
  const filter = m.alloc(bytes);
  let status = m.e.ds_pack(filter, pq, ps, pb, bits, taps, I, c.O, c.groups, c.block, +perBlock);
  if (status) return `ds_pack status ${status}`;
  m.free(pq, ps, pb);
  const y = m.put(new Float32Array(n + 2 * GUARD).fill(12345));
  const pBias = bias ? m.put(bias) : 0,
    pRes = residual ? m.put(residual) : 0,
    pAlphas = alphas ? m.put(alphas) : 0;
  const record = { ...c, x: px, filter, y: y + 4 * GUARD, bias: pBias, residual: pRes, alphas: pAlphas };
  delete record.groups;
  delete record.O;
  let image = 0;
  if (c.mantissa && rnd.next() < 0.3 && x.length) {
    const size = m.e.bfp_image_bytes(filter, c.batch * c.inH * c.inW) >>> 0;
    image = m.alloc(size);
    status = m.e.bfp_quantize(filter, px, image, c.batch, c.inH, c.inW, c.inC, 1, 1, c.mantissa);
    if (status && Math.min(c.block, I) * half * limit <= 2 ** 24) return `bfp_quantize status ${status}`;
    record.image = image;
  }
  const call = m.call(record);
  status = m.e.dsconv2d(call);
  const refuse = c.mantissa && Math.min(c.block, I) * half * limit > 2 ** 24;
  const got = Float32Array.from(m.f32(y, n + 2 * GUARD));
  const xAfter = m.f32(px, x.length);
  let problem = null;
  if (refuse !== (status === 2) && !(refuse === 0 && status === 0))
    problem = `status ${status}, refuse ${refuse}`;
  for (let i = 0; i < x.length; i++)
    if (!Object.is(x[i], xAfter[i]) && !Number.isNaN(x[i])) problem = 'input changed';
  for (let i = 0; i < GUARD; i++)
    if (got[i] !== 12345 || got[got.length - 1 - i] !== 12345) problem = 'wrote outside the output';
  m.free(px, filter, y, pBias, pRes, pAlphas, image, call);
  if (m.e.heap_used() !== used) problem = 'leak';
  if (!problem && !status) {
    const ref = dsconv(c, x, q, scales, perBlock, shift, bias, residual, alphas);
    const bad = compare(got.subarray(GUARD, GUARD + n), ref.y, ref.bound, exact, c.activation);
    if (bad) problem = JSON.stringify(bad);
  }
  return problem
    ? `${problem} seed ${seed} bits ${bits} ${JSON.stringify({ ...c, I, perBlock, hasShift, exact, full, image: !!image })}`
    : null;
}

if (process.argv[1].endsWith('check-conv.mjs')) {
  const count = +(process.argv[2] ?? 2000),
    start = +(process.argv[3] ?? 1);
  for (const name of ['relaxed', 'simd']) {
    const m = load(name);
    let failed = 0,
      ran = 0;
    for (let s = start; s < start + count; s++) {
      const r = runCase(m, s);
      if (r === 'skip') continue;
      ran++;
      if (r && ++failed <= 8) console.log(name, r);
    }
    console.log(`${name}: ${ran} cases, ${failed} failed`);
    if (failed) process.exitCode = 1;
  }
}
