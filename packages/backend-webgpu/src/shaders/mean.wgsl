// Means over the pixels of [batch, pixels, channels], one output per invocation.

struct Mean {
  count: u32,
  pixels: u32,
  channels: u32,
}

@group(0) @binding(0) var<uniform> step: Mean;

fn compute(n: u32) {
  let first = n / step.channels * step.pixels * step.channels + n % step.channels;
  var sum = 0.0;
  for (var p = 0u; p < step.pixels; p++) {
    sum += a[first + p * step.channels];
  }
  y[n] = sum / f32(step.pixels);
}
