// What each kind of step demands, and what it does.
#include "convolve.h"
#include "ops.h"
#include "plan.h"

namespace dsconv {

void Plan::expect_f32(int b, int64_t length, const StepDesc& s, const char* what) const {
  if (is_image(b)) fail_argument(s.name + ": its " + what + " is a BFP image; expected f32");
  if (buffers_[b].length < length) {
    fail_range(s.name + ": its " + what + " has " + std::to_string(buffers_[b].length) + " elements; expected " + std::to_string(length));
  }
}

void Plan::check_sinks(const StepDesc& s, int64_t pixels, int channels) const {
  for (int b : s.outputs) {
    if (!is_image(b)) {
      expect_f32(b, pixels * channels, s, "output");
    } else if (buffers_[b].spec.channels != channels || buffers_[b].pixels != pixels) {
      fail_range(s.name + ": its output image is " + std::to_string(buffers_[b].pixels) + " by " + std::to_string(buffers_[b].spec.channels) + "; expected " +
                 std::to_string(pixels) + " by " + std::to_string(channels));
    }
  }
  const Partition& f = s.format;
  if (f.mantissa && (f.mantissa < 2 || f.mantissa > 8 || f.block < 1 || f.groups < 1 || channels % f.groups)) fail_range(s.name + ": its outputFormat is impossible");
}

void Plan::check_step(StepDesc& s, size_t) {
  const Window& w = s.w;
  const auto vector_of = [&](const std::vector<float>& v, size_t count, const char* what) {
    if (!v.empty() && v.size() < count) fail_range(s.name + ": its " + what + " has " + std::to_string(v.size()) + " elements; expected " + std::to_string(count));
  };
  const auto is_input = [&](size_t count) {
    if (s.inputs.size() != count) fail_argument(s.name + " has " + std::to_string(s.inputs.size()) + " inputs; expected " + std::to_string(count));
  };
  int channels = s.channels;
  int64_t pixels = s.pixels;
  switch (s.op) {
    case Op::kDSConv2d:
    case Op::kDSDepthwise:
    case Op::kConv2d:
    case Op::kDepthwise: {
      is_input(1);
      pixels = w.out_pixels();
      const int taps = w.kh * w.kw, in = s.inputs[0];
      if (s.op == Op::kDepthwise) {
        channels = w.in_c * s.multiplier;
        if (s.weights.size() < size_t(taps) * channels) fail_range(s.name + ": its filter is too short");
      } else {
        const Filter& f = *s.filter;
        channels = f.outputs;
        const bool depthwise = s.op == Op::kDSDepthwise;
        if (f.taps != taps || (depthwise ? f.outputs % w.in_c != 0 : f.depth * f.groups != w.in_c)) fail_range(s.name + ": the filter does not fit the geometry");
        if (depthwise) s.multiplier = f.outputs / w.in_c;
        if (s.op == Op::kDSConv2d && f.kind == Filter::kBlocked && is_image(in)) {
          s.mantissa = buffers_[in].spec.mantissa;
          ImageSpec want = f.image_spec(s.mantissa);
          if (!(buffers_[in].spec == want) || buffers_[in].pixels != w.in_pixels()) fail_range(s.name + ": its input image is not the kind the filter reads");
        } else if (depthwise && is_image(in)) {
          const ImageSpec& i = buffers_[in].spec;
          if (i.channels != w.in_c || i.groups != 1 || i.block != min_of(s.block, w.in_c) || buffers_[in].pixels != w.in_pixels()) fail_range(s.name + ": its input image does not fit");
        } else {
          expect_f32(in, w.in_pixels() * w.in_c, s, "input");
        }
        if (s.mantissa && (s.mantissa < 2 || s.mantissa > 8)) fail_range(s.name + ": mantissa is " + std::to_string(s.mantissa));
        if (s.op == Op::kDSConv2d && s.mantissa && !f.is_exact(s.mantissa)) fail_unsupported(s.name + ": a block's sums could leave 2^24");
      }
      if (s.op == Op::kDepthwise || s.op == Op::kConv2d) expect_f32(in, w.in_pixels() * w.in_c, s, "input");
      vector_of(s.bias, channels, "bias");
      vector_of(s.alphas, channels, "alphas");
      if (s.activation == kPrelu && s.alphas.empty()) fail_argument(s.name + " has activation prelu without alphas");
      if (s.residual >= 0) {
        if (!is_image(s.residual)) expect_f32(s.residual, pixels * channels, s, "residual");
        else if (buffers_[s.residual].spec.channels != channels || buffers_[s.residual].pixels != pixels) fail_range(s.name + ": its residual does not fit");
      }
      break;
    }
    case Op::kConvert:
      is_input(1);
      if (!is_image(s.inputs[0])) expect_f32(s.inputs[0], pixels * channels, s, "input");
      else if (buffers_[s.inputs[0]].spec.channels != channels || buffers_[s.inputs[0]].pixels != pixels) fail_range(s.name + ": its input does not fit");
      break;
    case Op::kMaxPool:
    case Op::kAvgPool:
    case Op::kPad:
      is_input(1);
      pixels = w.out_pixels();
      channels = w.in_c;
      expect_f32(s.inputs[0], w.in_pixels() * channels, s, "input");
      break;
    case Op::kMeanHW:
      is_input(1);
      pixels = s.n;
      if (!is_image(s.inputs[0])) expect_f32(s.inputs[0], s.n * s.period * channels, s, "input");
      else if (buffers_[s.inputs[0]].spec.channels != channels || buffers_[s.inputs[0]].pixels != s.n * s.period) fail_range(s.name + ": its input does not fit");
      break;
    case Op::kMatMul: {
      const MatMul& m = s.mm;
      is_input(s.weights.empty() ? 2 : 1);
      expect_f32(s.inputs[0], (m.batch - 1) * m.a_stride + m.m * m.k, s, "a");
      if (s.weights.empty()) expect_f32(s.inputs[1], (m.batch - 1) * m.b_stride + m.k * m.n, s, "b");
      else if (int64_t(s.weights.size()) < (m.batch - 1) * m.b_stride + m.k * m.n) fail_range(s.name + ": its constant b is too short");
      vector_of(s.bias, m.n, "bias");
      vector_of(s.alphas, m.n, "alphas");
      if (s.activation == kPrelu && s.alphas.empty()) fail_argument(s.name + " has activation prelu without alphas");
      pixels = m.batch * m.m;
      channels = int(m.n);
      if (is_image(s.outputs[0])) fail_argument(s.name + ": its output must be f32");
      break;
    }
    case Op::kBinary:
      is_input(s.weights.empty() ? 2 : 1);
      if (s.period < 1 || s.n < 0 || (s.n > 0 && s.n % s.period)) fail_range(s.name + ": period " + std::to_string(s.period) + " does not divide n");
      expect_f32(s.inputs[0], s.n, s, "a");
      if (s.weights.empty()) expect_f32(s.inputs[1], s.period, s, "b");
      else if (int64_t(s.weights.size()) < s.period) fail_range(s.name + ": its constant b is too short");
      break;
    case Op::kUnary:
      is_input(1);
      expect_f32(s.inputs[0], s.n, s, "input");
      if (s.code == kPrelu && (s.period < 1 || int64_t(s.alphas.size()) < s.period)) fail_range(s.name + ": its alphas do not fit");
      break;
    case Op::kScaleShift:
    case Op::kSoftmax:
      is_input(1);
      expect_f32(s.inputs[0], s.n, s, "input");
      if (s.op == Op::kScaleShift && (int64_t(s.scale.size()) < channels || int64_t(s.shift.size()) < channels)) fail_range(s.name + ": scale and shift need one value a channel");
      break;
    case Op::kConcat: {
      if (s.inputs.empty() || s.inputs.size() != s.part_channels.size()) fail_argument(s.name + " needs as many channels as inputs");
      int64_t sum = 0;
      for (size_t n = 0; n < s.inputs.size(); n++) {
        const int c = s.part_channels[n];
        sum += c;
        if (!is_image(s.inputs[n])) expect_f32(s.inputs[n], pixels * c, s, "input");
        else if (buffers_[s.inputs[n]].spec.channels != c || buffers_[s.inputs[n]].pixels != pixels) fail_range(s.name + ": an input does not fit");
      }
      if (sum > (1 << 24)) fail_range(s.name + " has too many channels");
      channels = int(sum);
      break;
    }
  }
  if (s.op == Op::kBinary || s.op == Op::kUnary || s.op == Op::kScaleShift || s.op == Op::kSoftmax) {
    if (channels == 0) {
      channels = int(min_of<int64_t>(max_of<int64_t>(s.n, 1), 1));
      for (int b : s.outputs) if (is_image(b)) fail_argument(s.name + " needs `channels` for an image");
    }
    if (s.n % channels) fail_range(s.name + ": its channels do not divide n");
    pixels = s.n / channels;
  }
  if (channels < 1) fail_range(s.name + " has no channels");
  // Per-channel constants are read in whole vectors.
  for (auto* v : {&s.bias, &s.alphas}) {
    if (!v->empty()) v->resize(v->size() + 16);
  }
  s.channels = channels;
  s.pixels = pixels;
  check_sinks(s, pixels, channels);
}

Output Plan::epilogue_of(const StepDesc& s, int channels) {
  Output out;
  out.channels = channels;
  out.bias = s.bias.empty() ? nullptr : s.bias.data();
  out.alphas = s.alphas.empty() ? nullptr : s.alphas.data();
  out.activation = s.activation;
  out.alpha = s.alpha;
  out.format = s.format;
  if (s.filter && s.filter->channel_scales) out.scale = s.filter->channel_scales.as<float>();
  if (s.residual >= 0) {
    if (is_image(s.residual)) out.residual_image = images_[s.residual].get();
    else out.residual = f32(s.residual);
  }
  return out;
}

Output Plan::output_of(const StepDesc& s, int channels) {
  Output out = epilogue_of(s, channels);
  for (int b : s.outputs) {
    if (is_image(b)) out.add(images_[b].get());
    else out.add(f32(b));
  }
  out.begin();
  return out;
}

void Plan::settle(const StepDesc& s) {
  for (int b : s.outputs) {
    if (is_image(b)) images_[b]->settle();
  }
}

// A stem that only a max pool behind it reads is computed along with that: its output, the largest tensor of many networks, is never stored.
void Plan::fuse_stem_pools() {
  for (size_t n = 1; n < steps_.size(); n++) {
    const StepDesc &stem = *steps_[n - 1], &pool = *steps_[n];
    if (pool.op != Op::kMaxPool || stem.op != Op::kDSConv2d || stem.filter->kind != Filter::kStem || stem.residual >= 0 || stem.format.mantissa) continue;
    const int between = pool.inputs[0];
    if (stem.outputs.size() != 1 || stem.outputs[0] != between || slots_[between].last != int(n)) continue;
    slots_[between].first = slots_[between].last = -2;
    touch(stem.inputs[0], int(n), false, stem.name);
    runs_[n - 1] = nullptr;
    runs_[n] = [this, s = steps_[n - 1], p = steps_[n]] {
      dsconv2d_stem_max_pool(s->w, *s->filter, f32(s->inputs[0]), s->mantissa, epilogue_of(*s, s->filter->outputs), p->w, output_of(*p, s->filter->outputs));
      settle(*p);
    };
  }
}

std::function<void()> Plan::compile(const std::shared_ptr<StepDesc>& sp, int hidden) {
  const StepDesc* s = sp.get();
  const size_t index = runs_.size();
  const auto input = [this, s](size_t n) { return f32(s->inputs[n]); };
  // Steps that make plain f32 first and serve other sinks from there.
  const auto through = [this, s](const std::function<void(float*)>& make) {
    const Output out = output_of(*s, s->channels);
    float* y = nullptr;
    for (int n = 0; n < out.sinks; n++) y = y ? y : out.f32[n];
    const bool simple = out.sinks == 1 && y && out.is_plain_copy() && !out.format.mantissa;
    Buffer scratch;
    if (!simple) {
      scratch.allocate(size_t(s->pixels) * s->channels * sizeof(float));
      y = scratch.as<float>();
    }
    make(y);
    if (!simple) copy_rows(y, s->pixels, out);
  };
  switch (s->op) {
    case Op::kDSConv2d: {
      if (s->filter->kind != Filter::kBlocked || (!is_image(s->inputs[0]) && !s->mantissa)) {
        return [=] {
          const Output out = output_of(*s, s->channels);
          convolve(s->w, *s->filter, 0, input(0), s->mantissa, out);
          settle(*s);
        };
      }
      const auto tiling = s->w.is_pointwise() ? nullptr : tiling_of(s->w);
      return [=] {
        const Output out = output_of(*s, s->channels);
        Image* image = images_[hidden >= 0 ? hidden : s->inputs[0]].get();
        if (hidden >= 0) quantize_image(input(0), image);
        dsconv2d_blocked(s->w, *s->filter, *image, tiling.get(), out, next_weights_[index]);
        settle(*s);
      };
    }
    case Op::kDSDepthwise:
    case Op::kDepthwise:
      return [=] {
        const Output out = output_of(*s, s->channels);
        DepthwiseSource source;
        if (is_image(s->inputs[0])) source.image = images_[s->inputs[0]].get();
        else source.x = input(0);
        source.mantissa = s->mantissa;
        source.block = s->block;
        source.multiplier = s->multiplier;
        source.filter = s->filter.get();
        source.w = s->weights.data();
        depthwise_rows(s->w, source, out);
        settle(*s);
      };
    case Op::kConv2d: {
      const auto tiling = s->w.is_pointwise() ? nullptr : tiling_of(s->w);
      return [=] {
        conv2d_rows(s->w, *s->filter, input(0), tiling.get(), output_of(*s, s->channels));
        settle(*s);
      };
    }
    case Op::kConvert:
      return [=] {
        const Output out = output_of(*s, s->channels);
        if (is_image(s->inputs[0])) decode_rows(*images_[s->inputs[0]], out);
        else copy_rows(input(0), s->pixels, out);
        settle(*s);
      };
    case Op::kMaxPool:
      return [=] { max_pool(s->w, input(0), output_of(*s, s->channels)), settle(*s); };
    case Op::kAvgPool:
      return [=] { avg_pool(s->w, input(0), output_of(*s, s->channels)), settle(*s); };
    case Op::kPad:
      return [=] { pad(s->w, input(0), s->value, output_of(*s, s->channels)), settle(*s); };
    case Op::kMeanHW:
      return [=] {
        const bool image = is_image(s->inputs[0]);
        mean_hw(image ? nullptr : input(0), image ? images_[s->inputs[0]].get() : nullptr, s->n, s->period, s->channels, output_of(*s, s->channels));
        settle(*s);
      };
    case Op::kMatMul: {
      // A constant b is packed once.
      if (!s->weights.empty() && s->mm.batch == 1 && !s->mm.transpose_a) {
        const int k = int(s->mm.k), n = int(s->mm.n);
        std::vector<float> turned;
        if (s->mm.transpose_b) {
          turned.resize(size_t(k) * n);
          for (int i = 0; i < k; i++) for (int o = 0; o < n; o++) turned[size_t(i) * n + o] = s->weights[size_t(o) * k + i];
        }
        const auto filter = pack_float(turned.empty() ? s->weights.data() : turned.data(), 1, k, n, 1);
        std::vector<float>().swap(sp->weights);
        return [=] {
          Window w;
          w.in_w = w.out_w = int(s->mm.m);
          w.in_c = k;
          conv2d_rows(w, *filter, input(0), nullptr, output_of(*s, s->channels));
        };
      }
      return [=] { matmul(s->mm, input(0), s->weights.empty() ? input(1) : s->weights.data(), output_of(*s, s->channels)); };
    }
    case Op::kBinary:
      return [=] {
        through([=](float* y) { binary(s->code, input(0), s->weights.empty() ? input(1) : s->weights.data(), y, s->n, s->period); });
        settle(*s);
      };
    case Op::kUnary:
      return [=] {
        through([=](float* y) { unary(s->code, input(0), y, s->n, s->value, s->alphas.data(), max_of<int64_t>(s->period, 1)); });
        settle(*s);
      };
    case Op::kScaleShift:
      return [=] {
        through([=](float* y) { scale_shift(input(0), s->scale.data(), s->shift.data(), y, s->n, s->channels); });
        settle(*s);
      };
    case Op::kSoftmax:
      return [=] {
        through([=](float* y) { softmax(input(0), y, s->pixels, s->channels); });
        settle(*s);
      };
    case Op::kConcat:
      return [=] {
        std::vector<ConcatPart> parts(s->inputs.size());
        for (size_t n = 0; n < parts.size(); n++) {
          parts[n].channels = s->part_channels[n];
          if (is_image(s->inputs[n])) parts[n].image = images_[s->inputs[n]].get();
          else parts[n].x = input(n);
        }
        concat(parts, s->pixels, output_of(*s, s->channels));
        settle(*s);
      };
  }
  return [] {};
}

}  // namespace dsconv
