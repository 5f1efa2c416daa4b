/** Every kernel but dsconv2d against plain JavaScript: BFP, depthwise, float convolution, matMul, pooling, element-wise, heap. */

import { compare, geometry } from './check-conv.mjs';
import { load, random } from './module.mjs';
import { activate, bfpRound, dsconv } from './reference.mjs';

const array = (n, f) => Float32Array.from({ length: n }, f);

/** y = f(pointers); checks guard words, leaks and values (ref: number or { v, s } per element with s the allowed error). */
function run(m, inputs, n, body, check) {
  const used = m.e.heap_used(),
    G = 16;
  const ptrs = inputs.map((a) => (a ? m.put(a) : 0));
  const y = m.put(new Float32Array(n + 2 * G).fill(777));
  const extra = [];
  const status = body(ptrs, y + 4 * G, (p) => {
    extra.push(p);
    return p;
  });
  if (status) return `status ${status}`;
  const got = Float32Array.from(m.f32(y, n + 2 * G));
  for (let i = 0; i < G; i++) if (got[i] !== 777 || got[n + G + i] !== 777) return 'wrote outside the output';
  for (let k = 0; k < inputs.length; k++) {
    if (
      inputs[k] &&
      m
        .f32(ptrs[k], inputs[k].length >> (inputs[k].BYTES_PER_ELEMENT === 1 ? 2 : 0))
        .some((v, i) => inputs[k].BYTES_PER_ELEMENT === 4 && !Object.is(v, inputs[k][i]) && !Number.isNaN(v))
    )
      return 'input changed';
  }
  m.free(...ptrs, y, ...extra);
  if (m.e.heap_used() !== used) return 'leak';
  return check(got.subarray(G, G + n));
}

const poison = (rnd, x) => {
  if (x.length && rnd.next() < 0.1) x[rnd.int(0, x.length - 1)] = NaN;
  return x;
};
const near = (got, want, slack) => {
  for (let i = 0; i < got.length; i++) {
    const w = want(i),
      s = slack(i);
    if (Number.isNaN(w) ? !Number.isNaN(got[i]) : !(got[i] === w || Math.abs(got[i] - w) <= s))
      return `at ${i}: ${got[i]}, want ${w} +- ${s}`;
  }
  return null;
};

const tests = {
  bfp_round(m, rnd) {
    const groups = rnd.int(1, 3),
      depth = rnd.int(1, 150),
      pixels = rnd.int(0, 9),
      block = rnd.pick([1, 3, 7, 16, 32, 64, 1024]),
      mant = rnd.int(2, 8);
    const x = array(pixels * groups * depth, () => rnd.normal() * 2 ** rnd.int(-3, 3));
    for (let k = 0; k < 3 && x.length && rnd.next() < 0.5; k++)
      x[rnd.int(0, x.length - 1)] = rnd.pick([NaN, Infinity, 3.4e38, -3.4e38, 2 ** -100, 2 ** -101, 1e-42]);
    if (x.length && rnd.next() < 0.2) x.fill(2 ** -101 * rnd.next());
    const want = bfpRound(x, pixels, groups * depth, groups, block, mant);
    return run(
      m,
      [x],
      x.length,
      ([p], y) => m.e.bfp_round(p, y, pixels, groups * depth, groups, block, mant),
      (got) =>
        near(
          got,
          (i) => want[i],
          () => 0,
        ),
    );
  },
  conv2d(m, rnd) {
    const c = {
      ...geometry(rnd),
      groups: rnd.pick([1, 1, 2]),
      mantissa: 0,
      activation: rnd.int(0, 5),
      alpha: 0.1,
      block: 1e9,
    };
    const I = rnd.int(1, 20);
    c.O = c.groups * rnd.int(1, 20);
    c.inC = I * c.groups;
    const taps = c.kh * c.kw,
      n = c.batch * c.outH * c.outW * c.O;
    const x = poison(rnd, array(c.batch * c.inH * c.inW * c.inC, rnd.normal)),
      w = array(taps * I * c.O, rnd.normal);
    const bias = rnd.next() < 0.5 ? array(c.O, rnd.normal) : null,
      residual = rnd.next() < 0.3 ? array(n, rnd.normal) : null,
      alphas = array(c.O, rnd.normal);
    const ref = dsconv(c, x, w, new Float32Array(c.O).fill(1), false, null, bias, residual, alphas);
    const { groups, O, block, ...record } = c;
    return run(
      m,
      [x, w, bias, residual, alphas],
      n,
      (p, y, own) => {
        const packed = own(m.alloc(m.e.conv2d_pack_bytes(taps, I, O, groups)));
        m.e.conv2d_pack(packed, p[1], taps, I, O, groups);
        return m.e.conv2d(
          own(m.call({ ...record, x: p[0], filter: packed, y, bias: p[2], residual: p[3], alphas: p[4] })),
        );
      },
      (got) => {
        const bad = compare(got, ref.y, ref.bound, false, c.activation);
        return bad && JSON.stringify(bad);
      },
    );
  },
  depthwise(m, rnd) {
    const mult = rnd.pick([1, 1, 1, 2, 3]),
      C = rnd.pick([1, 3, 4, 8, 17, 32, 40, 70]),
      quantized = rnd.next() < 0.7;
    const c = { ...geometry(rnd), inC: C, O: C * mult, groups: C, activation: rnd.int(0, 5), alpha: 0.1 };
    if (rnd.next() < 0.5)
      Object.assign(c, { inW: 13, kw: 3, outW: 11, strideW: 1, dilationW: 1, padLeft: rnd.int(0, 1) });
    c.mantissa = quantized && rnd.next() < 0.8 ? rnd.int(2, 8) : 0;
    const block = rnd.pick([1, 5, 16, 32, 128]),
      bits = rnd.int(2, 8),
      perTap = rnd.next() < 0.4,
      hasShift = perTap && rnd.next() < 0.5;
    const taps = c.kh * c.kw,
      n = c.batch * c.outH * c.outW * c.O,
      half = 2 ** (bits - 1);
    const x = poison(rnd, array(c.batch * c.inH * c.inW * C, rnd.normal));
    const q = quantized ? Int8Array.from({ length: taps * c.O }, () => rnd.int(-half, half - 1)) : null;
    const scales = array(perTap ? taps * c.O : c.O, rnd.normal),
      shift = hasShift ? array(taps * c.O, rnd.normal) : null;
    const w = quantized ? null : array(taps * c.O, rnd.normal);
    const bias = rnd.next() < 0.5 ? array(c.O, rnd.normal) : null,
      residual = rnd.next() < 0.3 ? array(n, rnd.normal) : null,
      alphas = array(c.O, rnd.normal);
    const hat = c.mantissa ? bfpRound(x, c.batch * c.inH * c.inW, C, 1, block, c.mantissa) : x;
    const ref = dsconv(
      { ...c, mantissa: 0, block: 1 },
      hat,
      q ?? w,
      quantized ? scales : new Float32Array(c.O).fill(1),
      quantized && perTap,
      quantized ? shift : null,
      bias,
      residual,
      alphas,
    );
    const { groups, O, ...record } = c;
    return run(
      m,
      [x, q, scales, shift, w, bias, residual, alphas],
      n,
      (p, y, own) => {
        let filter = p[4];
        if (quantized) {
          filter = own(m.alloc(m.e.ds_depthwise_pack_bytes(bits, taps, O, +perTap)));
          const s = m.e.ds_depthwise_pack(filter, p[1], p[2], p[3], bits, taps, O, +perTap);
          if (s) return s;
        }
        const call = own(
          m.call({ ...record, x: p[0], filter, y, bias: p[5], residual: p[6], alphas: p[7], mult, block }),
        );
        return quantized ? m.e.ds_depthwise(call) : m.e.depthwise(call);
      },
      (got) => {
        const bad = compare(
          got,
          ref.y,
          ref.bound.map((b) => b * 2),
          false,
          c.activation,
        );
        return bad && JSON.stringify({ ...bad, c, bits, perTap, hasShift, quantized, mult });
      },
    );
  },
  matmul(m, rnd) {
    const b = rnd.int(0, 3),
      M = rnd.pick([1, 2, 3, 4, 5, 8, 70, 0]),
      K = rnd.pick([0, 1, 3, 8, 33, 100]),
      N = rnd.pick([0, 1, 3, 4, 8, 9, 40]);
    const ta = rnd.int(0, 1),
      tb = rnd.int(0, 1),
      aS = rnd.next() < 0.8 ? M * K : 0,
      bS = rnd.next() < 0.7 ? K * N : 0,
      act = rnd.int(0, 5);
    const A = poison(rnd, array(Math.max(1, b) * M * K, rnd.normal)),
      B = array(Math.max(1, b) * K * N, rnd.normal);
    const bias = rnd.next() < 0.5 ? array(N, rnd.normal) : null,
      alphas = array(N, rnd.normal),
      want = new Float64Array(b * M * N),
      bound = new Float64Array(b * M * N);
    for (let t = 0, i = 0; t < b; t++)
      for (let r = 0; r < M; r++)
        for (let o = 0; o < N; o++, i++) {
          let s = bias ? bias[o] : 0,
            z = Math.abs(s);
          for (let k = 0; k < K; k++) {
            const v = A[t * aS + (ta ? k * M + r : r * K + k)] * B[t * bS + (tb ? o * K + k : k * N + o)];
            s += v;
            z += Math.abs(v);
          }
          want[i] = activate(s, act, 0.3, alphas[o]);
          bound[i] = 4 * (K + 1) * 2 ** -24 * z;
        }
    return run(
      m,
      [A, B, bias, alphas],
      b * M * N,
      (p, y) => m.e.matmul(p[0], p[1], y, b, M, K, N, ta, tb, aS, bS, p[2], act, 0.3, p[3]),
      (got) => {
        const bad = compare(got, want, bound, false, act);
        return bad && JSON.stringify({ ...bad, b, M, K, N, ta, tb });
      },
    );
  },
  pool(m, rnd) {
    const c = geometry(rnd),
      C = rnd.int(1, 10),
      isMax = rnd.next() < 0.5,
      n = c.batch * c.outH * c.outW * C;
    const x = poison(rnd, array(c.batch * c.inH * c.inW * C, rnd.normal)),
      want = new Float64Array(n);
    let at = 0;
    for (let b = 0; b < c.batch; b++)
      for (let oy = 0; oy < c.outH; oy++)
        for (let ox = 0; ox < c.outW; ox++)
          for (let k = 0; k < C; k++) {
            let s = 0,
              top = -Infinity,
              count = 0;
            for (let r = 0; r < c.kh; r++)
              for (let t = 0; t < c.kw; t++) {
                const iy = oy * c.strideH - c.padTop + r * c.dilationH,
                  ix = ox * c.strideW - c.padLeft + t * c.dilationW;
                if (iy < 0 || ix < 0 || iy >= c.inH || ix >= c.inW) continue;
                const v = x[((b * c.inH + iy) * c.inW + ix) * C + k];
                s += v;
                top = Math.max(top, v);
                count++;
              }
            want[at++] = isMax ? top : s / count;
          }
    return run(
      m,
      [x],
      n,
      ([p], y) =>
        m.e[isMax ? 'max_pool' : 'avg_pool'](
          p,
          y,
          c.batch,
          c.inH,
          c.inW,
          C,
          c.outH,
          c.outW,
          c.kh,
          c.kw,
          c.strideH,
          c.strideW,
          c.dilationH,
          c.dilationW,
          c.padTop,
          c.padLeft,
        ),
      (got) =>
        near(
          got,
          (i) => want[i],
          () => (isMax ? 0 : 1e-5),
        ),
    );
  },
  mean(m, rnd) {
    const b = rnd.int(0, 3),
      hw = rnd.int(1, 50),
      C = rnd.int(1, 21),
      x = poison(rnd, array(b * hw * C, rnd.normal));
    const want = (i) => {
      let s = 0;
      for (let k = 0; k < hw; k++) s += x[(Math.floor(i / C) * hw + k) * C + (i % C)];
      return s / hw;
    };
    return run(
      m,
      [x],
      b * C,
      ([p], y) => m.e.mean_hw(p, y, b, hw, C),
      (got) => near(got, want, () => 1e-5),
    );
  },
  binary(m, rnd) {
    const op = rnd.int(0, 3),
      C = rnd.int(1, 19),
      mode = rnd.int(0, 2),
      n = C * rnd.int(0, 9),
      period = Math.max(1, [n, C, 1][mode]);
    const a = poison(rnd, array(n, rnd.normal)),
      b = array(period, rnd.normal);
    const f = [(p, q) => p + q, (p, q) => p - q, (p, q) => p * q, (p, q) => q - p][op];
    return run(
      m,
      [a, b],
      n,
      (p, y) => m.e.binary(op, p[0], p[1], y, n, period),
      (got) =>
        near(
          got,
          (i) => Math.fround(f(a[i], b[i % period])),
          () => 0,
        ),
    );
  },
  unary(m, rnd) {
    const op = rnd.int(0, 5),
      C = rnd.int(1, 19),
      n = C * rnd.int(0, 30),
      x = poison(
        rnd,
        array(n, () => rnd.normal() * 2 ** rnd.int(-5, 6)),
      ),
      al = array(C, rnd.normal);
    return run(
      m,
      [x, al],
      n,
      (p, y) => m.e.unary(op, p[0], y, n, 0.2, p[1], C),
      (got) =>
        near(
          got,
          (i) => activate(x[i], op, Math.fround(0.2), al[i % C]),
          (i) =>
            op === 3
              ? Math.abs(activate(x[i], 3)) * 1e-6 + 1e-35
              : Math.abs(activate(x[i], op, 0.2, al[i % C])) * 2 ** -23 * (op > 2),
        ),
    );
  },
  scale_shift(m, rnd) {
    const C = rnd.int(1, 19),
      n = C * rnd.int(0, 9),
      x = array(n, rnd.normal),
      s = array(C, rnd.normal),
      b = array(C, rnd.normal);
    return run(
      m,
      [x, s, b],
      n,
      (p, y) => m.e.scale_shift(p[0], p[1], p[2], y, n, C),
      (got) =>
        near(
          got,
          (i) => x[i] * s[i % C] + b[i % C],
          (i) => 2 ** -22 * (Math.abs(x[i] * s[i % C]) + Math.abs(b[i % C])),
        ),
    );
  },
  heap(m, rnd) {
    const live = [],
      before = m.e.heap_used();
    for (let k = 0; k < 300; k++) {
      if (live.length && rnd.next() < 0.48) {
        const [p, n, tag] = live.splice(rnd.int(0, live.length - 1), 1)[0];
        const v = m.i8(p, n);
        if (v[0] !== tag || v[n - 1] !== tag || v[n >> 1] !== tag) return 'blocks overlap';
        m.e.free(p);
      } else {
        const n = Math.ceil(2 ** (rnd.next() * 18)),
          p = m.alloc(n),
          tag = rnd.int(1, 100);
        if (p & 15) return 'alignment';
        m.i8(p, n).fill(tag);
        live.push([p, n, tag]);
      }
    }
    for (const [p] of live) m.e.free(p);
    return m.e.heap_used() === before ? null : 'heap_used';
  },
};

const count = +(process.argv[2] ?? 400);
for (const name of ['relaxed', 'simd']) {
  const m = load(name);
  for (const [test, f] of Object.entries(tests)) {
    let failed = 0;
    for (let s = 1; s <= count; s++) {
      const r = f(m, random(s * 7919 + 13));
      if (r && ++failed <= 3) console.log(name, test, s, r);
    }
    console.log(`${name} ${test}: ${count} cases, ${failed} failed`);
    if (failed) process.exitCode = 1;
  }
  const pages = m.e.memory.buffer.byteLength >> 16,
    p = m.alloc(3e9);
  if (m.e.alloc(2e9) !== 0) console.log('alloc beyond 4 GiB did not return 0');
  m.e.free(p);
  const again = m.alloc(3e9);
  console.log(
    name,
    'pages before and after 3 GB:',
    pages,
    m.e.memory.buffer.byteLength / 65536,
    'reused',
    again === p,
  );
}
