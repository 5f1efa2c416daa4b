// Block floating point, NUMERICS §3. Exponents are read and powers of two are built as bits; no logarithm, no division.

const EXPONENT = 0x7f800000u;
// One more in the exponent.
const TWICE = 0x00800000u;
// Blocks whose exponent is below -100 count as zero.
const LEAST_EXPONENT = 27u * TWICE;
const NAN_BITS = 0x7fc00000u;

// A block's grid: the bits of its scale, and 2/scale, which is a normal number always, as 1/scale is not.
struct Grid {
  scale: u32,
  twice_inverse: f32,
}

// peak: the largest of the elements' bits without their signs. The exponent stays where it is: adapters that run on the CPU shift one lane after the other.
fn grid_of(peak: u32, bits: u32) -> Grid {
  let exponent = peak & EXPONENT;
  let counts = exponent >= LEAST_EXPONENT;
  let finite = exponent != EXPONENT;
  return Grid(
    select(select(0u, exponent - bits * TWICE + 2u * TWICE, counts), NAN_BITS, !finite),
    // 2^(bits - 1 - E), E the exponent without its bias.
    bitcast<f32>(select(0u, (bits + 253u) * TWICE - exponent, counts && finite)),
  );
}

// The largest mantissa.
fn limit_of(bits: u32) -> f32 {
  return bitcast<f32>((bits + 126u) * TWICE) - 1.0;
}

// M: the nearest integer, ties to the even one, within the clamp. Products with powers of two are exact, or so small that they round to 0.
fn mantissa_of(x: f32, grid: Grid, bits: u32) -> i32 {
  let limit = limit_of(bits);
  return i32(clamp(round((x * 0.5) * grid.twice_inverse), -limit, limit));
}

fn mantissas_of(x: vec4<f32>, grid: Grid, bits: u32) -> vec4<i32> {
  let limit = vec4<f32>(limit_of(bits));
  return vec4<i32>(clamp(round((x * 0.5) * grid.twice_inverse), -limit, limit));
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
