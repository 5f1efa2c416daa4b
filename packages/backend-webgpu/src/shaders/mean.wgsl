// Means over the pixels of [batch, pixels, channels], one output per invocation.

struct Mean {
  count: u32,
  pixels: u32,
  channels: u32,
}

@group(0) @binding(0) var<uniform> step: Mean;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let n = number_of(id, groups);
  if (n >= step.count) {
    return;
  }
  let first = n / step.channels * step.pixels * step.channels + n % step.channels;
  var sum = 0.0;
  for (var p = 0u; p < step.pixels; p++) {
    sum += a[first + p * step.channels];
  }
  y[n] = sum / f32(step.pixels);
}
