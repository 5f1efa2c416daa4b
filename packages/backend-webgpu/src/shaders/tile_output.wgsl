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

// Called by every invocation of the workgroup, whether its pixels and channels exist or not.
fn write_tile(local: vec2<u32>, pixel: u32, quad: u32, y0: vec4<f32>, y1: vec4<f32>, y2: vec4<f32>, y3: vec4<f32>) {
  let v0 = finish(pixel, quad, y0);
  let v1 = finish(pixel + 1u, quad, y1);
  let v2 = finish(pixel + 2u, quad, y2);
  let v3 = finish(pixel + 3u, quad, y3);
  if (call.out_bits == 0u) {
    write_floats(pixel, quad, v0);
    write_floats(pixel + 1u, quad, v1);
    write_floats(pixel + 2u, quad, v2);
    write_floats(pixel + 3u, quad, v3);
    return;
  }
  let row = local.y * WORKGROUP_X;
  peaks[row + local.x] = vec4<u32>(peak_of(v0), peak_of(v1), peak_of(v2), peak_of(v3));
  workgroupBarrier();
  let width = min((call.out_block + 3u) / 4u, WORKGROUP_X);
  let start = local.x - local.x % width;
  var peak = vec4<u32>(0u);
  for (var n = 0u; n < width; n++) {
    peak = max(peak, peaks[row + start + n]);
  }
  write_grid(pixel, quad, v0, peak.x);
  write_grid(pixel + 1u, quad, v1, peak.y);
  write_grid(pixel + 2u, quad, v2, peak.z);
  write_grid(pixel + 3u, quad, v3, peak.w);
}
