/** NUMERICS §3 and §4 in plain float64 JavaScript: what every kernel is held against. Slow and literal. */

const f32 = new Float32Array(1),
  u32 = new Uint32Array(f32.buffer);
const bitsOf = (x) => {
  f32[0] = x;
  return u32[0];
};

export function roundHalfEven(x) {
  const r = Math.round(x);
  return r - x === 0.5 && r % 2 !== 0 ? r - 1 : r;
}

/** {M, scale, hat} of one block: x[from + i], i < n. */
export function bfpBlock(x, from, n, m) {
  let e = -127;
  let bad = false;
  for (let i = 0; i < n; i++) {
    const field = (bitsOf(x[from + i]) >>> 23) & 255;
    if (field === 255) bad = true;
    e = Math.max(e, field - 127);
  }
  const M = new Int32Array(n);
  if (bad) return { M, scale: NaN };
  if (e < -100) return { M, scale: 0 };
  const scale = 2 ** (e - (m - 2)),
    limit = 2 ** (m - 1) - 1;
  for (let i = 0; i < n; i++) M[i] = Math.min(limit, Math.max(-limit, roundHalfEven(x[from + i] / scale)));
  return { M, scale };
}

export function bfpRound(x, pixels, channels, groups, block, m) {
  const y = new Float32Array(x.length),
    depth = channels / groups;
  for (let p = 0; p < pixels * groups; p++) {
    for (let c = 0; c < depth; c += block) {
      const n = Math.min(block, depth - c),
        { M, scale } = bfpBlock(x, p * depth + c, n, m);
      for (let i = 0; i < n; i++) y[p * depth + c + i] = M[i] * scale;
    }
  }
  return y;
}

export function activate(v, kind, alpha, alphaO) {
  switch (kind) {
    case 1:
      return v < 0 ? 0 : v;
    case 2:
      return v < 0 ? 0 : v > 6 ? 6 : v;
    case 3:
      return v / (1 + Math.exp(-v));
    case 4:
      return v < 0 ? v * alpha : v;
    case 5:
      return v < 0 ? v * alphaO : v;
    default:
      return v;
  }
}

/**
 * c: { batch, inH, inW, inC, outH, outW, kh, kw, strideH, strideW, dilationH, dilationW, padTop, padLeft, groups, O, block,
 * mantissa, activation, alpha }. q: [taps][I][O]. scales [O] or [taps][nb][O], shift [taps][nb][O] or null. Returns { y, bound }:
 * the value before the activation is y0 +- bound; y is after it.
 */
export function dsconv(c, x, q, scales, perBlock, shift, bias, residual, alphas) {
  const I = c.inC / c.groups,
    nb = Math.ceil(I / c.block),
    per = c.O / c.groups;
  const out = c.batch * c.outH * c.outW * c.O;
  const y = new Float64Array(out),
    y0 = new Float64Array(out),
    bound = new Float64Array(out);
  const blocks = new Map();
  const blockAt = (pixel, g, j) => {
    const key = (pixel * c.groups + g) * nb + j;
    if (!blocks.has(key)) {
      blocks.set(
        key,
        bfpBlock(x, pixel * c.inC + g * I + j * c.block, Math.min(c.block, I - j * c.block), c.mantissa),
      );
    }
    return blocks.get(key);
  };
  let at = 0;
  for (let n = 0; n < c.batch; n++)
    for (let oy = 0; oy < c.outH; oy++)
      for (let ox = 0; ox < c.outW; ox++)
        for (let o = 0; o < c.O; o++, at++) {
          const g = Math.floor(o / per);
          let sum = 0,
            size = 0,
            terms = 0;
          const add = (t) => {
            sum += t;
            size += Math.abs(t);
            terms++;
          };
          if (bias) add(bias[o]);
          for (let r = 0; r < c.kh; r++)
            for (let s = 0; s < c.kw; s++) {
              const iy = oy * c.strideH - c.padTop + r * c.dilationH,
                ix = ox * c.strideW - c.padLeft + s * c.dilationW;
              if (iy < 0 || ix < 0 || iy >= c.inH || ix >= c.inW) continue;
              const pixel = (n * c.inH + iy) * c.inW + ix,
                t = r * c.kw + s;
              for (let j = 0; j < nb; j++) {
                const sc = perBlock ? scales[(t * nb + j) * c.O + o] : scales[o],
                  sh = shift ? shift[(t * nb + j) * c.O + o] : 0;
                const len = Math.min(c.block, I - j * c.block),
                  base = (t * I + j * c.block) * c.O + o;
                if (!c.mantissa) {
                  for (let i = 0; i < len; i++)
                    add(x[pixel * c.inC + g * I + j * c.block + i] * (sc * q[base + i * c.O] + sh));
                  continue;
                }
                const { M, scale } = blockAt(pixel, g, j);
                let P = 0,
                  S = 0;
                for (let i = 0; i < len; i++) {
                  P += q[base + i * c.O] * M[i];
                  S += M[i];
                }
                add(scale * (sc * P));
                if (shift) add(scale * (sh * S));
              }
            }
          if (residual) add(residual[at]);
          y0[at] = sum;
          bound[at] = 4 * terms * 2 ** -24 * size;
          y[at] = activate(sum, c.activation, c.alpha, alphas ? alphas[o] : 0);
        }
  return { y, y0, bound };
}
