// Bindings of the steps that are no convolutions, and the functions that they apply.

@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read> c: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

// True for NaN alone, also where a compiler takes v != v for false.
fn is_nan(v: f32) -> bool {
  return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u;
}

const PRELU = 5u;

// NaN stays NaN: no comparison with it is true.
fn apply(v: f32, code: u32, slope: f32) -> f32 {
  switch (code) {
    case 1u: {
      return select(v, 0.0, v <= 0.0);
    }
    case 2u: {
      return select(select(v, 6.0, v > 6.0), 0.0, v <= 0.0);
    }
    case 3u: {
      return select(v / (1.0 + exp(-v)), 0.0, v < -87.0);
    }
    case 4u, PRELU: {
      return select(v, slope * v, v < 0.0);
    }
    case 6u: {
      return select(1.0 / (1.0 + exp(-v)), 0.0, v < -87.0);
    }
    case 7u: {
      // 1 to the last bit from 10 on, where an implementation by way of exp may overflow.
      return select(tanh(v), sign(v), abs(v) > 10.0);
    }
    case 8u: {
      return exp(v);
    }
    default: {
      return v;
    }
  }
}
