// dsDepthwiseConv2d with windows three pixels wide: four output pixels of a row by four channels per invocation. What lies under a row of the window is read once
// for all pixels that see it. Weights and scales lie as in depthwise.wgsl; blocks are multiples of four channels, or one block is all of them.

override FLOAT_INPUT: bool = false;
// Columns from one output pixel to the next, 1 or 2.
override STRIDE: u32 = 1u;

@group(0) @binding(1) var<storage, read> activations: array<u32>;

// x̂ of the quad's channels in a pixel, 0 outside of the picture.
fn read_quad(pixel: u32, inside: bool, q: u32, block: u32, channel: vec4<u32>) -> vec4<f32> {
  if (FLOAT_INPUT) {
    let at = vec4<u32>(pixel * call.in_channels) + channel;
    let x = vec4<u32>(activations[at.x], activations[at.y], activations[at.z], activations[at.w]);
    return select(vec4<f32>(0.0), bitcast<vec4<f32>>(x), inside);
  }
  let scale = select(0.0, bitcast<f32>(activations[call.scales_at + pixel * call.blocks + block]), inside);
  return unpack_bytes(activations[pixel * call.pixel_words + q]) * scale;
}

// The weights of the quad for a tap.
fn weights_of(tap: u32, q: u32) -> vec4<f32> {
  if (weight_bits() == 32u) {
    return bitcast<vec4<f32>>(weights[tap * call.group_quads + q]);
  }
  let bits = weight_bits();
  let bit = q * 4u * bits;
  let whole = weights[tap * call.tap_weight_words + bit / 128u][bit / 32u % 4u];
  let word = select(whole >> (bit % 32u), whole, bits == 8u);
  // The lowest channel comes to the top of a word by the largest factor.
  let factor = vec4<u32>(1u << (32u - bits), 1u << (32u - 2u * bits), 1u << (32u - 3u * bits), 1u << ((32u - 4u * bits) & 31u));
  let tops = (vec4<u32>(word) * factor) & vec4<u32>(0xffffffffu << (32u - bits));
  return vec4<f32>(bitcast<vec4<i32>>(tops)) * bitcast<f32>((95u + bits) << 23u);
}

// A row of the input under the window.
struct Line {
  first: u32,
  inside: bool,
}

fn column_of(line: Line, column: i32, q: u32, block: u32, channel: vec4<u32>) -> vec4<f32> {
  let inside = line.inside && column >= 0 && column < i32(call.in_width);
  return read_quad(select(0u, line.first + u32(column), inside), inside, q, block, channel);
}

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_id) local: vec3<u32>,
) {
  // Tiles of four pixels, row after row; those behind the last one compute it again.
  let tiles = (call.out_width + 3u) / 4u;
  let rows = call.batch * call.out_height;
  let tile = (group.z * groups.y + group.y) * WORKGROUP_Y + local.y;
  let row = min(tile / tiles, rows - 1u);
  let column = (tile - row * tiles) * 4u;
  let picture = row / call.out_height;
  let top = i32((row - picture * call.out_height) * call.stride_height) - call.pad_top;
  let left = i32(column * STRIDE) - call.pad_left;
  let quad = group.x * WORKGROUP_X + local.x;
  let q = min(quad, call.group_quads - 1u);
  let block = q * 4u / call.block;
  // Channels behind the last one read what the last one reads.
  let channel = min(vec4<u32>(q * 4u) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(call.out_channels - 1u));
  let in_height = call.in_height;
  let kernel_height = call.kernel_height;
  var y0 = vec4<f32>(0.0);
  var y1 = vec4<f32>(0.0);
  var y2 = vec4<f32>(0.0);
  var y3 = vec4<f32>(0.0);
  var kh = 0u;
  loop {
    let h = top + i32(kh * call.dilation_height);
    let inside = h >= 0 && h < i32(in_height);
    let line = Line(select(0u, (picture * in_height + u32(h)) * call.in_width, inside), inside);
    let u = weights_of(kh * 3u, q);
    let v = weights_of(kh * 3u + 1u, q);
    let w = weights_of(kh * 3u + 2u, q);
    var a = column_of(line, left, q, block, channel);
    var b = column_of(line, left + 1, q, block, channel);
    var c = column_of(line, left + 2, q, block, channel);
    y0 += a * u + b * v + c * w;
    var d = column_of(line, left + 3, q, block, channel);
    if (STRIDE == 1u) {
      y1 += b * u + c * v + d * w;
      a = column_of(line, left + 4, q, block, channel);
      y2 += c * u + d * v + a * w;
      b = column_of(line, left + 5, q, block, channel);
      y3 += d * u + a * v + b * w;
    } else {
      a = column_of(line, left + 4, q, block, channel);
      y1 += c * u + d * v + a * w;
      b = column_of(line, left + 5, q, block, channel);
      c = column_of(line, left + 6, q, block, channel);
      y2 += a * u + b * v + c * w;
      a = column_of(line, left + 7, q, block, channel);
      b = column_of(line, left + 8, q, block, channel);
      y3 += c * u + a * v + b * w;
    }
    kh++;
    continuing {
      break if kh >= kernel_height;
    }
  }
  if (weight_bits() != 32u) {
    let scale = scale_of(0u, 0u, q);
    y0 *= scale;
    y1 *= scale;
    y2 *= scale;
    y3 *= scale;
  }
  // Of tiles behind the last one nothing is written.
  let count = select(0u, call.out_width - min(column, call.out_width), tile / tiles < rows);
  write_tile(local.xy, row * call.out_width + column, count, quad, array<vec4<f32>, 4>(y0, y1, y2, y3));
}
