// A constant border around height and width of [batch, height, width, channels], one output per invocation.

struct Pad {
  count: u32,
  height: u32,
  width: u32,
  channels: u32,
  out_height: u32,
  out_width: u32,
  top: u32,
  left: u32,
  value: f32,
}

@group(0) @binding(0) var<uniform> step: Pad;

fn compute(n: u32) {
  let channel = n % step.channels;
  let pixel = n / step.channels;
  // Before the border they wrap around to large numbers, which are outside as well.
  let w = pixel % step.out_width - step.left;
  let h = pixel / step.out_width % step.out_height - step.top;
  let picture = pixel / (step.out_width * step.out_height);
  if (h >= step.height || w >= step.width) {
    y[n] = step.value;
  } else {
    y[n] = a[((picture * step.height + h) * step.width + w) * step.channels + channel];
  }
}
