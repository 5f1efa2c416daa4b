// The synchronous entry points on arrays that JavaScript owns.
#include "addon.h"
#include "convolve.h"
#include "ops.h"

namespace dsconv {
namespace {

// Arguments every convolution has from `first` on: x, y, bias, residual, alphas, alpha.
struct Tensors {
  Floats x;
  Output out;
  std::vector<float> bias, alphas;
  Tensors(const Napi::CallbackInfo& info, size_t first, const Call& c, int outputs) {
    const int64_t in = c.w.in_pixels() * c.w.in_c;
    if (c.w.out_pixels() > (int64_t{1} << 33) / outputs) fail_range("the output is too large");
    const int64_t count = c.w.out_pixels() * outputs;
    x = floats_of(info[first], "x", in);
    const Floats y = floats_of(info[first + 1], "y", count);
    bias = padded_copy(info[first + 2], "bias", outputs);
    out.residual = maybe_floats(info[first + 3], "residual", count).data;
    alphas = padded_copy(info[first + 4], "alphas", outputs);
    out.alpha = info[first + 5].IsNumber() ? info[first + 5].As<Napi::Number>().FloatValue() : 0;
    if (c.activation == kPrelu && alphas.empty()) fail_argument("activation prelu needs alphas");
    if (c.format.mantissa && outputs % c.format.groups) fail_unsupported("outputFormat groups do not divide the channels");
    out.channels = outputs;
    out.bias = bias.empty() ? nullptr : bias.data();
    out.alphas = alphas.empty() ? nullptr : alphas.data();
    out.activation = c.activation;
    out.format = c.format;
    out.add(y.data);
  }
  bool empty(const Call& c) const { return c.w.out_pixels() == 0; }
};

void quantized(const Napi::CallbackInfo& info, Filter::Kind kind, const char* name) {
  guarded(info.Env(), [&] {
    const Call c = call_of(info[0]);
    const std::shared_ptr<Filter> f = filter_of(info[1], "filter");
    const bool depthwise = kind == Filter::kDepthwise;
    if ((f->kind == Filter::kDepthwise) != depthwise || f->kind == Filter::kFloat) fail_argument(std::string("filter is not one for ") + name);
    if (f->taps != c.w.kh * c.w.kw || (depthwise ? f->outputs % c.w.in_c != 0 : f->depth * f->groups != c.w.in_c)) fail_range("the filter does not fit the geometry");
    if (c.mantissa && !depthwise && !f->is_exact(c.mantissa)) fail_unsupported("a block's sums could leave 2^24");
    Tensors t(info, 2, c, f->outputs);
    if (t.empty(c)) return;
    if (f->channel_scales) t.out.scale = f->channel_scales.as<float>();
    convolve(c.w, *f, c.block, t.x.data, c.mantissa, t.out);
  });
}

void conv2d(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    const Call c = call_of(info[0]);
    const std::shared_ptr<Filter> f = filter_of(info[1], "filter");
    if (f->kind != Filter::kFloat) fail_argument("filter is not one for conv2d");
    if (f->taps != c.w.kh * c.w.kw || f->depth * f->groups != c.w.in_c) fail_range("the filter does not fit the geometry");
    Tensors t(info, 2, c, f->outputs);
    if (t.empty(c)) return;
    const auto tiling = c.w.is_pointwise() ? nullptr : tiling_of(c.w);
    conv2d_rows(c.w, *f, t.x.data, tiling.get(), t.out);
  });
}

void depthwise(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    const Call c = call_of(info[0]);
    const int64_t outputs = int64_t{c.w.in_c} * c.multiplier;
    if (outputs > (1 << 24)) fail_range("too many channels");
    const Floats w = floats_of(info[1], "w", outputs * c.w.kh * c.w.kw);
    Tensors t(info, 2, c, int(outputs));
    if (t.empty(c)) return;
    DepthwiseSource s;
    s.x = t.x.data;
    s.multiplier = c.multiplier;
    s.w = w.data;
    depthwise_rows(c.w, s, t.out);
  });
}

// kind: 0 conv2d input, 1 conv2d filter, 2 depthwise input, 3 depthwise filter.
void gradient(const Napi::CallbackInfo& info, int kind) {
  guarded(info.Env(), [&] {
    const Call c = call_of(info[0]);
    const Window& w = c.w;
    const bool plain = kind < 2;
    const size_t first = plain ? 2 : 1;
    const int64_t outputs = plain ? integer_of(info[1], "outChannels", 1, 1 << 24) : int64_t{w.in_c} * c.multiplier;
    if (outputs > (1 << 24) || w.out_pixels() > (int64_t{1} << 33) / outputs || double(outputs) * w.in_c * w.kh * w.kw > double(int64_t{1} << 31)) fail_range("the tensors are too large");
    const int64_t x = w.in_pixels() * w.in_c, y = w.out_pixels() * outputs, f = int64_t{w.kh} * w.kw * outputs * (plain ? w.in_c : 1);
    if (kind % 2 == 0) {
      const Floats dy = floats_of(info[first], "dy", y), weights = floats_of(info[first + 1], "w", f), dx = floats_of(info[first + 2], "dx", x);
      if (x == 0) return;
      if (kind == 0) conv2d_backprop_input(w, int(outputs), dy.data, weights.data, dx.data);
      else depthwise_backprop_input(w, c.multiplier, dy.data, weights.data, dx.data);
    } else {
      const Floats xs = floats_of(info[first], "x", x), dy = floats_of(info[first + 1], "dy", y), dw = floats_of(info[first + 2], "dw", f);
      if (kind == 1) conv2d_backprop_filter(w, int(outputs), xs.data, dy.data, dw.data);
      else depthwise_backprop_filter(w, c.multiplier, xs.data, dy.data, dw.data);
    }
  });
}

void round_bfp(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    const int64_t pixels = integer_of(info[2], "pixels", 0, int64_t{1} << 33), channels = integer_of(info[3], "channels", 1, 1 << 24);
    const int64_t groups = integer_of(info[4], "groups", 1, channels), block = integer_of(info[5], "block", 1, int64_t{1} << 40), m = integer_of(info[6], "mantissa", 2, 8);
    if (channels % groups) fail_range("groups is " + std::to_string(groups) + "; expected a divisor of " + std::to_string(channels));
    const Floats x = floats_of(info[0], "x", pixels * channels), y = floats_of(info[1], "y", pixels * channels);
    round_rows(x.data, y.data, pixels, int(channels), int(groups), int(min_of(block, channels / groups)), int(m));
  });
}

void mat_mul(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    constexpr int64_t side = 1 << 28;
    MatMul m;
    m.batch = integer_of(info[3], "batch", 0, side);
    m.m = integer_of(info[4], "m", 0, side);
    m.k = integer_of(info[5], "k", 0, side);
    m.n = integer_of(info[6], "n", 0, side);
    m.transpose_a = info[7].ToBoolean();
    m.transpose_b = info[8].ToBoolean();
    m.a_stride = integer_of(info[9], "aStride", 0, int64_t{1} << 40);
    m.b_stride = integer_of(info[10], "bStride", 0, int64_t{1} << 40);
    const int activation = int(integer_of(info[12], "activation", 0, kPrelu));
    if (double(m.batch) * double(m.m) * double(m.n) > double(int64_t{1} << 33)) fail_range("the product is too large");
    if (m.batch * m.m * m.n == 0) return;
    if (double(m.batch) * double(max_of(m.a_stride, m.b_stride)) > double(int64_t{1} << 33)) fail_range("aStride or bStride is too large for " + std::to_string(m.batch) + " entries");
    if (m.k > (1 << 24) || m.n > (1 << 24)) fail_unsupported("k and n beyond 2^24");
    const Floats a = floats_of(info[0], "a", (m.batch - 1) * m.a_stride + m.m * m.k), b = floats_of(info[1], "b", (m.batch - 1) * m.b_stride + m.k * m.n);
    const Floats y = floats_of(info[2], "y", m.batch * m.m * m.n);
    const std::vector<float> bias = padded_copy(info[11], "bias", m.n), alphas = padded_copy(info[14], "alphas", m.n);
    if (activation == kPrelu && alphas.empty()) fail_argument("activation prelu needs alphas");
    Output out;
    out.channels = int(m.n);
    out.bias = bias.empty() ? nullptr : bias.data();
    out.alphas = alphas.empty() ? nullptr : alphas.data();
    out.activation = activation;
    out.alpha = info[13].IsNumber() ? info[13].As<Napi::Number>().FloatValue() : 0;
    out.add(y.data);
    matmul(m, a.data, b.data, out);
  });
}

void pool(const Napi::CallbackInfo& info, bool max) {
  guarded(info.Env(), [&] {
    const Window w = window_of(info[2]);
    const Floats x = floats_of(info[0], "x", w.in_pixels() * w.in_c), y = floats_of(info[1], "y", w.out_pixels() * w.in_c);
    Output out;
    out.channels = w.in_c;
    out.add(y.data);
    if (max) max_pool(w, x.data, out);
    else avg_pool(w, x.data, out);
  });
}

void elementwise(Napi::Env env, Napi::Object exports) {
  constexpr int64_t most = int64_t{1} << 33;
  exports.Set("meanHW", Napi::Function::New(env, [](const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&] {
      const int64_t batch = integer_of(info[2], "batch", 0, 1 << 24), hw = integer_of(info[3], "hw", 0, 1 << 30), channels = integer_of(info[4], "channels", 1, 1 << 24);
      if (double(batch) * double(hw) * double(channels) > double(most)) fail_range("x is too large");
      const Floats x = floats_of(info[0], "x", batch * hw * channels), y = floats_of(info[1], "y", batch * channels);
      Output out;
      out.channels = int(channels);
      out.add(y.data);
      mean_hw(x.data, nullptr, batch, hw, int(channels), out);
    });
  }));
  exports.Set("binary", Napi::Function::New(env, [](const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&] {
      const int op = int(integer_of(info[0], "op", 0, kBinaryCount - 1));
      const int64_t n = integer_of(info[4], "n", 0, most), period = integer_of(info[5], "period", 1, max_of<int64_t>(n, 1));
      const Floats a = floats_of(info[1], "a", n), b = floats_of(info[2], "b", n ? period : 0), y = floats_of(info[3], "y", n);
      if (n) binary(op, a.data, b.data, y.data, n, period);
    });
  }));
  exports.Set("unary", Napi::Function::New(env, [](const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&] {
      const int op = int(integer_of(info[0], "op", 0, kUnaryCount - 1));
      const int64_t n = integer_of(info[3], "n", 0, most);
      const Floats x = floats_of(info[1], "x", n), y = floats_of(info[2], "y", n);
      const int64_t period = op == kPrelu && n ? integer_of(info[6], "period", 1, n) : 1;
      const Floats alphas = op == kPrelu && n ? floats_of(info[5], "alphas", period) : Floats{};
      const float alpha = info[4].IsNumber() ? info[4].As<Napi::Number>().FloatValue() : 0;
      if (n) unary(op, x.data, y.data, n, alpha, alphas.data, period);
    });
  }));
  exports.Set("scaleShift", Napi::Function::New(env, [](const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&] {
      const int64_t n = integer_of(info[4], "n", 0, most), channels = integer_of(info[5], "channels", 1, 1 << 24);
      if (n % channels) fail_range("channels does not divide n");
      const Floats x = floats_of(info[0], "x", n), scale = floats_of(info[1], "scale", channels), shift = floats_of(info[2], "shift", channels), y = floats_of(info[3], "y", n);
      if (n) scale_shift(x.data, scale.data, shift.data, y.data, n, int(channels));
    });
  }));
  exports.Set("softmax", Napi::Function::New(env, [](const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&] {
      const int64_t rows = integer_of(info[2], "rows", 0, most), channels = integer_of(info[3], "channels", 1, 1 << 24);
      if (double(rows) * double(channels) > double(most)) fail_range("x is too large");
      const Floats x = floats_of(info[0], "x", rows * channels), y = floats_of(info[1], "y", rows * channels);
      softmax(x.data, y.data, rows, int(channels));
    });
  }));
}

}  // namespace

void define_eager(Napi::Env env, Napi::Object exports) {
  exports.Set("dsconv2d", Napi::Function::New(env, [](const Napi::CallbackInfo& info) { quantized(info, Filter::kBlocked, "dsconv2d"); }));
  exports.Set("dsDepthwise", Napi::Function::New(env, [](const Napi::CallbackInfo& info) { quantized(info, Filter::kDepthwise, "dsDepthwise"); }));
  exports.Set("conv2d", Napi::Function::New(env, conv2d));
  exports.Set("depthwise", Napi::Function::New(env, depthwise));
  exports.Set("conv2dBackpropInput", Napi::Function::New(env, [](const Napi::CallbackInfo& info) { gradient(info, 0); }));
  exports.Set("conv2dBackpropFilter", Napi::Function::New(env, [](const Napi::CallbackInfo& info) { gradient(info, 1); }));
  exports.Set("depthwiseBackpropInput", Napi::Function::New(env, [](const Napi::CallbackInfo& info) { gradient(info, 2); }));
  exports.Set("depthwiseBackpropFilter", Napi::Function::New(env, [](const Napi::CallbackInfo& info) { gradient(info, 3); }));
  exports.Set("bfpRound", Napi::Function::New(env, round_bfp));
  exports.Set("matMul", Napi::Function::New(env, mat_mul));
  exports.Set("maxPool", Napi::Function::New(env, [](const Napi::CallbackInfo& info) { pool(info, true); }));
  exports.Set("avgPool", Napi::Function::New(env, [](const Napi::CallbackInfo& info) { pool(info, false); }));
  elementwise(env, exports);
}

}  // namespace dsconv
