// Four output pixels side by side, and the input pixels that a tap reads for them.
struct Window {
  // Row and column of the input that tap (0, 0) reads, per pixel; they may lie outside.
  row: vec4<i32>,
  column: vec4<i32>,
  // First input pixel of the picture.
  picture: vec4<u32>,
}

// Where an output pixel stands.
struct Spot {
  pixel: u32,
  column: u32,
  row: u32,
  picture: u32,
}

fn spot_of(pixel: u32) -> Spot {
  let rows = pixel / call.out_width;
  let picture = rows / call.out_height;
  return Spot(pixel, pixel - rows * call.out_width, rows - picture * call.out_height, picture);
}

// The next pixel. Pixels behind the last one read what the last one reads; nothing of theirs is written.
fn after(spot: Spot) -> Spot {
  let exists = spot.pixel + 1u < call.pixels;
  let ends_row = exists && spot.column + 1u == call.out_width;
  let ends_picture = ends_row && spot.row + 1u == call.out_height;
  return Spot(
    spot.pixel + select(0u, 1u, exists),
    select(spot.column + select(0u, 1u, exists), 0u, ends_row),
    select(spot.row + select(0u, 1u, ends_row), 0u, ends_picture),
    spot.picture + select(0u, 1u, ends_picture),
  );
}

// Four pixels from one on: a single division for all of them, because divisions are slow everywhere.
fn window_from(a: Spot) -> Window {
  let b = after(a);
  let c = after(b);
  let d = after(c);
  return Window(
    vec4<i32>(vec4<u32>(a.row, b.row, c.row, d.row) * call.stride_height) - vec4<i32>(call.pad_top),
    vec4<i32>(vec4<u32>(a.column, b.column, c.column, d.column) * call.stride_width) - vec4<i32>(call.pad_left),
    vec4<u32>(a.picture, b.picture, c.picture, d.picture) * (call.in_height * call.in_width),
  );
}

fn window_of(pixel: u32) -> Window {
  return window_from(spot_of(min(pixel, call.pixels - 1u)));
}

struct Taps {
  // Input pixels; 0 for those that are padding.
  at: vec4<u32>,
  inside: vec4<bool>,
}

fn taps_of(window: Window, kh: u32, kw: u32) -> Taps {
  let row = window.row + vec4<i32>(i32(kh * call.dilation_height));
  let column = window.column + vec4<i32>(i32(kw * call.dilation_width));
  let inside = (row >= vec4<i32>(0)) & (row < vec4<i32>(i32(call.in_height)))
    & (column >= vec4<i32>(0)) & (column < vec4<i32>(i32(call.in_width)));
  let at = window.picture + vec4<u32>(row) * call.in_width + vec4<u32>(column);
  return Taps(select(vec4<u32>(0u), at, inside), inside);
}
