// The filter's buffers, and how to read them. Weights: [tap][word][group][quad], four words side by side for four output channels. A word holds
// 32 / weight_bits depths of a channel: depth r in byte r % 4, at bit weight_bits * (r / 4) of it. Scales: [tap][block][group][quad], or [group][quad].

@group(0) @binding(2) var<storage, read> weights: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> scales: array<vec2<u32>>;

// A byte's uppermost weight_bits bits, in all four bytes.
fn top_bits() -> u32 {
  return 0x01010101u * (256u - (1u << (8u - call.weight_bits)));
}

fn weight_index(tap: u32, word: u32, quad: u32) -> u32 {
  return (tap * call.tap_weight_words + word) * call.groups * call.group_quads + quad;
}

// Two float16 numbers as float32. Subnormal ones too, which unpack2x16float may flush.
fn widen(halves: u32) -> vec2<f32> {
  let h = vec2<u32>(halves & 0xffffu, halves >> 16u);
  let sign = (h & vec2<u32>(0x8000u)) << vec2<u32>(16u);
  let exponent = (h >> vec2<u32>(10u)) & vec2<u32>(0x1fu);
  let fraction = h & vec2<u32>(0x3ffu);
  let normal = ((exponent + vec2<u32>(112u)) << vec2<u32>(23u)) | (fraction << vec2<u32>(13u));
  // 2^-24 per unit; times a power of two, which is exact.
  let subnormal = bitcast<vec2<u32>>(vec2<f32>(fraction) * bitcast<f32>(0x33800000u));
  return bitcast<vec2<f32>>(sign | select(normal, subnormal, exponent == vec2<u32>(0u)));
}

// cds * kds of a quad of output channels (quads count through all groups).
fn scale_of(tap: u32, block: u32, quad: u32) -> vec4<f32> {
  let row = (tap * call.blocks + block) * call.scale_per_block;
  let at = row * call.groups * call.group_quads + quad;
  if (call.scale_halves != 0u) {
    let pair = scales[at];
    return vec4<f32>(widen(pair.x), widen(pair.y));
  }
  return vec4<f32>(bitcast<vec2<f32>>(scales[2u * at]), bitcast<vec2<f32>>(scales[2u * at + 1u]));
}

// cds * kdsBias + cdsBias of a quad.
fn shift_of(tap: u32, block: u32, quad: u32) -> vec4<f32> {
  let at = call.shift_at / 2u + 2u * ((tap * call.blocks + block) * call.groups * call.group_quads + quad);
  return vec4<f32>(bitcast<vec2<f32>>(scales[at]), bitcast<vec2<f32>>(scales[at + 1u]));
}
