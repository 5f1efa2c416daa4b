/** The exported convolutions: checks, quantization of x where no image is given, then the driver. */
import { alloc, free } from './heap';
import { bfp_round } from './bfp';
import { bfp_image_bytes, bfp_image_kind, bfp_quantize } from './image';
import {
  C_ACTIVATION, C_ALPHA, C_ALPHAS, C_BIAS, C_FILTER, C_IMAGE, C_MANTISSA, C_OUT_BLOCK, C_OUT_MANTISSA, C_RESIDUAL, C_X, C_Y,
  batch, inC, inH, inW, isSubsampling, kh, kw, outH, outW, readGeometry, strideH, strideW, subsample,
} from './call';
import { PATH_FLOAT, PATH_I16, PATH_I8, PATH_STEM, PATH_WEIGHT_ONLY, plan, runConv } from './conv-driver';
import {
  F_BLOCK, F_DEPTH, F_GROUPS, F_OUT, F_PER_BLOCK, F_SCALES, F_SHIFT, F_STORAGE, F_TAPS, F_WEIGHTS, HEADER_BYTES, I_KIND,
  I_MANTISSA, I_PIXELS, I_ROWS, I_SCALES, I_STARTS, I_STRIDE, I_SUMS, MAGIC_DS, MAGIC_F32, MAGIC_IMAGE, ROW_F32, ROW_I8,
  TILE_C, rowFormat, sumsAreExact,
} from './layout';
import { PRELU, ceilDiv } from './math';
import { packScales } from './pack';
import { setActivation } from './epilogue';

function common(call: usize, filter: usize): i32 {
  if (!readGeometry(call)) return 2;
  const groups = load<i32>(filter, F_GROUPS);
  if (load<i32>(filter, F_TAPS) != kh * kw || load<i32>(filter, F_DEPTH) * groups != inC) return 2;
  const kind = load<i32>(call, C_ACTIVATION);
  plan.depth = load<i32>(filter, F_DEPTH);
  plan.out = load<i32>(filter, F_OUT);
  plan.groups = groups;
  plan.y = load<usize>(call, C_Y);
  plan.bias = load<usize>(call, C_BIAS);
  plan.residual = load<usize>(call, C_RESIDUAL);
  plan.alphas = load<usize>(call, C_ALPHAS);
  plan.scales = 0;
  plan.starts = 0;
  plan.sums = 0;
  plan.weights = filter + load<usize>(filter, F_WEIGHTS);
  if (kind < 0 || kind > PRELU || (kind == PRELU && !plan.alphas)) return 2;
  setActivation(kind, load<f32>(call, C_ALPHA));
  return 0;
}

/** outputFormat: y rounded in place. */
function roundOutput(call: usize, status: i32): i32 {
  const mantissa = load<i32>(call, C_OUT_MANTISSA);
  if (status || !mantissa) return status;
  return bfp_round(plan.y, plan.y, batch * outH * outW, plan.out, 1, load<i32>(call, C_OUT_BLOCK), mantissa);
}

function rawRows(call: usize): void {
  plan.rows = load<usize>(call, C_X);
  plan.stride = <usize>inC << 2;
  plan.raw = true;
}

export function dsconv2d(call: usize): i32 {
  const filter = load<usize>(call, C_FILTER);
  if (load<u32>(filter) != MAGIC_DS) return 2;
  const wrong = common(call, filter);
  if (wrong) return wrong;
  plan.block = load<i32>(filter, F_BLOCK);
  plan.storage = load<i32>(filter, F_STORAGE);
  plan.perBlock = load<u32>(filter, F_PER_BLOCK) != 0;
  plan.ks = filter + load<usize>(filter, F_SCALES);
  plan.kb = load<u32>(filter, F_SHIFT) ? filter + load<usize>(filter, F_SHIFT) : 0;
  const mantissa = load<i32>(call, C_MANTISSA);
  if (mantissa == 0) {
    plan.path = PATH_WEIGHT_ONLY;
    rawRows(call);
    return roundOutput(call, runConv(plan, call, false));
  }
  if (!sumsAreExact(filter, mantissa)) return 2;

  let image = load<usize>(call, C_IMAGE);
  let own: usize = 0, subsampled = false;
  if (image) {
    if (load<u32>(image) != MAGIC_IMAGE || load<i32>(image, I_KIND) != bfp_image_kind(filter)) return 2;
    if (load<i32>(image, I_MANTISSA) != mantissa || load<i32>(image, I_PIXELS) != batch * inH * inW) return 2;
  } else {
    let sh = 1, sw = 1;
    const height = inH, width = inW;
    if (isSubsampling()) {
      sh = strideH;
      sw = strideW;
      subsample();
      subsampled = true;
    }
    const bytes = bfp_image_bytes(filter, batch * inH * inW);
    if (!bytes) return 1;
    own = alloc(bytes);
    if (!own) return 1;
    image = own;
    bfp_quantize(filter, load<usize>(call, C_X), image, batch, height, width, inC, sh, sw, mantissa);
  }
  const format = rowFormat(filter);
  plan.path = format == ROW_F32 ? PATH_STEM : format == ROW_I8 ? PATH_I8 : PATH_I16;
  plan.rows = image + load<usize>(image, I_ROWS);
  plan.stride = load<usize>(image, I_STRIDE);
  plan.raw = false;
  plan.scales = image + load<usize>(image, I_SCALES);
  plan.starts = image + load<usize>(image, I_STARTS);
  plan.sums = plan.kb ? image + load<usize>(image, I_SUMS) : 0;
  const status = runConv(plan, call, subsampled);
  free(own);
  return roundOutput(call, status);
}

export function conv2d_pack_bytes(taps: i32, inDepth: i32, outChannels: i32, groups: i32): usize {
  if (taps < 0 || inDepth < 0 || outChannels < 0 || groups < 1 || outChannels % groups) return 0;
  const bytes = HEADER_BYTES + (<u64>groups * ceilDiv(outChannels / groups, TILE_C) * taps * inDepth << 5);
  return bytes < 0xffff0000 ? <usize>bytes : 0;
}

/** Panels [group][tile][taps * I][8] of floats, zeros beyond the last channel. */
export function conv2d_pack(dst: usize, w: usize, taps: i32, inDepth: i32, outChannels: i32, groups: i32): i32 {
  if (!conv2d_pack_bytes(taps, inDepth, outChannels, groups)) return 2;
  store<u32>(dst, MAGIC_F32);
  store<u32>(dst, taps, F_TAPS);
  store<u32>(dst, inDepth, F_DEPTH);
  store<u32>(dst, outChannels, F_OUT);
  store<u32>(dst, groups, F_GROUPS);
  store<u32>(dst, <u32>HEADER_BYTES, F_WEIGHTS);
  let to = dst + HEADER_BYTES;
  const per = outChannels / groups, rows = taps * inDepth;
  for (let g = 0; g < groups; g++) {
    for (let o = g * per, end = o + per; o < end; o += TILE_C) {
      let from = w;
      for (let i = 0; i < rows; i++) {
        if (o + TILE_C <= end) {
          v128.store(to, v128.load(from + (<usize>o << 2)));
          v128.store(to, v128.load(from + (<usize>o << 2), 16), 16);
          to += TILE_C << 2;
        } else {
          to = packScales(to, from, o, end);
        }
        from += <usize>outChannels << 2;
      }
    }
  }
  return 0;
}

export function conv2d(call: usize): i32 {
  const filter = load<usize>(call, C_FILTER);
  if (load<u32>(filter) != MAGIC_F32) return 2;
  const wrong = common(call, filter);
  if (wrong) return wrong;
  plan.path = PATH_FLOAT;
  plan.block = max(plan.depth, 1);
  plan.storage = 8;
  plan.perBlock = false;
  plan.ks = 0;
  plan.kb = 0;
  rawRows(call);
  return roundOutput(call, runConv(plan, call, false));
}
