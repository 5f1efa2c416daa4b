// dsDepthwiseConv2d, four pixels by four output channels per invocation. Weights: [tap][word], a word of 32 / weight_bits output channels from the lowest
// bits on; scales [quad] per output channel. With 32 bits weights are float32, and with FLOAT_INPUT so are activations.

override FLOAT_INPUT: bool = false;

@group(0) @binding(1) var<storage, read> activations: array<u32>;

// The weights of a quad of output channels.
fn weights_of(tap: u32, quad: u32) -> vec4<f32> {
  if (call.weight_bits == 32u) {
    return bitcast<vec4<f32>>(weights[tap * call.group_quads + quad]);
  }
  let bit = quad * 4u * call.weight_bits;
  let word = weights[tap * call.tap_weight_words + bit / 128u][bit / 32u % 4u] >> (bit % 32u);
  let unused = 32u - call.weight_bits;
  let at = vec4<u32>(0u, 1u, 2u, 3u) * call.weight_bits;
  return vec4<f32>((vec4<i32>(bitcast<i32>(word)) << (vec4<u32>(unused) - at)) >> vec4<u32>(unused));
}

// x̂ of four channels of an input pixel.
fn read_quad(pixel: u32, channel: vec4<u32>) -> vec4<f32> {
  if (FLOAT_INPUT) {
    let at = vec4<u32>(pixel * call.in_channels) + channel;
    return bitcast<vec4<f32>>(vec4<u32>(activations[at.x], activations[at.y], activations[at.z], activations[at.w]));
  }
  let block = channel / call.block;
  let within = channel % call.block;
  let word = pixel * call.pixel_words + block * call.block_words + within / 4u;
  let scale = call.scales_at + pixel * call.blocks + block;
  if (call.multiplier == 1u && call.block % 4u == 0u) {
    return unpack_bytes(activations[word.x]) * bitcast<f32>(activations[scale.x]);
  }
  let bytes = vec4<i32>(vec4<u32>(activations[word.x], activations[word.y], activations[word.z], activations[word.w]));
  let m = (bytes << (vec4<u32>(24u) - 8u * (within % 4u))) >> vec4<u32>(24u);
  let s = vec4<u32>(activations[scale.x], activations[scale.y], activations[scale.z], activations[scale.w]);
  return vec4<f32>(m) * bitcast<vec4<f32>>(s);
}

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_id) local: vec3<u32>,
) {
  let pixel = ((group.z * groups.y + group.y) * WORKGROUP_Y + local.y) * 4u;
  let quad = group.x * WORKGROUP_X + local.x;
  let q = min(quad, call.group_quads - 1u);
  let window = window_of(pixel);
  // Output channels behind the last one read what the last one reads.
  let channel = min(vec4<u32>(q * 4u) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(call.out_channels - 1u)) / call.multiplier;
  var y0 = vec4<f32>(0.0);
  var y1 = vec4<f32>(0.0);
  var y2 = vec4<f32>(0.0);
  var y3 = vec4<f32>(0.0);
  let kernel_height = call.kernel_height;
  var kh = 0u;
  var kw = 0u;
  loop {
    var taps = taps_of(window, kh, kw);
    let w = weights_of(kh * call.kernel_width + kw, q);
    // A loop, because compilers copy what is called to each call; sums move up by one in each turn, so that none is chosen by a number.
    var n = 0u;
    loop {
      // What is not finite must not get in through padding, hence no product with 0.
      let y = y0 + select(vec4<f32>(0.0), w * read_quad(taps.at.x, channel), taps.inside.x);
      y0 = y1;
      y1 = y2;
      y2 = y3;
      y3 = y;
      taps = Taps(taps.at.yzwx, taps.inside.yzwx);
      n++;
      continuing {
        break if n >= 4u;
      }
    }
    kw++;
    if (kw == call.kernel_width) {
      kw = 0u;
      kh++;
    }
    continuing {
      break if kh >= kernel_height;
    }
  }
  if (call.weight_bits != 32u) {
    let scale = scale_of(0u, 0u, q);
    y0 *= scale;
    y1 *= scale;
    y2 *= scale;
    y3 *= scale;
  }
  write_tile(local.xy, pixel, pixels_from(pixel), quad, array<vec4<f32>, 4>(y0, y1, y2, y3));
}
