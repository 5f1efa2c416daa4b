// dsconv2d, eight pixels by four channels per invocation, everything in registers, integers as float32. For adapters that run on the CPU: there is neither workgroup
// memory nor a barrier before the epilogue; bytes are widened once for all products they take part in; and numbers are moved by multiplying, because shifts
// are done one lane after the other. All sums of a block are whole numbers of at most 24 bits times a power of two, so that float32 holds them exactly (NUMERICS §4).

// What is in the uppermost bits of a word counts 2^24 for each unit of a byte.
const BYTE = 0xff000000u;
const PER_BYTE = 5.9604644775390625e-8;

@group(0) @binding(1) var<storage, read> activations: array<u32>;

fn words_at(at: vec4<u32>) -> vec4<u32> {
  return vec4<u32>(activations[at.x], activations[at.y], activations[at.z], activations[at.w]);
}

// The signed number in the uppermost bits of words, as it stands there.
fn top_of(words: vec4<u32>, bits: u32) -> vec4<f32> {
  return vec4<f32>(bitcast<vec4<i32>>(words & vec4<u32>(bits)));
}

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_id) local: vec3<u32>,
) {
  let pixel = ((group.z * groups.y + group.y) * WORKGROUP_Y + local.y) * 8u;
  let quad = group.x * WORKGROUP_X + local.x;
  let window = window_of(pixel);
  let next_window = window_of(pixel + 4u);
  // Quads that do not exist compute the last one again.
  let q = min(quad, call.groups * call.group_quads - 1u);
  let channel_group = q / call.group_quads;
  let turns = 8u / call.weight_bits;
  let weight_mask = top_bits() & BYTE;
  var y0 = vec4<f32>(0.0);
  var y1 = vec4<f32>(0.0);
  var y2 = vec4<f32>(0.0);
  var y3 = vec4<f32>(0.0);
  var y4 = vec4<f32>(0.0);
  var y5 = vec4<f32>(0.0);
  var y6 = vec4<f32>(0.0);
  var y7 = vec4<f32>(0.0);
  for (var tap = 0u; tap < call.kernel_height * call.kernel_width; tap++) {
    let taps = taps_of(window, tap / call.kernel_width, tap % call.kernel_width);
    let next = taps_of(next_window, tap / call.kernel_width, tap % call.kernel_width);
    for (var block = 0u; block < call.blocks; block++) {
      var p0 = vec4<f32>(0.0);
      var p1 = vec4<f32>(0.0);
      var p2 = vec4<f32>(0.0);
      var p3 = vec4<f32>(0.0);
      var p4 = vec4<f32>(0.0);
      var p5 = vec4<f32>(0.0);
      var p6 = vec4<f32>(0.0);
      var p7 = vec4<f32>(0.0);
      var sum = vec4<f32>(0.0);
      var next_sum = vec4<f32>(0.0);
      let start = channel_group * call.group_words + block * call.block_words;
      var at = taps.at * call.pixel_words + start;
      var next_at = next.at * call.pixel_words + start;
      let block_words = min(call.block_words, call.group_words - block * call.block_words);
      let first_word = block * call.block_weight_words;
      let last_word = min(first_word + call.block_weight_words, call.tap_weight_words);
      for (var word = first_word; word < last_word; word++) {
        let packed = weights[weight_index(tap, word, q)];
        // Each turn brings the next bits of every byte to its top, where the product's unit accounts for it.
        var factor = 1u << (8u - call.weight_bits);
        for (var turn = 0u; turn < turns; turn++) {
          let moved = packed * factor;
          factor = factor >> call.weight_bits;
          let a = words_at(at);
          let b = words_at(next_at);
          at += vec4<u32>(1u);
          next_at += vec4<u32>(1u);
          // A weight word may reach beyond the block, where its weights are zero; the sums of mantissas must not.
          let byte = select(0u, BYTE, turn + (word - first_word) * turns < block_words);
          var w: vec4<f32>;
          var m: vec4<f32>;
          var n: vec4<f32>;
          // Depth 0 of the word.
          w = top_of(moved * 16777216u, weight_mask);
          m = top_of(a * 16777216u, byte);
          n = top_of(b * 16777216u, byte);
          p0 += m.x * w;
          p1 += m.y * w;
          p2 += m.z * w;
          p3 += m.w * w;
          p4 += n.x * w;
          p5 += n.y * w;
          p6 += n.z * w;
          p7 += n.w * w;
          sum += m;
          next_sum += n;
          // Depth 1 of the word.
          w = top_of(moved * 65536u, weight_mask);
          m = top_of(a * 65536u, byte);
          n = top_of(b * 65536u, byte);
          p0 += m.x * w;
          p1 += m.y * w;
          p2 += m.z * w;
          p3 += m.w * w;
          p4 += n.x * w;
          p5 += n.y * w;
          p6 += n.z * w;
          p7 += n.w * w;
          sum += m;
          next_sum += n;
          // Depth 2 of the word.
          w = top_of(moved * 256u, weight_mask);
          m = top_of(a * 256u, byte);
          n = top_of(b * 256u, byte);
          p0 += m.x * w;
          p1 += m.y * w;
          p2 += m.z * w;
          p3 += m.w * w;
          p4 += n.x * w;
          p5 += n.y * w;
          p6 += n.z * w;
          p7 += n.w * w;
          sum += m;
          next_sum += n;
          // Depth 3 of the word.
          w = top_of(moved, weight_mask);
          m = top_of(a, byte);
          n = top_of(b, byte);
          p0 += m.x * w;
          p1 += m.y * w;
          p2 += m.z * w;
          p3 += m.w * w;
          p4 += n.x * w;
          p5 += n.y * w;
          p6 += n.z * w;
          p7 += n.w * w;
          sum += m;
          next_sum += n;
        }
      }
      let from_scale = call.scales_at + channel_group * call.blocks + block;
      let step = call.groups * call.blocks;
      let s = select(vec4<f32>(0.0), bitcast<vec4<f32>>(words_at(taps.at * step + from_scale)), taps.inside);
      let t = select(vec4<f32>(0.0), bitcast<vec4<f32>>(words_at(next.at * step + from_scale)), next.inside);
      let scale = scale_of(tap, block, q);
      // 2^24 for the mantissa, 2^24 for the byte of weights: first the products become whole numbers again, then they are scaled.
      let unit = PER_BYTE * PER_BYTE * call.unit;
      y0 += (s.x * scale) * (p0 * unit);
      y1 += (s.y * scale) * (p1 * unit);
      y2 += (s.z * scale) * (p2 * unit);
      y3 += (s.w * scale) * (p3 * unit);
      y4 += (t.x * scale) * (p4 * unit);
      y5 += (t.y * scale) * (p5 * unit);
      y6 += (t.z * scale) * (p6 * unit);
      y7 += (t.w * scale) * (p7 * unit);
      if (call.shift_at != 0u) {
        let shift = shift_of(tap, block, q);
        let sm = s * (sum * PER_BYTE);
        let tm = t * (next_sum * PER_BYTE);
        y0 += sm.x * shift;
        y1 += sm.y * shift;
        y2 += sm.z * shift;
        y3 += sm.w * shift;
        y4 += tm.x * shift;
        y5 += tm.y * shift;
        y6 += tm.z * shift;
        y7 += tm.w * shift;
      }
    }
  }
  var tile = array<vec4<f32>, 4>(y0, y1, y2, y3);
  for (var half = 0u; half < 2u; half++) {
    write_tile(local.xy, pixel + 4u * half, quad, tile);
    tile = array<vec4<f32>, 4>(y4, y5, y6, y7);
    // The epilogue's workgroup memory is used again.
    workgroupBarrier();
  }
}
