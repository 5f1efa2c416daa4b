// Entry of the addon: threads, instruction sets, errors and arguments.
#include "addon.h"

#include <cmath>

#include <atomic>
#include <cstdlib>
#include <thread>

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "kernels.h"
#include "peaks.h"
#include "self_test.h"
#include "thread_pool.h"

namespace dsconv {
namespace {

// Uses of the kernels; negative while they are exchanged.
std::atomic<int> uses{0};

}  // namespace

KernelUse::KernelUse() {
  for (;;) {
    int n = uses.load();
    if (n >= 0 && uses.compare_exchange_weak(n, n + 1)) return;
    if (n < 0) std::this_thread::yield();
  }
}
KernelUse::~KernelUse() { uses.fetch_sub(1); }

void rethrow(Napi::Env env) {
  const auto with_code = [&](Napi::Error error, const char* code) {
    error.Set("code", Napi::String::New(env, code));
    throw error;
  };
  try {
    throw;
  } catch (const Failure& f) {
    if (f.kind == Failure::kType) with_code(Napi::TypeError::New(env, f.what()), f.code);
    if (f.kind == Failure::kRange) with_code(Napi::RangeError::New(env, f.what()), f.code);
    with_code(Napi::Error::New(env, f.what()), f.code);
  } catch (const std::bad_alloc&) {
    with_code(Napi::Error::New(env, "there is not enough memory"), "OUT_OF_MEMORY");
  } catch (const std::length_error&) {
    with_code(Napi::Error::New(env, "there is not enough memory"), "OUT_OF_MEMORY");
  } catch (const std::exception& e) {
    with_code(Napi::Error::New(env, e.what()), "RUN_FAILED");
  }
  std::abort();
}

Floats floats_of(const Napi::Value& value, const char* name, int64_t least) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_float32_array) fail_argument(std::string(name) + " is not a Float32Array");
  void* data = nullptr;
  size_t length = 0;
  napi_typedarray_type type;
  if (napi_get_typedarray_info(value.Env(), value, &type, &length, &data, nullptr, nullptr) != napi_ok) fail_argument(std::string(name) + " cannot be read");
  if (!data) length = 0;  // detached
  if (int64_t(length) < least) fail_range(std::string(name) + " has " + std::to_string(length) + " elements; expected " + std::to_string(least));
  return {static_cast<float*>(data), length};
}

Floats maybe_floats(const Napi::Value& value, const char* name, int64_t least) {
  if (value.IsNull() || value.IsUndefined()) return {};
  return floats_of(value, name, least);
}

std::vector<float> padded_copy(const Napi::Value& value, const char* name, int64_t count) {
  std::vector<float> copy;
  const Floats f = maybe_floats(value, name, count);
  if (!f.data) return copy;
  copy.reserve(size_t(count) + 16);
  copy.assign(f.data, f.data + count);
  copy.resize(size_t(count) + 16);
  return copy;
}

void expect_handle(Napi::Env env, const Napi::Value& object, const napi_type_tag& tag) {
  bool ours = false;
  if (object.IsObject() && napi_check_object_type_tag(env, object, &tag, &ours) == napi_ok && ours) return;
  Napi::Error error = Napi::TypeError::New(env, "a getter was called on another object than its own");
  error.Set("code", "INVALID_HANDLE");
  throw error;
}

double number_of(const Napi::Value& value, const char* name) {
  if (!value.IsNumber()) fail_argument(std::string(name) + " is not a number");
  return value.As<Napi::Number>().DoubleValue();
}

int64_t integer_of(const Napi::Value& value, const char* name, int64_t least, int64_t most) {
  const double v = number_of(value, name);
  if (!(v >= double(least) && v <= double(most)) || v != std::floor(v)) {
    fail_range(std::string(name) + " is " + value.ToString().Utf8Value() + "; expected an integer from " + std::to_string(least) + " to " + std::to_string(most));
  }
  return int64_t(v);
}

int64_t integer_at(const Napi::Object& object, const char* name, int64_t least, int64_t most) { return integer_of(object.Get(name), name, least, most); }
int64_t integer_at(const Napi::Object& object, const char* name, int64_t least, int64_t most, int64_t absent) {
  const Napi::Value v = object.Get(name);
  return v.IsUndefined() || v.IsNull() ? absent : integer_of(v, name, least, most);
}

void check_window(const Window& w) {
  constexpr int64_t side = 1 << 24, tensor = int64_t{1} << 33;
  const auto within = [](int64_t v, int64_t least, int64_t most, const char* name) {
    if (v < least || v > most) fail_range(std::string(name) + " is " + std::to_string(v) + "; expected " + std::to_string(least) + " to " + std::to_string(most));
  };
  within(w.batch, 0, side, "batch");
  within(w.in_h, 0, side, "inH");
  within(w.in_w, 0, side, "inW");
  within(w.in_c, 1, side, "channels");
  within(w.out_h, 0, side, "outH");
  within(w.out_w, 0, side, "outW");
  within(w.kh, 1, 4096, "kh");
  within(w.kw, 1, 4096, "kw");
  within(int64_t{w.kh} * w.kw, 1, 65535, "kh * kw");
  within(w.stride_h, 1, 1 << 20, "strideH");
  within(w.stride_w, 1, 1 << 20, "strideW");
  within(w.dilation_h, 1, 1 << 20, "dilationH");
  within(w.dilation_w, 1, 1 << 20, "dilationW");
  within(w.pad_top, -side, side, "padTop");
  within(w.pad_left, -side, side, "padLeft");
  within(int64_t{w.out_h} * w.stride_h, 0, 1 << 30, "outH * strideH");
  within(int64_t{w.out_w} * w.stride_w, 0, 1 << 30, "outW * strideW");
  within(int64_t{w.kw} * w.dilation_w, 0, 1 << 28, "kw * dilationW");
  // Drivers hold rows of the padded input and a list of the pixels that each output reads.
  const int64_t reach = int64_t{w.out_w - 1} * w.stride_w + int64_t{w.kw - 1} * w.dilation_w + 1;
  within(reach * w.in_c, -side * side, max_of<int64_t>(1 << 26, int64_t{4} * w.in_w * w.in_c), "a padded row");
  within(int64_t{w.kh} * w.dilation_h, 0, 1 << 20, "kh * dilationH");
  for (const auto& pixels : {std::pair<int64_t, int64_t>{w.in_h, w.in_w}, {w.out_h, w.out_w}}) {
    within(pixels.first * pixels.second, 0, int64_t{1} << 30, "height * width");
    within(pixels.first * pixels.second * w.batch, 0, tensor / w.in_c, "the tensor");
    within(pixels.first * pixels.second * w.kh * w.kw, 0, 1 << 30, "height * width * kh * kw");
  }
}

Call call_of(const Napi::Value& value) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_int32_array) fail_argument("call is not an Int32Array");
  void* data = nullptr;
  size_t length = 0;
  napi_typedarray_type type;
  napi_get_typedarray_info(value.Env(), value, &type, &length, &data, nullptr, nullptr);
  if (!data || length < 32) fail_range("call has " + std::to_string(length) + " words; expected 32");
  int32_t r[32];
  std::memcpy(r, data, sizeof r);
  Call c;
  c.w = {r[10], r[11], r[12], r[13], r[14], r[15], r[16], r[17], r[18], r[19], r[20], r[21], r[22], r[23]};
  // Window's order: batch, in_h, in_w, in_c, out_h, out_w, kh, kw, strides, dilations, pads: that of the record.
  check_window(c.w);
  c.activation = r[7];
  c.mantissa = r[9];
  c.multiplier = max_of(r[26], 1);
  c.block = max_of(r[27], 1);
  c.format = {r[24], r[25], r[28] ? r[28] : 1};
  if (c.activation < 0 || c.activation > kPrelu) fail_range("activation is " + std::to_string(c.activation) + "; expected 0 to 5");
  if (c.mantissa && (c.mantissa < 2 || c.mantissa > 8)) fail_unsupported("mantissa is " + std::to_string(c.mantissa) + "; expected 0 or 2 to 8");
  if (c.format.mantissa && (c.format.mantissa < 2 || c.format.mantissa > 8 || c.format.block < 1 || c.format.groups < 1)) fail_unsupported("outputFormat is impossible");
  if (int64_t{c.multiplier} * c.w.in_c > (1 << 24)) fail_range("mult is " + std::to_string(c.multiplier) + ", which makes more than 2^24 channels of " + std::to_string(c.w.in_c));
  return c;
}

Window window_of(const Napi::Value& value) {
  if (!value.IsObject()) fail_argument("window is not an object");
  const Napi::Object o = value.As<Napi::Object>();
  const auto at = [&](const char* name) { return int32_t(integer_at(o, name, -(1 << 24), 1 << 28)); };
  Window w{at("batch"), at("inH"), at("inW"), at("channels"), at("outH"), at("outW"), at("kh"), at("kw"),
           at("strideH"), at("strideW"), at("dilationH"), at("dilationW"), at("padTop"), at("padLeft")};
  check_window(w);
  return w;
}

namespace {

void set_isa(const Napi::CallbackInfo& info) {
  // Not under guarded(), which counts as a use.
  try {
    if (!info[0].IsString()) fail_argument("isa is not a string");
    const std::string name = info[0].As<Napi::String>().Utf8Value();
    int none = 0;
    if (!uses.compare_exchange_strong(none, -1)) throw Failure(Failure::kError, "RUN_FAILED", "the kernels are in use by a plan or a call, so '" + name + "' cannot replace them");
    const bool known = select_kernels(name);
    uses.store(0);
    if (!known) fail_unsupported("this machine cannot run the kernels '" + name + "'");
  } catch (const Failure&) {
    rethrow(info.Env());
  }
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  auto* environment = new Environment();
  env.SetInstanceData<Environment>(environment);
  retain_executor();
  int count = 0;
  const char* const* names = available_isas(&count);
  Napi::Array isas = Napi::Array::New(env, count);
  for (int n = 0; n < count; n++) isas.Set(uint32_t(n), names[n]);
  exports.Set("interfaceVersion", 1);
  exports.Set("isas", isas);
  exports.DefineProperty(Napi::PropertyDescriptor::Accessor(env, exports, "isa", [](const Napi::CallbackInfo& info) -> Napi::Value {
    return Napi::String::New(info.Env(), kernels().isa);
  }, napi_enumerable));
  exports.Set("setIsa", Napi::Function::New(env, set_isa));
  exports.Set("selfTest", Napi::Function::New(env, [](const Napi::CallbackInfo& info) -> Napi::Value {
    const std::string wrong = guarded(info.Env(), [] { return self_test(); });
    return wrong.empty() ? info.Env().Null() : Napi::String::New(info.Env(), wrong).As<Napi::Value>();
  }));
  exports.Set("setThreads", Napi::Function::New(env, [](const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&] { set_threads(int(integer_of(info[0], "threads", 1, kMaxThreads))); });
  }));
  exports.Set("getThreads", Napi::Function::New(env, [](const Napi::CallbackInfo& info) -> Napi::Value { return Napi::Number::New(info.Env(), get_threads()); }));
  exports.Set("measurePeaks", Napi::Function::New(env, [](const Napi::CallbackInfo& info) -> Napi::Value {
    const char* isa = kernels().isa;
    const Peaks peaks = measure_peaks(isa);
    Napi::Object result = Napi::Object::New(info.Env());
    result.Set("isa", isa);
    result.Set("int8Dot", peaks.int8_dot);
    result.Set("floatFma", peaks.float_fma);
    return result;
  }));
  exports.Set("trim", Napi::Function::New(env, [](const Napi::CallbackInfo&) {
#ifdef __GLIBC__
    malloc_trim(0);  // the heap keeps what was freed between blocks that live
#endif
  }));
  define_filters(env, exports, environment);
  define_eager(env, exports);
  define_training(env, exports);
  define_plans(env, exports, environment);
  return exports;
}

NODE_API_MODULE(dsconv_cpu, init)

}  // namespace
}  // namespace dsconv
