// Convolution with float activations, four pixels by four channels per invocation. Weights are a filter's integers with their scales (weight-only
// quantization), or with FLOAT_WEIGHTS float32 [tap][depth][group][quad].

override FLOAT_WEIGHTS: bool = false;

@group(0) @binding(1) var<storage, read> activations: array<u32>;

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_id) local: vec3<u32>,
) {
  let pixel = ((group.z * groups.y + group.y) * WORKGROUP_Y + local.y) * 4u;
  let quad = group.x * WORKGROUP_X + local.x;
  let window = window_of(pixel);
  let quads = call.groups * call.group_quads;
  let q = min(quad, quads - 1u);
  let first_channel = q / call.group_quads * call.depth;
  let per_word = 32u / call.weight_bits;
  var y0 = vec4<f32>(0.0);
  var y1 = vec4<f32>(0.0);
  var y2 = vec4<f32>(0.0);
  var y3 = vec4<f32>(0.0);
  for (var tap = 0u; tap < call.kernel_height * call.kernel_width; tap++) {
    let taps = taps_of(window, tap / call.kernel_width, tap % call.kernel_width);
    let first = taps.at * call.in_channels + first_channel;
    for (var block = 0u; block < call.blocks; block++) {
      var p0 = vec4<f32>(0.0);
      var p1 = vec4<f32>(0.0);
      var p2 = vec4<f32>(0.0);
      var p3 = vec4<f32>(0.0);
      let start = block * call.block;
      let count = min(call.block, call.depth - start);
      for (var i = 0u; i < count; i++) {
        var w = vec4<f32>(0.0);
        if (FLOAT_WEIGHTS) {
          w = bitcast<vec4<f32>>(weights[(tap * call.depth + start + i) * quads + q]);
        } else {
          let r = i % per_word;
          let left = 32u - call.weight_bits - (8u * (r % 4u) + call.weight_bits * (r / 4u));
          let word = weights[weight_index(tap, block * call.block_weight_words + i / per_word, q)];
          w = vec4<f32>((vec4<i32>(word) << vec4<u32>(left)) >> vec4<u32>(32u - call.weight_bits));
        }
        let at = first + start + i;
        // What is not finite must not get in through padding, hence no product with 0.
        let x = select(
          vec4<f32>(0.0),
          bitcast<vec4<f32>>(vec4<u32>(activations[at.x], activations[at.y], activations[at.z], activations[at.w])),
          taps.inside,
        );
        p0 += x.x * w;
        p1 += x.y * w;
        p2 += x.z * w;
        p3 += x.w * w;
      }
      var scale = vec4<f32>(1.0);
      if (!FLOAT_WEIGHTS) {
        scale = scale_of(tap, block, q);
      }
      y0 += p0 * scale;
      y1 += p1 * scale;
      y2 += p2 * scale;
      y3 += p3 * scale;
    }
  }
  write_tile(local.xy, pixel, pixels_from(pixel), quad, array<vec4<f32>, 4>(y0, y1, y2, y3));
}
