// Rounds rows of channels to block floating point, one block per invocation. With TO_IMAGE an image is written, else float32 over what was read.

struct Rows {
  // Number of blocks in all, and per group; channels of a row and of a group.
  blocks: u32,
  group_blocks: u32,
  channels: u32,
  depth: u32,
  groups: u32,
  block: u32,
  bits: u32,
  // Layout of the image.
  block_words: u32,
  group_words: u32,
  scales_at: u32,
}

override TO_IMAGE: bool = true;

@group(0) @binding(0) var<uniform> rows: Rows;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> result: array<f32>;
@group(0) @binding(3) var<storage, read_write> image: array<u32>;

fn element(at: u32) -> f32 {
  if (TO_IMAGE) {
    return x[at];
  }
  return result[at];
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let n = id.x + id.y * groups.x * 64u;
  if (n >= rows.blocks) {
    return;
  }
  let row = n / (rows.groups * rows.group_blocks);
  let group = n / rows.group_blocks % rows.groups;
  let block = n % rows.group_blocks;
  let start = block * rows.block;
  let count = min(rows.block, rows.depth - start);
  let first = row * rows.channels + group * rows.depth + start;
  var peak = 0u;
  for (var i = 0u; i < count; i++) {
    peak = max(peak, magnitude(element(first + i)));
  }
  let grid = grid_of(peak, rows.bits);
  if (!TO_IMAGE) {
    for (var i = 0u; i < count; i++) {
      result[first + i] = f32(mantissa_of(result[first + i], grid, rows.bits)) * bitcast<f32>(grid.scale);
    }
    return;
  }
  image[rows.scales_at + n] = grid.scale;
  let at = (row * rows.groups + group) * rows.group_words + block * rows.block_words;
  for (var word = 0u; word < (count + 3u) / 4u; word++) {
    var m = vec4<i32>(0);
    for (var r = 0u; r < min(4u, count - 4u * word); r++) {
      m[r] = mantissa_of(x[first + 4u * word + r], grid, rows.bits);
    }
    image[at + word] = pack_bytes(m);
  }
}
