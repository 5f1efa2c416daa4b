#include "output.h"

#include "thread_pool.h"

namespace dsconv {
namespace {

int lcm_of(int a, int b) {
  int x = a, y = b;
  while (y) {
    const int r = x % y;
    x = y;
    y = r;
  }
  const int64_t l = int64_t{a} / x * b;
  return l > (1 << 20) ? 1 << 20 : int(l);
}

// Walks the blocks of a partition inside channels [c0, c0 + width), which start and end at block borders.
template <typename Visit>
void each_block(int channels, int groups, int block, int c0, int width, const Visit& visit) {
  const int depth = channels / groups, per_group = ceil_div(depth, block);
  for (int c = c0; c < c0 + width;) {
    const int g = c / depth, inside = c - g * depth, j = inside / block;
    const int length = min_of(block, depth - j * block);
    visit(c, length, g * per_group + j);
    c += length;
  }
}

void quantize_to(Image& image, const float* tile, size_t ld, int count, const int64_t* pixels, int c0, int width) {
  const Kernels& k = kernels();
  const ImageSpec& s = image.spec;
  const size_t stride = s.stride(), entries = s.entries();
  QuantizeArgs q;
  q.ld = ld;
  q.rows = count;
  q.mantissa = s.mantissa;
  q.storage = s.storage;
  q.plain = image.plain;
  bool huge = false;
  each_block(s.channels, s.groups, s.block, c0, width, [&](int c, int length, int entry) {
    q.source = tile + (c - c0);
    q.length = length;
    for (int r = 0; r < count; r++) {
      q.mantissas[r] = image.rows + size_t(pixels[r]) * stride + c;
      q.records[r] = image.records + size_t(pixels[r]) * entries + entry;
      q.sums[r] = image.sums ? image.sums + size_t(pixels[r]) * entries + entry : nullptr;
    }
    huge |= k.quantize(q);
  });
  if (huge) image.huge->store(true, std::memory_order_relaxed);
}

// x̂ of the tile in place: through scratch mantissas of one block at a time.
void round_tile(const Output& out, float* tile, size_t ld, int count, int c0, int width) {
  const Kernels& k = kernels();
  const int depth = out.channels / out.format.groups, block = min_of(out.format.block, depth);
  int8_t* scratch = static_cast<int8_t*>(thread_scratch(3, size_t(kTileRows) * (block + 64)));
  BlockRecord records[kTileRows];
  QuantizeArgs q;
  q.ld = ld;
  q.rows = count;
  q.mantissa = out.format.mantissa;
  q.storage = 4;
  q.plain = true;
  for (int r = 0; r < count; r++) {
    q.mantissas[r] = scratch + r * round_up(block, 64);
    q.records[r] = &records[r];
    q.sums[r] = nullptr;
  }
  each_block(out.channels, out.format.groups, block, c0, width, [&](int c, int length, int) {
    q.source = tile + (c - c0);
    q.length = length;
    k.quantize(q);
    for (int r = 0; r < count; r++) k.decode({q.mantissas[r], q.records[r], length, length, true, tile + r * ld + (c - c0)});
  });
}

}  // namespace

int Output::granule(int conv_groups) const {
  int width = 2 * kTileChannels;
  bool whole = false;
  const auto respect = [&](int groups, int block) {
    if (groups != 1 || conv_groups != 1) whole = true;
    else if (block < channels) width = lcm_of(width, block);
    else whole = true;
  };
  for (int n = 0; n < sinks; n++) {
    if (image[n]) respect(image[n]->spec.groups, image[n]->spec.block);
  }
  if (format.mantissa) respect(format.groups, format.block);
  return whole ? channels : min_of(width, channels);
}

bool Pipeline::prepare(const Output& out, int granule) {
  if (!kernels().finish_first || out.sinks > 2 || out.activation > kRelu6) return false;
  const int which = out.image[0] ? 0 : 1;
  image_ = out.image[which];
  if (!image_ || (out.sinks == 2 && out.image[1 - which])) return false;
  const ImageSpec& s = image_->spec;
  if (s.groups != 1 || s.sums || image_->plain || (s.block != 32 && s.block != 64 && s.block != 128)) return false;
  if (granule % s.block || out.channels % s.block || granule / s.block > kFinishBlocks) return false;
  if (out.format.mantissa && (out.sinks == 2 || !out.format.is(s))) return false;
  const Image* ri = out.residual_image;
  if (ri && (ri->plain || ri->spec.groups != 1 || ri->spec.block != s.block)) return false;
  spec_.block = s.block;
  spec_.scale = out.scale;
  spec_.bias = out.bias;
  spec_.lower = out.activation == kLinear ? float_of(0xFF800000u) : 0.0f;
  spec_.upper = out.activation == kRelu6 ? 6.0f : float_of(0x7F800000u);
  spec_.has_f32 = out.sinks == 2;
  spec_.residual_kind = ri ? 2 : out.residual ? 1 : 0;
  spec_.mantissa = s.mantissa;
  spec_.storage = s.storage;
  return true;
}

void Pipeline::set_rows(const Output& out, int count, const int64_t* pixels) {
  const ImageSpec& s = image_->spec;
  const size_t stride = s.stride(), entries = s.entries(), channels = out.channels;
  const Image* ri = out.residual_image;
  float* f32 = out.f32[0] ? out.f32[0] : out.f32[1];
  row_set_ ^= 1;  // the other set may still be wanted by a second half
  FinishRows& to = rows_[row_set_];
  to.rows = count;
  for (int r = 0; r < kTileRows; r++) {
    const size_t pixel = pixels[min_of(r, count - 1)];
    to.mantissas[r] = image_->rows + pixel * stride;
    to.records[r] = image_->records + pixel * entries;
    if (out.residual) to.residual[r] = out.residual + pixel * channels;
    if (ri) {
      to.residual_x[r] = ri->rows + pixel * stride;
      to.residual_record[r] = ri->records + pixel * entries;
    }
    if (f32) to.f32[r] = f32 + pixel * channels;
  }
}

void Pipeline::push(float* tile, size_t ld, int c0, int width) {
  FinishArgs& a = slot_[next_];
  a.spec = &spec_;
  a.rows = &rows_[row_set_];
  a.tile = tile;
  a.ld = ld;
  a.c0 = c0;
  a.blocks = width / spec_.block;
  kernels().finish_first(a);
  flush();
  pending_ = true;
  next_ ^= 1;
}

void Pipeline::flush() {
  if (pending_ && kernels().finish_second(slot_[next_ ^ 1])) image_->huge->store(true, std::memory_order_relaxed);
  pending_ = false;
}

bool FusedFinish::prepare(const Output& out) {
  image_ = out.image[0];
  if (!kernels().finish_fused || out.sinks != 1 || !image_ || out.activation > kRelu6) return false;
  const ImageSpec& s = image_->spec;
  if (s.groups != 1 || s.sums || image_->plain || s.block > kFusedChannels || (s.block < out.channels && s.block % 32)) return false;
  if (out.format.mantissa && !out.format.is(s)) return false;
  const Image* ri = out.residual_image;
  if (ri && (ri->plain || ri->spec.groups != 1 || (ri->spec.block < out.channels && ri->spec.block % 32))) return false;
  spec_.channels = out.channels;
  spec_.block = s.block;
  spec_.scale = out.scale;
  spec_.bias = out.bias;
  spec_.lower = out.activation == kLinear ? float_of(0xFF800000u) : 0.0f;
  spec_.upper = out.activation == kRelu6 ? 6.0f : float_of(0x7F800000u);
  spec_.residual_kind = ri ? FusedSpec::kImage : out.residual ? FusedSpec::kF32 : FusedSpec::kNone;
  spec_.residual_block = ri ? ri->spec.block : 1;
  spec_.mantissa = s.mantissa;
  spec_.storage = s.storage;
  spec_.limit = (1 << (s.mantissa - 1)) - 1;
  spec_.stride = s.stride();
  spec_.entries = size_t(s.entries());
  spec_.residual_stride = ri ? ri->spec.stride() : size_t(out.channels);
  spec_.residual_entries = ri ? size_t(ri->spec.entries()) : 0;
  args_.spec = &spec_;
  args_.huge = false;
  return true;
}

FusedArgs& FusedFinish::set_rows(const Output& out, int count, const int64_t* pixels) {
  const ImageSpec& s = image_->spec;
  const size_t stride = s.stride(), entries = s.entries(), channels = out.channels;
  const Image* ri = out.residual_image;
  args_.rows = count;
  for (int r = 0; r < kTileRows; r++) {
    const size_t pixel = pixels[min_of(r, count - 1)];
    args_.mantissas[r] = image_->rows + pixel * stride;
    args_.records[r] = image_->records + pixel * entries;
    if (out.residual) args_.residual[r] = out.residual + pixel * channels;
    if (ri) {
      args_.residual_x[r] = ri->rows + pixel * ri->spec.stride();
      args_.residual_record[r] = ri->records + pixel * ri->spec.entries();
    }
  }
  return args_;
}

void Output::begin() const {
  for (int n = 0; n < sinks; n++) {
    if (image[n]) image[n]->begin();
  }
}

void finish_rows(const Output& out, float* tile, size_t ld, int count, const int64_t* pixels, int c0, int width) {
  const Kernels& k = kernels();
  FusedFinish fused;
  if (fused.prepare(out)) {
    k.finish_fused(fused.set_rows(out, count, pixels), tile, ld, c0, width);
    return fused.flush();
  }
  if (!out.is_plain_copy()) {
    EpilogueArgs e;
    e.tile = tile;
    e.ld = ld;
    e.rows = count;
    e.channels = width;
    e.scale = out.scale ? out.scale + c0 : nullptr;
    e.bias = out.bias ? out.bias + c0 : nullptr;
    e.alphas = out.alphas ? out.alphas + c0 : nullptr;
    e.activation = out.activation;
    e.alpha = out.alpha;
    e.has_residual = out.residual || out.residual_image;
    if (out.residual) {
      for (int r = 0; r < count; r++) e.residual[r] = out.residual + size_t(pixels[r]) * out.channels + c0;
    } else if (out.residual_image) {
      const Image& image = *out.residual_image;
      const ImageSpec& s = image.spec;
      const size_t row = round_up(width, 16) + 16;
      float* decoded = static_cast<float*>(thread_scratch(2, row * kTileRows * sizeof(float)));
      for (int r = 0; r < count; r++) {
        const int8_t* mantissas = image.rows + size_t(pixels[r]) * s.stride();
        const BlockRecord* records = image.records + size_t(pixels[r]) * s.entries();
        e.residual[r] = decoded + r * row;
        // Whole groups or aligned runs of blocks: decode from the border of a block at or before c0.
        if (s.groups == 1 && c0 % s.block == 0) {
          k.decode({mantissas + c0, records + c0 / s.block, width, s.block, image.plain, decoded + r * row});
          continue;
        }
        const int depth = s.depth(), per_group = s.blocks_per_group();
        for (int c = c0; c < c0 + width;) {
          const int g = c / depth, j = (c - g * depth) / s.block;
          const int end = min_of(min_of(g * depth + (j + 1) * s.block, (g + 1) * depth), c0 + width);
          k.decode({mantissas + c, records + g * per_group + j, end - c, end - c, image.plain, decoded + r * row + (c - c0)});
          c = end;
        }
      }
    }
    k.epilogue(e);
  }
  if (out.format.mantissa) {
    bool needed = false;
    for (int n = 0; n < out.sinks; n++) needed |= !out.image[n] || !out.format.is(out.image[n]->spec);
    if (needed) round_tile(out, tile, ld, count, c0, width);
  }
  for (int n = 0; n < out.sinks; n++) {
    if (out.image[n]) {
      quantize_to(*out.image[n], tile, ld, count, pixels, c0, width);
    } else {
      for (int r = 0; r < count; r++) std::memcpy(out.f32[n] + size_t(pixels[r]) * out.channels + c0, tile + r * ld, size_t(width) * sizeof(float));
    }
  }
}

void copy_rows(const float* x, int64_t pixels, const Output& out) {
  const int channels = out.channels;
  parallel_for(pixels, 64, [&](int64_t begin, int64_t end) {
    float* tile = static_cast<float*>(thread_scratch(0, (size_t(channels) * kTileRows + 64) * sizeof(float)));
    for (int64_t p = begin; p < end; p += kTileRows) {
      const int count = int(min_of<int64_t>(kTileRows, end - p));
      int64_t at[kTileRows];
      for (int r = 0; r < count; r++) at[r] = p + r;
      std::memcpy(tile, x + size_t(p) * channels, size_t(count) * channels * sizeof(float));
      finish_rows(out, tile, channels, count, at, 0, channels);
    }
  });
}

}  // namespace dsconv
