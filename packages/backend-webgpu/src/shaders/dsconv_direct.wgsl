// dsconv2d, four pixels by four channels per invocation, everything in registers. For adapters whose workgroup memory and barriers are slow,
// such as those that run on the CPU.

@group(0) @binding(1) var<storage, read> activations: array<u32>;

fn dots(a: u32, w: vec4<u32>) -> vec4<i32> {
  return vec4<i32>(dot_bytes(a, w.x), dot_bytes(a, w.y), dot_bytes(a, w.z), dot_bytes(a, w.w));
}

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_id) local: vec3<u32>,
) {
  let tile = ((group.z * groups.y) + group.y) * WORKGROUP_Y + local.y;
  let pixel = tile * 4u;
  let quad = group.x * WORKGROUP_X + local.x;
  let window = window_of(pixel);
  // Quads that do not exist compute the last one again.
  let q = min(quad, call.groups * call.group_quads - 1u);
  let channel_group = q / call.group_quads;
  let turns = 8u / call.weight_bits;
  let mask = vec4<u32>(top_bits());
  var y0 = vec4<f32>(0.0);
  var y1 = vec4<f32>(0.0);
  var y2 = vec4<f32>(0.0);
  var y3 = vec4<f32>(0.0);
  for (var tap = 0u; tap < call.kernel_height * call.kernel_width; tap++) {
    let taps = taps_of(window, tap / call.kernel_width, tap % call.kernel_width);
    let first = taps.at * call.pixel_words + channel_group * call.group_words;
    let first_scale = call.scales_at + (taps.at * call.groups + channel_group) * call.blocks;
    for (var block = 0u; block < call.blocks; block++) {
      var p0 = vec4<i32>(0);
      var p1 = vec4<i32>(0);
      var p2 = vec4<i32>(0);
      var p3 = vec4<i32>(0);
      var sum = vec4<i32>(0);
      var at = first + block * call.block_words;
      let first_word = block * call.block_weight_words;
      let last_word = min(first_word + call.block_weight_words, call.tap_weight_words);
      for (var word = first_word; word < last_word; word++) {
        let w = weights[weight_index(tap, word, q)];
        // Each turn brings the next bits of every byte to its top, where the product's unit accounts for it. Multiplying moves them, since
        // adapters that run on the CPU do so four numbers at a time, and shift one after the other.
        var factor = 1u << (8u - call.weight_bits);
        for (var turn = 0u; turn < turns; turn++) {
          let top = (w * factor) & mask;
          factor = factor >> call.weight_bits;
          let a = vec4<u32>(activations[at.x], activations[at.y], activations[at.z], activations[at.w]);
          p0 += dots(a.x, top);
          p1 += dots(a.y, top);
          p2 += dots(a.z, top);
          p3 += dots(a.w, top);
          if (call.shift_at != 0u) {
            // Words beyond the block would count here, which weights of zero hide elsewhere.
            if (turn + word * turns < block_end(block)) {
              sum += dots_with_one(a);
            }
          }
          at += vec4<u32>(1u);
        }
      }
      let s = select(vec4<f32>(0.0), activation_scales(first_scale + block), taps.inside);
      let scale = scale_of(tap, block, q) * call.unit;
      y0 += (s.x * scale) * vec4<f32>(p0);
      y1 += (s.y * scale) * vec4<f32>(p1);
      y2 += (s.z * scale) * vec4<f32>(p2);
      y3 += (s.w * scale) * vec4<f32>(p3);
      if (call.shift_at != 0u) {
        let shift = shift_of(tap, block, q);
        let t = s * vec4<f32>(sum);
        y0 += t.x * shift;
        y1 += t.y * shift;
        y2 += t.z * shift;
        y3 += t.w * shift;
      }
    }
  }
  write_tile(local.xy, pixel, quad, array<vec4<f32>, 4>(y0, y1, y2, y3));
}

// The sums of the mantissas in a word, for four pixels.
fn dots_with_one(a: vec4<u32>) -> vec4<i32> {
  let one = 0x01010101u;
  return vec4<i32>(dot_bytes(a.x, one), dot_bytes(a.y, one), dot_bytes(a.z, one), dot_bytes(a.w, one));
}

// Where the words of a block end, counted in activation words as weight words count them.
fn block_end(block: u32) -> u32 {
  return block * call.block_weight_words * 8u / call.weight_bits
    + min(call.block_words, call.group_words - block * call.block_words);
}

fn activation_scales(at: vec4<u32>) -> vec4<f32> {
  return bitcast<vec4<f32>>(vec4<u32>(activations[at.x], activations[at.y], activations[at.z], activations[at.w]));
}
