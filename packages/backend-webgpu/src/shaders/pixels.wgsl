// Four output pixels side by side, and the input pixels that a tap reads for them.
struct Window {
  // Row and column of the input that tap (0, 0) reads, per pixel; they may lie outside.
  row: vec4<i32>,
  column: vec4<i32>,
  // First input pixel of the picture.
  picture: vec4<u32>,
}

fn window_of(pixel: u32) -> Window {
  // Pixels behind the last one read what the last one reads; nothing of theirs is written.
  let p = min(vec4<u32>(pixel) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(call.pixels - 1u));
  let column = p % call.out_width;
  let rows = p / call.out_width;
  let row = rows % call.out_height;
  return Window(
    vec4<i32>(row * call.stride_height) - vec4<i32>(call.pad_top),
    vec4<i32>(column * call.stride_width) - vec4<i32>(call.pad_left),
    (rows / call.out_height) * (call.in_height * call.in_width),
  );
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
