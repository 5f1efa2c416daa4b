// Rows of a tensor into wider rows, one element per invocation: a part of a concatenation.

struct CopyRows {
  count: u32,
  width: u32,
  out_width: u32,
  offset: u32,
}

@group(0) @binding(0) var<uniform> step: CopyRows;

fn compute(n: u32) {
  y[n / step.width * step.out_width + step.offset + n % step.width] = a[n];
}
