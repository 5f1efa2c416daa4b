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
  let spot = spot_of(min(pixel, call.pixels - 1u));
  let window = window_from(spot);
  let next_window = window_from(after(after(after(after(spot)))));
  // Quads that do not exist compute the last one again.
  let quads = call.groups * call.group_quads;
  let q = min(quad, quads - 1u);
  let channel_group = q / call.group_quads;
  let bits = weight_bits();
  let turns = 8u / bits;
  let weight_mask = top_bits() & BYTE;
  let scale_step = call.groups * call.blocks;
  let kernel_height = call.kernel_height;
  let kernel_width = call.kernel_width;
  // 2^24 for the mantissa, 2^24 for the byte of weights: first the products become whole numbers again, then they are scaled.
  let unit = PER_BYTE * PER_BYTE * call.unit;
  var y0 = vec4<f32>(0.0);
  var y1 = vec4<f32>(0.0);
  var y2 = vec4<f32>(0.0);
  var y3 = vec4<f32>(0.0);
  var y4 = vec4<f32>(0.0);
  var y5 = vec4<f32>(0.0);
  var y6 = vec4<f32>(0.0);
  var y7 = vec4<f32>(0.0);
  // A scale per channel is a factor of the sum where there is nothing else in it.
  let scales_sum = call.scale_per_block == 0u && !shifts();
  // Loops end where they turn back: adapters that run on the CPU execute what follows a condition at the top once more than it holds.
  var tap = 0u;
  var kh = 0u;
  var kw = 0u;
  loop {
    let taps = taps_of(window, kh, kw);
    let next = taps_of(next_window, kh, kw);
    var block = 0u;
    loop {
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
      var words_left = min(call.block_words, call.group_words - block * call.block_words);
      let first_word = block * call.block_weight_words;
      let last_word = min(first_word + call.block_weight_words, call.tap_weight_words);
      var word = first_word;
      var weight_at = weight_index(tap, first_word, q);
      loop {
        let packed = weights[weight_at];
        // Each turn brings the next bits of every byte to its top, where the product's unit accounts for it.
        var factor = 1u << (8u - bits);
        loop {
          let moved = packed * factor;
          let a = words_at(at);
          let b = words_at(next_at);
          // A weight word may reach beyond the block, where its weights are zero; the sums of mantissas must not.
          let byte = select(BYTE, 0u, shifts() && words_left == 0u);
          words_left -= min(words_left, 1u);
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
          if (shifts()) {
            sum += m;
            next_sum += n;
          }
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
          if (shifts()) {
            sum += m;
            next_sum += n;
          }
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
          if (shifts()) {
            sum += m;
            next_sum += n;
          }
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
          if (shifts()) {
            sum += m;
            next_sum += n;
          }
          at += vec4<u32>(1u);
          next_at += vec4<u32>(1u);
          factor = factor >> bits;
          continuing {
            break if factor == 0u;
          }
        }
        weight_at += quads;
        word++;
        continuing {
          break if word >= last_word;
        }
      }
      let from_scale = call.scales_at + channel_group * call.blocks + block;
      let s = select(vec4<f32>(0.0), bitcast<vec4<f32>>(words_at(taps.at * scale_step + from_scale)), taps.inside);
      let t = select(vec4<f32>(0.0), bitcast<vec4<f32>>(words_at(next.at * scale_step + from_scale)), next.inside);
      var scale = vec4<f32>(1.0);
      if (!scales_sum) {
        scale = scale_of(tap, block, q);
      }
      y0 += (s.x * scale) * (p0 * unit);
      y1 += (s.y * scale) * (p1 * unit);
      y2 += (s.z * scale) * (p2 * unit);
      y3 += (s.w * scale) * (p3 * unit);
      y4 += (t.x * scale) * (p4 * unit);
      y5 += (t.y * scale) * (p5 * unit);
      y6 += (t.z * scale) * (p6 * unit);
      y7 += (t.w * scale) * (p7 * unit);
      if (shifts()) {
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
      block++;
      continuing {
        break if block >= call.blocks;
      }
    }
    tap++;
    kw++;
    if (kw == kernel_width) {
      kw = 0u;
      kh++;
    }
    continuing {
      break if kh >= kernel_height;
    }
  }
  if (scales_sum) {
    let scale = scale_of(0u, 0u, q);
    y0 *= scale;
    y1 *= scale;
    y2 *= scale;
    y3 *= scale;
    y4 *= scale;
    y5 *= scale;
    y6 *= scale;
    y7 *= scale;
  }
  var tile = array<vec4<f32>, 4>(y0, y1, y2, y3);
  var half = 0u;
  loop {
    let first = pixel + 4u * half;
    write_tile(local.xy, first, pixels_from(first), quad, tile);
    tile = array<vec4<f32>, 4>(y4, y5, y6, y7);
    half++;
    if (rounds()) {
      // The epilogue's workgroup memory is used again.
      workgroupBarrier();
    }
    continuing {
      break if half >= 2u;
    }
  }
}
