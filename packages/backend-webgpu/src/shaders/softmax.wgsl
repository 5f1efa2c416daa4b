// Softmax of rows, a workgroup for each; the row's largest value is taken away first.

struct Softmax {
  rows: u32,
  channels: u32,
}

@group(0) @binding(0) var<uniform> step: Softmax;

var<workgroup> shares: array<f32, 64>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) index: u32,
) {
  let row = group.x + group.y * groups.x;
  // Rows behind the last one do it again.
  let first = min(row, step.rows - 1u) * step.channels;
  var largest = a[first];
  for (var n = index; n < step.channels; n += 64u) {
    largest = max(largest, a[first + n]);
  }
  shares[index] = largest;
  workgroupBarrier();
  for (var n = 0u; n < 64u; n++) {
    largest = max(largest, shares[n]);
  }
  var sum = 0.0;
  for (var n = index; n < step.channels; n += 64u) {
    sum += exp(a[first + n] - largest);
  }
  workgroupBarrier();
  shares[index] = sum;
  workgroupBarrier();
  sum = 0.0;
  for (var n = 0u; n < 64u; n++) {
    sum += shares[n];
  }
  for (var n = index; n < step.channels; n += 64u) {
    y[first + n] = exp(a[first + n] - largest) / sum;
  }
}
