// The end of every convolution: bias, residual, activation, rounding, and what is written.

@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read> slopes: array<f32>;
@group(0) @binding(6) var<storage, read> residual: array<u32>;
@group(0) @binding(7) var<storage, read_write> result: array<f32>;
@group(0) @binding(8) var<storage, read_write> image: array<u32>;

fn logistic(v: f32) -> f32 {
  // exp overflows to infinity for v below -88, and v / infinity is 0 as it should be.
  return v / (1.0 + exp(-v));
}

// NaN stays NaN: no comparison with it is true, so select keeps the value.
fn activate(v: f32, slope: f32) -> f32 {
  switch (call.activation) {
    case 1u: {
      return select(v, 0.0, v <= 0.0);
    }
    case 2u: {
      return select(select(v, 6.0, v > 6.0), 0.0, v <= 0.0);
    }
    case 3u: {
      return select(logistic(v), 0.0, v < -87.0);
    }
    case 4u, 5u: {
      return select(v, slope * v, v < 0.0);
    }
    default: {
      return v;
    }
  }
}

fn residual_at(pixel: u32, channel: u32) -> f32 {
  if ((call.inputs & 2u) != 0u) {
    return bitcast<f32>(residual[pixel * call.out_channels + channel]);
  }
  // The image's blocks are multiples of four channels, so that words follow channels.
  let word = bitcast<i32>(residual[pixel * call.residual_words + channel / 4u]);
  let m = (word << (24u - 8u * (channel % 4u))) >> 24u;
  let blocks = (call.out_channels + call.residual_block - 1u) / call.residual_block;
  let scale = residual[call.residual_scales_at + pixel * blocks + channel / call.residual_block];
  return f32(m) * bitcast<f32>(scale);
}

// First output channel of a quad, and how many of its four channels there are.
fn channel_of(quad: u32) -> u32 {
  return (quad / call.group_quads) * call.group_outputs + (quad % call.group_quads) * 4u;
}

fn channels_in(quad: u32) -> u32 {
  return min(4u, call.group_outputs - (quad % call.group_quads) * 4u);
}

// activation(sum + bias + residual) of one pixel and a quad of channels; 0 for channels that do not exist.
fn finish(pixel: u32, quad: u32, sum: vec4<f32>) -> vec4<f32> {
  var v = vec4<f32>(0.0);
  if (pixel >= call.pixels || quad >= call.groups * call.group_quads) {
    return v;
  }
  let first = channel_of(quad);
  let count = channels_in(quad);
  for (var n = 0u; n < count; n++) {
    let channel = first + n;
    var y = sum[n];
    if ((call.inputs & 1u) != 0u) {
      y += bias[channel];
    }
    if ((call.inputs & 6u) != 0u) {
      y += residual_at(pixel, channel);
    }
    var slope = call.alpha;
    if (call.activation == 5u) {
      slope = slopes[channel];
    }
    v[n] = activate(y, slope);
  }
  return v;
}

fn write_floats(pixel: u32, quad: u32, v: vec4<f32>) {
  if (pixel >= call.pixels || quad >= call.groups * call.group_quads) {
    return;
  }
  let first = pixel * call.out_channels + channel_of(quad);
  let count = channels_in(quad);
  for (var n = 0u; n < count; n++) {
    result[first + n] = v[n];
  }
}
