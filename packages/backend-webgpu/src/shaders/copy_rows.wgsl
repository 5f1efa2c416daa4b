// Rows of a tensor into wider rows, one element per invocation: a part of a concatenation.

struct CopyRows {
  count: u32,
  width: u32,
  out_width: u32,
  offset: u32,
}

@group(0) @binding(0) var<uniform> step: CopyRows;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let n = number_of(id, groups);
  if (n >= step.count) {
    return;
  }
  y[n / step.width * step.out_width + step.offset + n % step.width] = a[n];
}
