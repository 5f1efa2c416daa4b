// What the files of the addon share: arguments, errors, handles.
#pragma once

#include <napi.h>

#include <vector>

#include "executor.h"
#include "filter.h"
#include "output.h"

namespace dsconv {

// Per environment (the main thread and each worker have their own).
struct Environment {
  Napi::FunctionReference filter_class, plan_class;
  // What the constructor of a handle takes over: set around its call, so that nobody else can construct one.
  std::shared_ptr<Filter> new_filter;
  std::shared_ptr<PlanState> new_plan;
  napi_threadsafe_function done = nullptr;
  int pending = 0;  // runs whose promises are open: they keep the event loop alive
  bool closed = false;
};

// A handle on `content`, through the slot in which its constructor finds it.
template <typename T, typename U>
Napi::Value construct(const Napi::FunctionReference& handle_class, std::shared_ptr<T>& slot, std::shared_ptr<U> content) {
  slot = std::move(content);
  try {
    return handle_class.New({});
  } catch (...) {
    slot.reset();
    throw;
  }
}

// Held while kernels are used, by calls and by living plans: as long as anyone holds one, the set of kernels cannot change.
class KernelUse {
 public:
  KernelUse();
  ~KernelUse();
  KernelUse(const KernelUse&) = delete;
  KernelUse& operator=(const KernelUse&) = delete;
};

// Calls f and turns C++ failures into JavaScript exceptions with a code.
[[noreturn]] void rethrow(Napi::Env env);
template <typename F>
auto guarded(Napi::Env env, const F& f) -> decltype(f()) {
  try {
    const KernelUse use;
    return f();
  } catch (const Napi::Error&) {
    throw;
  } catch (...) {
    rethrow(env);
  }
}

// Pointers into JavaScript's memory. Getters of the caller's objects may detach an array, so all values are fetched before the first pointer is.
struct Floats {
  float* data = nullptr;
  size_t length = 0;
};
// A Float32Array of at least `least` elements.
Floats floats_of(const Napi::Value& value, const char* name, int64_t least);
// The same, or nothing for null and undefined.
Floats maybe_floats(const Napi::Value& value, const char* name, int64_t least);
// A copy that may be read in whole vectors beyond its end; empty for null.
std::vector<float> padded_copy(const Napi::Value& value, const char* name, int64_t count);
int64_t integer_of(const Napi::Value& value, const char* name, int64_t least, int64_t most);
int64_t integer_at(const Napi::Object& object, const char* name, int64_t least, int64_t most);
int64_t integer_at(const Napi::Object& object, const char* name, int64_t least, int64_t most, int64_t absent);
double number_of(const Napi::Value& value, const char* name);

// Throws unless `object` has the tag.
void expect_handle(Napi::Env env, const Napi::Value& object, const napi_type_tag& tag);

// A getter of the class T. Unlike methods, getters can be called on any object, so its tag (T::kTag) is looked at before it is taken for a T.
template <typename T, Napi::Value (T::*Get)(Napi::Env)>
napi_property_descriptor getter(const char* name) {
  napi_property_descriptor descriptor{};
  descriptor.utf8name = name;
  descriptor.attributes = napi_enumerable;
  descriptor.getter = [](napi_env env, napi_callback_info raw) -> napi_value {
    try {
      const Napi::CallbackInfo info(env, raw);
      expect_handle(env, info.This(), T::kTag);
      return (T::Unwrap(info.This().As<Napi::Object>())->*Get)(env);
    } catch (const Napi::Error& error) {
      error.ThrowAsJavaScriptException();
      return nullptr;
    }
  };
  return descriptor;
}

// A call record, checked.
struct Call {
  Window w;
  int activation = 0, mantissa = 0, multiplier = 1, block = 1;
  Partition format;
};
Call call_of(const Napi::Value& value);
Window window_of(const Napi::Value& value);
void check_window(const Window& w);

// The filter behind a handle; throws for foreign objects and disposed handles.
std::shared_ptr<Filter> filter_of(const Napi::Value& value, const char* name);

void define_eager(Napi::Env env, Napi::Object exports);
void define_training(Napi::Env env, Napi::Object exports);
void define_filters(Napi::Env env, Napi::Object exports, Environment* environment);
void define_plans(Napi::Env env, Napi::Object exports, Environment* environment);
}  // namespace dsconv
