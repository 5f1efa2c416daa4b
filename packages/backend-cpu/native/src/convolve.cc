#include "convolve.h"

namespace dsconv {

void convolve(const Window& w, const Filter& f, int depthwise_block, const float* x, int mantissa, const Output& out) {
  out.begin();
  if (f.kind == Filter::kDepthwise) {
    DepthwiseSource s;
    s.x = x;
    s.mantissa = mantissa;
    s.block = depthwise_block;
    s.multiplier = f.outputs / w.in_c;
    s.filter = &f;
    return depthwise_rows(w, s, out);
  }
  if (f.kind == Filter::kStem) return dsconv2d_stem(w, f, x, mantissa, out);
  const auto tiling = w.is_pointwise() ? nullptr : tiling_of(w);
  if (mantissa == 0) {
    Output plain = out;
    if (f.shifts && f.channel_scales) plain.scale = nullptr;  // ŵ holds both already
    return conv2d_rows(w, *dequantize(f), x, tiling.get(), plain);
  }
  const ImageSpec spec = f.image_spec(mantissa);
  Buffer memory(spec.bytes(w.in_pixels()));
  std::atomic<bool> huge{false};
  Image image = Image::at(memory.data(), spec, w.in_pixels(), &huge);
  quantize_image(x, &image);
  dsconv2d_blocked(w, f, image, tiling.get(), out);
}

}  // namespace dsconv
