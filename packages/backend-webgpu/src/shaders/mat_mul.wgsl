// Products of matrices, one output per invocation: y = apply(a * b + bias).

struct MatMul {
  count: u32,
  rows: u32,
  columns: u32,
  depth: u32,
  // Elements from one matrix to the next; 0 where one serves all.
  a_stride: u32,
  b_stride: u32,
  // Elements from one row to the next of what is summed over, and across it.
  a_row: u32,
  a_depth: u32,
  b_depth: u32,
  b_column: u32,
  bias: u32,
  apply_code: u32,
  alpha: f32,
}

@group(0) @binding(0) var<uniform> step: MatMul;

fn compute(n: u32) {
  let column = n % step.columns;
  let row = n / step.columns % step.rows;
  let batch = n / (step.columns * step.rows);
  let from_a = batch * step.a_stride + row * step.a_row;
  let from_b = batch * step.b_stride + column * step.b_column;
  var sum = 0.0;
  for (var k = 0u; k < step.depth; k++) {
    sum += a[from_a + k * step.a_depth] * b[from_b + k * step.b_depth];
  }
  if (step.bias != 0u) {
    sum += c[column];
  }
  y[n] = apply(sum, step.apply_code, step.alpha);
}
