// Four pixels by four channels of one invocation, finished and written. Where the result goes to a BFP grid, the invocations of a workgroup
// that hold a block's channels find its exponent together: 4 * WORKGROUP_X channels are a whole number of blocks then.

override WORKGROUP_X: u32 = 16u;
override WORKGROUP_Y: u32 = 4u;

var<workgroup> peaks: array<vec4<u32>, WORKGROUP_X * WORKGROUP_Y>;

fn peak_of(v: vec4<f32>) -> u32 {
  return max(max(magnitude(v.x), magnitude(v.y)), max(magnitude(v.z), magnitude(v.w)));
}

fn write_grid(pixel: u32, quad: u32, known: Quad, v: vec4<f32>, peak: u32) {
  let grid = grid_of(peak, call.out_bits);
  let m = mantissas_of(v, grid, call.out_bits);
  if ((writes() & 1u) != 0u) {
    write_floats(pixel, true, known, vec4<f32>(m) * bitcast<f32>(grid.scale));
  }
  if ((writes() & 2u) != 0u) {
    image[pixel * call.out_words + quad] = pack_bytes(m);
    let block = quad * 4u / call.out_block;
    if (block * call.out_block == quad * 4u) {
      let blocks = (call.out_channels + call.out_block - 1u) / call.out_block;
      image[call.out_scales_at + pixel * blocks + block] = grid.scale;
    }
  }
}

// Four sums of `count` pixels side by side, that many of which exist, and a quad of channels, which may not exist either. Called by every invocation of the
// workgroup. Loops, because compilers copy the epilogue to each call; sums move up by one in each turn, so that none is chosen by a number.
fn write_tile(local: vec2<u32>, pixel: u32, count: u32, quad: u32, sums: array<vec4<f32>, 4>) {
  let known = quad_of(quad);
  var a = sums[0];
  var b = sums[1];
  var c = sums[2];
  var d = sums[3];
  var peak = vec4<u32>(0u);
  var n = 0u;
  loop {
    let v = finish(pixel + n, n < count, known, a);
    if (!rounds()) {
      write_floats(pixel + n, n < count, known, v);
    }
    a = b;
    b = c;
    c = d;
    d = v;
    peak = vec4<u32>(peak.yzw, peak_of(v));
    continuing {
      n++;
      break if n >= 4u;
    }
  }
  if (!rounds()) {
    return;
  }
  let row = local.y * WORKGROUP_X;
  peaks[row + local.x] = peak;
  workgroupBarrier();
  let width = min((call.out_block + 3u) / 4u, WORKGROUP_X);
  let start = row + local.x - local.x % width;
  n = 0u;
  loop {
    peak = max(peak, peaks[start + n]);
    continuing {
      n++;
      break if n >= width;
    }
  }
  let quad_exists = quad < call.group_quads;
  n = 0u;
  loop {
    if (quad_exists && n < count) {
      write_grid(pixel + n, quad, known, a, peak.x);
    }
    a = b;
    b = c;
    c = d;
    peak = peak.yzww;
    continuing {
      n++;
      break if n >= 4u;
    }
  }
}

// How many of four pixels in the order of the output exist.
fn pixels_from(pixel: u32) -> u32 {
  return call.pixels - min(pixel, call.pixels);
}
