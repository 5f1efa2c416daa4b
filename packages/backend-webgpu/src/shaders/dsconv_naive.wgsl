// dsconv2d as NUMERICS §4 writes it: one output per invocation, one weight and one mantissa after the other. What the fast shaders are compared with.

@group(0) @binding(1) var<storage, read> activations: array<u32>;

fn mantissa(word: u32, r: u32) -> i32 {
  return (bitcast<i32>(word) << (24u - 8u * r)) >> 24u;
}

fn weight(word: u32, r: u32) -> i32 {
  let bit = 8u * (r % 4u) + call.weight_bits * (r / 4u);
  return (bitcast<i32>(word) << (32u - call.weight_bits - bit)) >> (32u - call.weight_bits);
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let quads = call.groups * call.group_quads;
  let at = id.x + id.y * groups.x * 64u;
  let pixel = at / (4u * quads);
  let quad = (at % (4u * quads)) / 4u;
  let lane = at % 4u;
  if (pixel >= call.pixels || lane >= channels_in(quad)) {
    return;
  }
  let group = quad / call.group_quads;
  let picture = pixel / (call.out_width * call.out_height);
  let row = i32((pixel / call.out_width) % call.out_height * call.stride_height) - call.pad_top;
  let column = i32(pixel % call.out_width * call.stride_width) - call.pad_left;
  let per_word = 32u / call.weight_bits;
  var y = 0.0;
  for (var tap = 0u; tap < call.kernel_height * call.kernel_width; tap++) {
    let h = row + i32(tap / call.kernel_width * call.dilation_height);
    let w = column + i32(tap % call.kernel_width * call.dilation_width);
    if (h < 0 || w < 0 || h >= i32(call.in_height) || w >= i32(call.in_width)) {
      continue;
    }
    let input = (picture * call.in_height + u32(h)) * call.in_width + u32(w);
    for (var block = 0u; block < call.blocks; block++) {
      var product = 0;
      var total = 0;
      for (var i = 0u; i < min(call.block, call.depth - block * call.block); i++) {
        let m = mantissa(
          activations[input * call.pixel_words + group * call.group_words + block * call.block_words + i / 4u],
          i % 4u,
        );
        let word = weights[weight_index(tap, block * call.block_weight_words + i / per_word, quad)][lane];
        product += m * weight(word, i % per_word);
        total += m;
      }
      let s = bitcast<f32>(activations[call.scales_at + (input * call.groups + group) * call.blocks + block]);
      y += s * (scale_of(tap, block, quad)[lane] * f32(product));
      if (call.shift_at != 0u) {
        y += s * (shift_of(tap, block, quad)[lane] * f32(total));
      }
    }
  }
  var sum = vec4<f32>(0.0);
  sum[lane] = y;
  let v = finish(pixel, true, quad_of(quad), sum);
  result[pixel * call.out_channels + channel_of(quad) + lane] = v[lane];
}
