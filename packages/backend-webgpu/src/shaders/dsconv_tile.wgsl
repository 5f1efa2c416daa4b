// dsconv2d, a workgroup computes 4 * WORKGROUP_Y pixels by 4 * WORKGROUP_X channels of one group. Activations and packed weights of a piece of a block go
// through workgroup memory, so that each is read from the buffer once per workgroup; weights are unpacked in registers.

// Activation words of a piece: 64 depths.
const PIECE = 16u;

@group(0) @binding(1) var<storage, read> activations: array<u32>;

// [word][row of pixels]: the four pixels of an invocation side by side.
var<workgroup> tile_a: array<vec4<u32>, PIECE * WORKGROUP_Y>;
// [word][quad].
var<workgroup> tile_w: array<vec4<u32>, PIECE * WORKGROUP_X>;

fn dots(a: u32, w: vec4<u32>) -> vec4<i32> {
  return vec4<i32>(dot_bytes(a, w.x), dot_bytes(a, w.y), dot_bytes(a, w.z), dot_bytes(a, w.w));
}

fn dots_with_one(a: vec4<u32>) -> vec4<i32> {
  let one = 0x01010101u;
  return vec4<i32>(dot_bytes(a.x, one), dot_bytes(a.y, one), dot_bytes(a.z, one), dot_bytes(a.w, one));
}

fn activation_scales(at: vec4<u32>) -> vec4<f32> {
  return bitcast<vec4<f32>>(vec4<u32>(activations[at.x], activations[at.y], activations[at.z], activations[at.w]));
}

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(local_invocation_index) index: u32,
) {
  // Workgroups do not cross groups of the convolution: x counts the tiles of one group after those of the other.
  let tiles_x = (call.group_quads + WORKGROUP_X - 1u) / WORKGROUP_X;
  let channel_group = group.x / tiles_x;
  let tile_x = (group.x % tiles_x) * WORKGROUP_X;
  let quad_in_group = tile_x + local.x;
  let q = channel_group * call.group_quads + min(quad_in_group, call.group_quads - 1u);
  let first_pixel = (group.z * groups.y + group.y) * WORKGROUP_Y * 4u;
  let pixel = first_pixel + local.y * 4u;
  let window = window_of(pixel);
  let threads = WORKGROUP_X * WORKGROUP_Y;
  let bits = call.weight_bits;
  let turns = 8u / bits;
  let mask = vec4<u32>(top_bits());
  var y0 = vec4<f32>(0.0);
  var y1 = vec4<f32>(0.0);
  var y2 = vec4<f32>(0.0);
  var y3 = vec4<f32>(0.0);
  for (var tap = 0u; tap < call.kernel_height * call.kernel_width; tap++) {
    let kh = tap / call.kernel_width;
    let kw = tap % call.kernel_width;
    let taps = taps_of(window, kh, kw);
    let first_scale = call.scales_at + (taps.at * call.groups + channel_group) * call.blocks;
    for (var block = 0u; block < call.blocks; block++) {
      var p0 = vec4<i32>(0);
      var p1 = vec4<i32>(0);
      var p2 = vec4<i32>(0);
      var p3 = vec4<i32>(0);
      var sum = vec4<i32>(0);
      let block_words = min(call.block_words, call.group_words - block * call.block_words);
      for (var piece = 0u; piece < block_words; piece += PIECE) {
        let words = min(PIECE, block_words - piece);
        let weight_words = (words * bits + 7u) / 8u;
        workgroupBarrier();
        for (var n = index; n < PIECE * WORKGROUP_Y; n += threads) {
          let word = n % PIECE;
          let row = n / PIECE;
          var a = vec4<u32>(0u);
          if (word < words) {
            let source = taps_of(window_of(first_pixel + row * 4u), kh, kw).at * call.pixel_words
              + channel_group * call.group_words + block * call.block_words + piece + word;
            a = vec4<u32>(activations[source.x], activations[source.y], activations[source.z], activations[source.w]);
          }
          tile_a[word * WORKGROUP_Y + row] = a;
        }
        for (var n = index; n < weight_words * WORKGROUP_X; n += threads) {
          let word = block * call.block_weight_words + piece * bits / 8u + n / WORKGROUP_X;
          let column = min(tile_x + n % WORKGROUP_X, call.group_quads - 1u);
          tile_w[n] = weights[weight_index(tap, word, channel_group * call.group_quads + column)];
        }
        workgroupBarrier();
        for (var word = 0u; word < weight_words; word++) {
          var w = tile_w[word * WORKGROUP_X + local.x];
          // Each turn takes what is in the upper bits of the bytes; the next bits follow from below.
          for (var turn = 0u; turn < turns; turn++) {
            let top = (w << vec4<u32>(8u - bits)) & mask;
            w = w >> vec4<u32>(bits & 7u);
            // Words behind the block are zero in the tile.
            let a = tile_a[(word * turns + turn) * WORKGROUP_Y + local.y];
            p0 += dots(a.x, top);
            p1 += dots(a.y, top);
            p2 += dots(a.z, top);
            p3 += dots(a.w, top);
            if (call.shift_at != 0u) {
              sum += dots_with_one(a);
            }
          }
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
  // A quad that does not exist in this group must not be taken for one of the next.
  let exists = quad_in_group < call.group_quads;
  let quad = select(call.groups * call.group_quads, channel_group * call.group_quads + quad_in_group, exists);
  write_tile(local.xy, pixel, pixels_from(pixel), quad, array<vec4<f32>, 4>(y0, y1, y2, y3));
}
