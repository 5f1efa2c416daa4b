// The filter's buffers, and how to read them. Weights: [tap][word][group][quad], four words side by side for four output channels. A word holds
// 32 / weight_bits depths of a channel: depth r in byte r % 4, at bit weight_bits * (r / 4) of it. Scales: [tap][block][group][quad], or [group][quad].

@group(0) @binding(2) var<storage, read> weights: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> scales: array<vec2<u32>>;

// A byte's uppermost weight_bits bits, in all four bytes.
fn top_bits() -> u32 {
  return 0x01010101u * (256u - (1u << (8u - weight_bits())));
}

fn weight_index(tap: u32, word: u32, quad: u32) -> u32 {
  return (tap * call.tap_weight_words + word) * call.groups * call.group_quads + quad;
}

// Two float16 numbers as float32. Subnormal ones too, which unpack2x16float may flush. The upper one is moved as a whole number of float32, which is exact:
// adapters that run on the CPU shift one lane after the other.
fn widen(halves: u32) -> vec2<f32> {
  let upper = halves & 0x7fff0000u;
  let magnitude = vec2<u32>((halves & 0x7fffu) * 0x2000u, u32(i32(f32(i32(upper)) * 0.125)));
  let sign = vec2<u32>(halves * 0x10000u, halves) & vec2<u32>(0x80000000u);
  // 2^-24 per unit of the fraction; times a power of two, which is exact.
  let subnormal = vec2<f32>(vec2<i32>(magnitude)) * bitcast<f32>(0x2d000000u);
  let bits = select(magnitude + vec2<u32>(0x38000000u), bitcast<vec2<u32>>(subnormal), magnitude < vec2<u32>(0x00800000u));
  return bitcast<vec2<f32>>(sign | bits);
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
