// Largest value or mean of a window, one output per invocation. Padding takes no part: a mean is that of the values inside.

struct Pool {
  count: u32,
  channels: u32,
  in_height: u32,
  in_width: u32,
  out_height: u32,
  out_width: u32,
  kernel_height: u32,
  kernel_width: u32,
  stride_height: u32,
  stride_width: u32,
  dilation_height: u32,
  dilation_width: u32,
  pad_top: i32,
  pad_left: i32,
  mean: u32,
}

@group(0) @binding(0) var<uniform> step: Pool;

fn compute(n: u32) {
  let channel = n % step.channels;
  let pixel = n / step.channels;
  let picture = pixel / (step.out_width * step.out_height);
  let top = i32(pixel / step.out_width % step.out_height * step.stride_height) - step.pad_top;
  let left = i32(pixel % step.out_width * step.stride_width) - step.pad_left;
  var sum = 0.0;
  var largest = 0.0;
  var inside = 0u;
  for (var kh = 0u; kh < step.kernel_height; kh++) {
    let h = top + i32(kh * step.dilation_height);
    if (h < 0 || h >= i32(step.in_height)) {
      continue;
    }
    for (var kw = 0u; kw < step.kernel_width; kw++) {
      let w = left + i32(kw * step.dilation_width);
      if (w < 0 || w >= i32(step.in_width)) {
        continue;
      }
      let v = a[((picture * step.in_height + u32(h)) * step.in_width + u32(w)) * step.channels + channel];
      sum += v;
      largest = select(largest, v, inside == 0u || (v > largest && !is_nan(largest)) || is_nan(v));
      inside++;
    }
  }
  if (step.mean != 0u) {
    y[n] = sum / f32(inside);
  } else {
    y[n] = largest;
  }
}
