// What the files of the addon share: arguments, errors, handles.
#pragma once

#include <napi.h>

#include <vector>

#include "executor.h"
#include "filter.h"

namespace dsconv {

// Per environment (the main thread and each worker have their own).
struct Environment {
  Napi::FunctionReference filter_class, plan_class;
  napi_threadsafe_function done = nullptr;
  int pending = 0;  // runs whose promises are open: they keep the event loop alive
  bool closed = false;
};

// Calls f and turns C++ failures into JavaScript exceptions with a code.
[[noreturn]] void rethrow(Napi::Env env);
template <typename F>
auto guarded(Napi::Env env, const F& f) -> decltype(f()) {
  try {
    return f();
  } catch (const Napi::Error&) {
    throw;
  } catch (...) {
    rethrow(env);
  }
}

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
void define_filters(Napi::Env env, Napi::Object exports, Environment* environment);
void define_plans(Napi::Env env, Napi::Object exports, Environment* environment);
std::string self_test();

}  // namespace dsconv
