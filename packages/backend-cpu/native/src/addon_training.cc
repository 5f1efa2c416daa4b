// The synchronous entry points that training uses.
#include "addon.h"
#include "batch_norm.h"
#include "training.h"

namespace dsconv {
namespace {

constexpr int64_t kMost = int64_t{1} << 33;

void bfp_gradient_rows(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    const int64_t pixels = integer_of(info[3], "pixels", 0, int64_t{1} << 33), channels = integer_of(info[4], "channels", 1, 1 << 24);
    const int64_t groups = integer_of(info[5], "groups", 1, channels), block = integer_of(info[6], "block", 1, int64_t{1} << 40), m = integer_of(info[7], "mantissa", 2, 8);
    if (channels % groups) fail_range("groups is " + std::to_string(groups) + "; expected a divisor of " + std::to_string(channels));
    const Floats x = floats_of(info[0], "x", pixels * channels), dy = floats_of(info[1], "dy", pixels * channels), dx = floats_of(info[2], "dx", pixels * channels);
    bfp_gradient(x.data, dy.data, dx.data, pixels, int(channels), int(groups), int(min_of(block, channels / groups)), int(m));
  });
}

void sum(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    const int64_t outer = integer_of(info[2], "outer", 0, kMost), middle = integer_of(info[3], "middle", 0, kMost), inner = integer_of(info[4], "inner", 0, kMost);
    if (double(outer) * double(max_of<int64_t>(middle, 1)) * double(inner) > double(kMost)) fail_range("x is too large");
    const Floats x = floats_of(info[0], "x", outer * middle * inner), y = floats_of(info[1], "y", outer * inner);
    if (outer * inner > 0) sum_middle(x.data, y.data, outer, middle, inner);
  });
}

// An array of `rank` integers.
void read_sizes(const Napi::Value& value, const char* name, int rank, int64_t* to) {
  if (!value.IsArray() || value.As<Napi::Array>().Length() != uint32_t(rank)) fail_argument(std::string(name) + " is no array of " + std::to_string(rank) + " integers");
  for (int d = 0; d < rank; d++) to[d] = integer_of(value.As<Napi::Array>().Get(uint32_t(d)), name, 0, kMost);
}

void box(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    Box b;
    if (!info[2].IsArray()) fail_argument("size is no array of integers");
    b.rank = int(info[2].As<Napi::Array>().Length());
    if (b.rank < 1 || b.rank > kMaxRank) fail_range("size has " + std::to_string(b.rank) + " axes; expected 1 to 6");
    read_sizes(info[2], "size", b.rank, b.size);
    read_sizes(info[3], "xShape", b.rank, b.x_shape);
    read_sizes(info[4], "xFrom", b.rank, b.x_from);
    read_sizes(info[5], "yShape", b.rank, b.y_shape);
    read_sizes(info[6], "yFrom", b.rank, b.y_from);
    double whole[2] = {1, 1};
    for (int d = 0; d < b.rank; d++) {
      if (b.x_from[d] + b.size[d] > b.x_shape[d] || b.y_from[d] + b.size[d] > b.y_shape[d]) fail_range("the box leaves its tensor along axis " + std::to_string(d));
      whole[0] *= double(b.x_shape[d]);
      whole[1] *= double(b.y_shape[d]);
    }
    if (max_of(whole[0], whole[1]) > double(kMost)) fail_range("the tensors are too large");
    const Floats x = floats_of(info[0], "x", int64_t(whole[0])), y = floats_of(info[1], "y", int64_t(whole[1]));
    copy_box(b, x.data, y.data);
  });
}

void pool_gradient(const Napi::CallbackInfo& info, bool max) {
  guarded(info.Env(), [&] {
    const size_t first = max ? 1 : 0;
    const Window w = window_of(info[first + 2]);
    const int64_t in = w.in_pixels() * w.in_c, out = w.out_pixels() * w.in_c;
    const Floats x = max ? floats_of(info[0], "x", in) : Floats{}, dy = floats_of(info[first], "dy", out), dx = floats_of(info[first + 1], "dx", in);
    if (max) max_pool_gradient(w, x.data, dy.data, dx.data);
    else avg_pool_gradient(w, dy.data, dx.data);
  });
}

struct Rows {
  int64_t rows, channels, size;
};

Rows rows_of(const Napi::Value& rows, const Napi::Value& channels) {
  const int64_t r = integer_of(rows, "rows", 1, kMost), c = integer_of(channels, "channels", 1, 1 << 24);
  if (double(r) * double(c) > double(kMost)) fail_range("x is too large");
  return {r, c, r * c};
}

float epsilon_of(const Napi::Value& value) {
  const double epsilon = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : -1;
  if (!(epsilon >= 0)) fail_argument("epsilon is no number of at least 0");
  return float(epsilon);
}

void moments(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    const Rows n = rows_of(info[3], info[4]);
    const Floats x = floats_of(info[0], "x", n.size), mean = floats_of(info[1], "mean", n.channels), variance = floats_of(info[2], "variance", n.channels);
    batch_moments(x.data, mean.data, variance.data, n.rows, n.channels);
  });
}

void normalize(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    const Rows n = rows_of(info[7], info[8]);
    const float epsilon = epsilon_of(info[6]);
    const Floats x = floats_of(info[0], "x", n.size), y = floats_of(info[1], "y", n.size), mean = floats_of(info[2], "mean", n.channels);
    const Floats variance = floats_of(info[3], "variance", n.channels), gamma = floats_of(info[4], "gamma", n.channels), beta = floats_of(info[5], "beta", n.channels);
    batch_normalize(x.data, y.data, mean.data, variance.data, gamma.data, beta.data, epsilon, n.rows, n.channels);
  });
}

void normalize_gradient(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    const Rows n = rows_of(info[9], info[10]);
    const float epsilon = epsilon_of(info[8]);
    const Floats x = floats_of(info[0], "x", n.size), dy = floats_of(info[1], "dy", n.size), dx = floats_of(info[2], "dx", n.size);
    const Floats dgamma = floats_of(info[3], "dgamma", n.channels), dbeta = floats_of(info[4], "dbeta", n.channels), mean = floats_of(info[5], "mean", n.channels);
    const Floats variance = floats_of(info[6], "variance", n.channels), gamma = floats_of(info[7], "gamma", n.channels);
    batch_norm_gradient(x.data, dy.data, dx.data, dgamma.data, dbeta.data, mean.data, variance.data, gamma.data, epsilon, n.rows, n.channels);
  });
}

}  // namespace

void define_training(Napi::Env env, Napi::Object exports) {
  exports.Set("bfpGradient", Napi::Function::New(env, bfp_gradient_rows));
  exports.Set("batchMoments", Napi::Function::New(env, moments));
  exports.Set("batchNormalize", Napi::Function::New(env, normalize));
  exports.Set("batchNormGradient", Napi::Function::New(env, normalize_gradient));
  exports.Set("sum", Napi::Function::New(env, sum));
  exports.Set("copyBox", Napi::Function::New(env, box));
  exports.Set("maxPoolGradient", Napi::Function::New(env, [](const Napi::CallbackInfo& info) { pool_gradient(info, true); }));
  exports.Set("avgPoolGradient", Napi::Function::New(env, [](const Napi::CallbackInfo& info) { pool_gradient(info, false); }));
}

}  // namespace dsconv
