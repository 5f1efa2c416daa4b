// Four pixels by four channels of one invocation, finished and written. Where the result goes to a BFP grid, the invocations of a workgroup
// that hold a block's channels find its exponent together: 4 * WORKGROUP_X channels are a whole number of blocks then.

override WORKGROUP_X: u32 = 16u;
override WORKGROUP_Y: u32 = 4u;

var<workgroup> peaks: array<vec4<u32>, WORKGROUP_X * WORKGROUP_Y>;

fn peak_of(v: vec4<f32>) -> u32 {
  return max(max(magnitude(v.x), magnitude(v.y)), max(magnitude(v.z), magnitude(v.w)));
}

fn write_grid(pixel: u32, quad: u32, v: vec4<f32>, peak: u32) {
  if (pixel >= call.pixels || quad >= call.group_quads) {
    return;
  }
  let grid = grid_of(peak, call.out_bits);
  let m = mantissas_of(v, grid, call.out_bits);
  if ((call.writes & 1u) != 0u) {
    write_floats(pixel, quad, vec4<f32>(m) * bitcast<f32>(grid.scale));
  }
  if ((call.writes & 2u) != 0u) {
    image[pixel * call.out_words + quad] = pack_bytes(m);
    if ((quad * 4u) % call.out_block == 0u) {
      let blocks = (call.out_channels + call.out_block - 1u) / call.out_block;
      image[call.out_scales_at + pixel * blocks + quad * 4u / call.out_block] = grid.scale;
    }
  }
}

// Called by every invocation of the workgroup, whether its pixels and channels exist or not. Loops, because compilers copy the epilogue to each call.
fn write_tile(local: vec2<u32>, pixel: u32, quad: u32, sums: array<vec4<f32>, 4>) {
  var values = sums;
  var peak = vec4<u32>(0u);
  for (var n = 0u; n < 4u; n++) {
    let v = finish(pixel + n, quad, values[n]);
    values[n] = v;
    if (call.out_bits == 0u) {
      write_floats(pixel + n, quad, v);
    }
    peak[n] = peak_of(v);
  }
  if (call.out_bits == 0u) {
    return;
  }
  let row = local.y * WORKGROUP_X;
  peaks[row + local.x] = peak;
  workgroupBarrier();
  let width = min((call.out_block + 3u) / 4u, WORKGROUP_X);
  let start = row + local.x - local.x % width;
  for (var n = 0u; n < width; n++) {
    peak = max(peak, peaks[start + n]);
  }
  for (var n = 0u; n < 4u; n++) {
    write_grid(pixel + n, quad, values[n], peak[n]);
  }
}
