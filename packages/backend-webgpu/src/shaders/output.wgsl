// The end of every convolution: bias, residual, activation, rounding, and what is written.

@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read> slopes: array<f32>;
@group(0) @binding(6) var<storage, read> residual: array<u32>;
@group(0) @binding(7) var<storage, read_write> result: array<f32>;
@group(0) @binding(8) var<storage, read_write> image: array<u32>;

fn logistic(v: vec4<f32>) -> vec4<f32> {
  // exp overflows to infinity for v below -88, and v / infinity is 0 as it should be.
  return v / (vec4<f32>(1.0) + exp(-v));
}

// NaN stays NaN: no comparison with it is true, so select keeps the value.
fn activate(v: vec4<f32>, slope: vec4<f32>) -> vec4<f32> {
  let zero = vec4<f32>(0.0);
  if (PLAIN) {
    let most = select(v, vec4<f32>(6.0), vec4<bool>(call.activation == 2u) & (v > vec4<f32>(6.0)));
    return select(most, zero, vec4<bool>(call.activation != 0u) & (v <= zero));
  }
  switch (call.activation) {
    case 1u: {
      return select(v, zero, v <= zero);
    }
    case 2u: {
      return select(select(v, vec4<f32>(6.0), v > vec4<f32>(6.0)), zero, v <= zero);
    }
    case 3u: {
      return select(logistic(v), zero, v < vec4<f32>(-87.0));
    }
    case 4u, 5u: {
      return select(v, slope * v, v < zero);
    }
    default: {
      return v;
    }
  }
}

fn residual_of(pixel: u32, channel: vec4<u32>) -> vec4<f32> {
  if ((call.inputs & 2u) != 0u) {
    let at = vec4<u32>(pixel * call.out_channels) + channel;
    return bitcast<vec4<f32>>(vec4<u32>(residual[at.x], residual[at.y], residual[at.z], residual[at.w]));
  }
  // Blocks of the image are multiples of four channels: a quad is a word.
  let m = unpack_bytes(residual[pixel * call.residual_words + channel.x / 4u]);
  let blocks = (call.out_channels + call.residual_block - 1u) / call.residual_block;
  let scale = residual[call.residual_scales_at + pixel * blocks + channel.x / call.residual_block];
  return m * bitcast<f32>(scale);
}

// First output channel of a quad, and how many of its four channels there are.
fn channel_of(quad: u32) -> u32 {
  return (quad / call.group_quads) * call.group_outputs + (quad % call.group_quads) * 4u;
}

fn channels_in(quad: u32) -> u32 {
  return min(4u, call.group_outputs - (quad % call.group_quads) * 4u);
}

// What the epilogue needs to know of a quad of channels, the same for all of its pixels.
struct Quad {
  // Channels that do not exist stand for the first one.
  channel: vec4<u32>,
  exists: vec4<bool>,
  bias: vec4<f32>,
  slope: vec4<f32>,
}

fn quad_of(quad: u32) -> Quad {
  let q = min(quad, call.groups * call.group_quads - 1u);
  let lane = vec4<u32>(0u, 1u, 2u, 3u);
  let exists = (lane < vec4<u32>(channels_in(q))) & vec4<bool>(q == quad);
  let channel = vec4<u32>(channel_of(q)) + select(vec4<u32>(0u), lane, exists);
  var bias_of = vec4<f32>(0.0);
  if ((call.inputs & 1u) != 0u) {
    bias_of = vec4<f32>(bias[channel.x], bias[channel.y], bias[channel.z], bias[channel.w]);
  }
  var slope = vec4<f32>(call.alpha);
  if (!PLAIN && call.activation == 5u) {
    slope = vec4<f32>(slopes[channel.x], slopes[channel.y], slopes[channel.z], slopes[channel.w]);
  }
  return Quad(channel, exists, bias_of, slope);
}

// activation(sum + bias + residual) of one pixel and a quad of channels; 0 for pixels and channels that do not exist.
fn finish(pixel: u32, pixel_exists: bool, quad: Quad, sum: vec4<f32>) -> vec4<f32> {
  var y = sum + quad.bias;
  if (!PLAIN && (call.inputs & 6u) != 0u) {
    y += residual_of(min(pixel, call.pixels - 1u), quad.channel);
  }
  return select(vec4<f32>(0.0), activate(y, quad.slope), quad.exists & vec4<bool>(pixel_exists));
}

fn write_floats(pixel: u32, pixel_exists: bool, quad: Quad, v: vec4<f32>) {
  let at = vec4<u32>(pixel * call.out_channels) + quad.channel;
  let writes = quad.exists & vec4<bool>(pixel_exists);
  if (writes.x) {
    result[at.x] = v.x;
  }
  if (writes.y) {
    result[at.y] = v.y;
  }
  if (writes.z) {
    result[at.z] = v.z;
  }
  if (writes.w) {
    result[at.w] = v.w;
  }
}
