// Handles of packed filters.
#include "addon.h"

#include "float_conv.h"

namespace dsconv {
namespace {


class FilterHandle : public Napi::ObjectWrap<FilterHandle> {
 public:
  static constexpr napi_type_tag kTag = {0x6473636f6e762d63ull, 0x70752d66696c7465ull};
  explicit FilterHandle(const Napi::CallbackInfo& info) : Napi::ObjectWrap<FilterHandle>(info) {
    filter_ = std::move(info.Env().GetInstanceData<Environment>()->new_filter);
    if (!filter_) throw Napi::TypeError::New(info.Env(), "filters are made by packDSConv2d, packDSDepthwise and packConv2d");
    napi_type_tag_object(info.Env(), info.This(), &FilterHandle::kTag);
    bytes_ = int64_t(filter_->bytes());
    Napi::MemoryManagement::AdjustExternalMemory(info.Env(), bytes_);
  }
  ~FilterHandle() override = default;
  void Finalize(Napi::Env env) override { release(env); }

  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "PackedFilter",
                       {getter<FilterHandle, &FilterHandle::byte_length>("byteLength"), getter<FilterHandle, &FilterHandle::is_disposed>("disposed"),
                        getter<FilterHandle, &FilterHandle::kind>("kind"), getter<FilterHandle, &FilterHandle::image_key>("imageKey"),
                        InstanceMethod<&FilterHandle::dispose>("dispose")});
  }
  const std::shared_ptr<Filter>& filter() const { return filter_; }

 private:
  Napi::Value byte_length(Napi::Env env) { return Napi::Number::New(env, filter_ ? double(filter_->bytes()) : 0); }
  Napi::Value is_disposed(Napi::Env env) { return Napi::Boolean::New(env, !filter_); }
  Napi::Value kind(Napi::Env env) {
    if (!filter_) return Napi::String::New(env, kind_);
    return Napi::String::New(env, filter_->kind == Filter::kFloat ? "conv2d" : filter_->kind == Filter::kDepthwise ? "dsDepthwise" : "dsconv2d");
  }
  Napi::Value image_key(Napi::Env env) {
    std::string key;
    if (filter_ && filter_->kind == Filter::kBlocked) {
      const Filter& f = *filter_;
      key = "c" + std::to_string(f.depth * f.groups) + "g" + std::to_string(f.groups) + "b" + std::to_string(f.block) + "w" + std::to_string(f.storage) + (f.has_shifts ? "s" : "");
    }
    return Napi::String::New(env, key);
  }
  void dispose(const Napi::CallbackInfo& info) { release(info.Env()); }
  void release(Napi::Env env) {
    if (!filter_) return;
    kind_ = filter_->kind == Filter::kFloat ? "conv2d" : filter_->kind == Filter::kDepthwise ? "dsDepthwise" : "dsconv2d";
    filter_.reset();
    Napi::MemoryManagement::AdjustExternalMemory(env, -bytes_);
  }
  std::shared_ptr<Filter> filter_;
  int64_t bytes_ = 0;
  const char* kind_ = "dsconv2d";
};

Napi::Value wrap(Napi::Env env, std::shared_ptr<Filter> filter) {
  Environment* environment = env.GetInstanceData<Environment>();
  return construct(environment->filter_class, environment->new_filter, std::move(filter));
}

Napi::Value pack(const Napi::CallbackInfo& info, bool depthwise) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    if (!info[0].IsObject()) fail_argument("filter is not an object");
    const Napi::Object o = info[0].As<Napi::Object>();
    FilterSource s;
    s.bits = int(integer_at(o, "bits", 2, 8));
    s.taps = int(integer_at(o, "taps", 1, 65535));
    s.depth = depthwise ? 1 : int(integer_at(o, "inDepth", 1, 1 << 24));
    s.outputs = int(integer_at(o, "outChannels", 1, 1 << 24));
    s.groups = depthwise ? 1 : int(integer_at(o, "groups", 1, 1 << 24));
    s.block = int(min_of<int64_t>(integer_at(o, "block", 1, int64_t{1} << 40), 1 << 24));
    s.per_channel = o.Get("perChannel").ToBoolean();
    const double weights = double(s.taps) * s.depth * s.outputs;
    if (weights > double(int64_t{1} << 31)) fail_range("the filter is too large");
    const Napi::Value q = o.Get("q"), scales = o.Get("scales"), shifts = o.Get("shiftBias");
    void* data = nullptr;
    size_t length = 0;
    napi_typedarray_type type;
    if (!q.IsTypedArray() || napi_get_typedarray_info(info.Env(), q, &type, &length, &data, nullptr, nullptr) != napi_ok || type != napi_int8_array) fail_argument("q is not an Int8Array");
    if (!data || double(length) < weights) fail_range("q has " + std::to_string(data ? length : 0) + " elements; expected " + std::to_string(int64_t(weights)));
    s.q = static_cast<const int8_t*>(data);
    const int64_t blocks = int64_t{s.taps} * ceil_div(s.depth, s.block) * s.outputs;
    s.scales = floats_of(scales, "scales", s.per_channel ? s.outputs : blocks).data;
    s.shifts = maybe_floats(shifts, "shiftBias", blocks).data;
    return wrap(info.Env(), depthwise ? pack_depthwise(s) : pack_dsconv2d(s));
  });
}

}  // namespace

std::shared_ptr<Filter> filter_of(const Napi::Value& value, const char* name) {
  bool ours = false;
  if (!value.IsObject() || napi_check_object_type_tag(value.Env(), value, &FilterHandle::kTag, &ours) != napi_ok || !ours) {
    throw Failure(Failure::kType, "INVALID_HANDLE", std::string(name) + " is not a filter of this addon");
  }
  const std::shared_ptr<Filter>& filter = Napi::ObjectWrap<FilterHandle>::Unwrap(value.As<Napi::Object>())->filter();
  if (!filter) throw Failure(Failure::kType, "DISPOSED", std::string(name) + " was used after dispose()");
  return filter;
}

void define_filters(Napi::Env env, Napi::Object exports, Environment* environment) {
  environment->filter_class = Napi::Persistent(FilterHandle::define(env));
  exports.Set("packDSConv2d", Napi::Function::New(env, [](const Napi::CallbackInfo& info) { return pack(info, false); }));
  exports.Set("packDSDepthwise", Napi::Function::New(env, [](const Napi::CallbackInfo& info) { return pack(info, true); }));
  exports.Set("packConv2d", Napi::Function::New(env, [](const Napi::CallbackInfo& info) -> Napi::Value {
    return guarded(info.Env(), [&]() -> Napi::Value {
      const int64_t taps = integer_of(info[1], "taps", 1, 65535), depth = integer_of(info[2], "inDepth", 1, 1 << 24);
      const int64_t outputs = integer_of(info[3], "outChannels", 1, 1 << 24), groups = integer_of(info[4], "groups", 1, 1 << 24);
      if (double(taps) * double(depth) * double(outputs) > double(int64_t{1} << 31)) fail_range("the filter is too large");
      const Floats w = floats_of(info[0], "w", taps * depth * outputs);
      return wrap(info.Env(), pack_float(w.data, int(taps), int(depth), int(outputs), int(groups)));
    });
  }));
}

}  // namespace dsconv
