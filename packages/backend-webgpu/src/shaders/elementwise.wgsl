// y[i] = apply(a[i] operation b[i % period]), one element per invocation.

struct Elementwise {
  count: u32,
  period: u32,
  operation: u32,
  apply_code: u32,
  alpha: f32,
}

@group(0) @binding(0) var<uniform> step: Elementwise;

fn operate(x: f32, at: u32) -> f32 {
  switch (step.operation) {
    case 1u: {
      return x + b[at];
    }
    case 2u: {
      return x - b[at];
    }
    case 3u: {
      return x * b[at];
    }
    case 4u: {
      return b[at] - x;
    }
    case 5u: {
      return select(x, b[at], (b[at] > x && !is_nan(x)) || is_nan(b[at]));
    }
    case 6u: {
      return select(x, b[at], (b[at] < x && !is_nan(x)) || is_nan(b[at]));
    }
    case 7u: {
      return x / b[at];
    }
    case 8u: {
      return x * b[at] + c[at];
    }
    default: {
      return x;
    }
  }
}

fn compute(n: u32) {
  let at = n % step.period;
  var slope = step.alpha;
  if (step.apply_code == PRELU) {
    slope = b[at];
  }
  y[n] = apply(operate(a[n], at), step.apply_code, slope);
}
