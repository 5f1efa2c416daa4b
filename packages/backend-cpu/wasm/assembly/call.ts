/** Byte offsets of a call record's words (src/wasm/interface.ts, CALL) and the geometry taken from one. */
export const C_X: usize = 0;
export const C_IMAGE: usize = 4;
export const C_FILTER: usize = 8;
export const C_Y: usize = 12;
export const C_BIAS: usize = 16;
export const C_RESIDUAL: usize = 20;
export const C_ALPHAS: usize = 24;
export const C_ACTIVATION: usize = 28;
export const C_ALPHA: usize = 32;
export const C_MANTISSA: usize = 36;
export const C_BATCH: usize = 40;
export const C_IN_H: usize = 44;
export const C_IN_W: usize = 48;
export const C_IN_C: usize = 52;
export const C_OUT_H: usize = 56;
export const C_OUT_W: usize = 60;
export const C_KH: usize = 64;
export const C_KW: usize = 68;
export const C_STRIDE_H: usize = 72;
export const C_STRIDE_W: usize = 76;
export const C_DILATION_H: usize = 80;
export const C_DILATION_W: usize = 84;
export const C_PAD_TOP: usize = 88;
export const C_PAD_LEFT: usize = 92;
export const C_OUT_MANTISSA: usize = 96;
export const C_OUT_BLOCK: usize = 100;
export const C_MULT: usize = 104;
export const C_BLOCK: usize = 108;

export let batch: i32 = 0, inH: i32 = 0, inW: i32 = 0, inC: i32 = 0, outH: i32 = 0, outW: i32 = 0;
export let kh: i32 = 0, kw: i32 = 0, strideH: i32 = 0, strideW: i32 = 0, dilationH: i32 = 0, dilationW: i32 = 0;
export let padTop: i32 = 0, padLeft: i32 = 0;

export function readGeometry(call: usize): bool {
  batch = load<i32>(call, C_BATCH);
  inH = load<i32>(call, C_IN_H);
  inW = load<i32>(call, C_IN_W);
  inC = load<i32>(call, C_IN_C);
  outH = load<i32>(call, C_OUT_H);
  outW = load<i32>(call, C_OUT_W);
  kh = load<i32>(call, C_KH);
  kw = load<i32>(call, C_KW);
  strideH = load<i32>(call, C_STRIDE_H);
  strideW = load<i32>(call, C_STRIDE_W);
  dilationH = load<i32>(call, C_DILATION_H);
  dilationW = load<i32>(call, C_DILATION_W);
  padTop = load<i32>(call, C_PAD_TOP);
  padLeft = load<i32>(call, C_PAD_LEFT);
  return batch >= 0 && inH >= 0 && inW >= 0 && inC >= 0 && outH >= 0 && outW >= 0 && kh >= 1 && kw >= 1 &&
    strideH >= 1 && strideW >= 1 && dilationH >= 1 && dilationW >= 1;
}

/** Output pixel p reads input pixel p: no gathering needed. */
export function isPointwise(): bool {
  return kh == 1 && kw == 1 && strideH == 1 && strideW == 1 && padTop == 0 && padLeft == 0 && outH == inH && outW == inW;
}

/** An unpadded strided 1×1 convolution that reads every stride-th pixel: pointwise over the subsampled image. */
export function isSubsampling(): bool {
  return kh == 1 && kw == 1 && padTop == 0 && padLeft == 0 && (strideH > 1 || strideW > 1) &&
    outH == (inH + strideH - 1) / strideH && outW == (inW + strideW - 1) / strideW;
}

/** From here on x is the subsampled image. */
export function subsample(): void {
  inH = outH;
  inW = outW;
  strideH = 1;
  strideW = 1;
}
