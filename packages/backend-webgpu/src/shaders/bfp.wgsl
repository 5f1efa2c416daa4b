// Block floating point, NUMERICS §3. Exponents are read and powers of two are built as bits; no logarithm, no division.

const BIAS = 127u;
// Blocks whose exponent is below -100 count as zero.
const LEAST_EXPONENT = 27u;
const NAN_BITS = 0x7fc00000u;

// A block's grid: the bits of its scale, and of the two powers of two whose product is 1/scale. One alone may be subnormal.
struct Grid {
  scale: u32,
  inverse_a: f32,
  inverse_b: f32,
}

// peak: the largest of the elements' bits without their signs.
fn grid_of(peak: u32, bits: u32) -> Grid {
  let exponent = peak >> 23u;
  if (exponent == 255u) {
    return Grid(NAN_BITS, 0.0, 0.0);
  }
  if (exponent < LEAST_EXPONENT) {
    return Grid(0u, 0.0, 0.0);
  }
  // 1/scale = 2^(bits - 2 - (exponent - BIAS)), one half of the exponent in each factor.
  let power = i32(bits) - 2 - (i32(exponent) - i32(BIAS));
  let half = power / 2;
  return Grid(
    (exponent + 2u - bits) << 23u,
    bitcast<f32>(u32(half + i32(BIAS)) << 23u),
    bitcast<f32>(u32(power - half + i32(BIAS)) << 23u),
  );
}

// M: the nearest integer, ties to the even one, within the clamp. Products with powers of two are exact, or so small that they round to 0.
fn mantissa_of(x: f32, grid: Grid, bits: u32) -> i32 {
  let limit = f32((1 << (bits - 1u)) - 1);
  return i32(clamp(round((x * grid.inverse_a) * grid.inverse_b), -limit, limit));
}

fn mantissas_of(x: vec4<f32>, grid: Grid, bits: u32) -> vec4<i32> {
  let limit = f32((1 << (bits - 1u)) - 1);
  return vec4<i32>(clamp(round((x * grid.inverse_a) * grid.inverse_b), vec4<f32>(-limit), vec4<f32>(limit)));
}

fn magnitude(x: f32) -> u32 {
  return bitcast<u32>(x) & 0x7fffffffu;
}

// Four signed bytes, the first in the lowest bits.
fn pack_bytes(m: vec4<i32>) -> u32 {
  let b = vec4<u32>(m) & vec4<u32>(0xffu);
  return b.x | (b.y * 0x100u) | (b.z * 0x10000u) | (b.w * 0x1000000u);
}

// The bytes as numbers. Each is moved to the top by multiplying and counts 2^24 there: adapters that run on the CPU shift one lane after the other.
fn unpack_bytes(word: u32) -> vec4<f32> {
  let tops = (vec4<u32>(word) * vec4<u32>(0x1000000u, 0x10000u, 0x100u, 1u)) & vec4<u32>(0xff000000u);
  return vec4<f32>(bitcast<vec4<i32>>(tops)) * 5.9604644775390625e-8;
}
