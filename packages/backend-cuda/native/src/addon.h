// What the files that speak to JavaScript share: arguments and errors.
#pragma once
#include <napi.h>

#include <memory>
#include <vector>

#include "context.h"

namespace dsconv {

/** Of one environment: the main thread and each worker have their own. */
struct Environment {
  Napi::FunctionReference device_class;
  /** What the constructor of a device takes over: set around its call, so that nobody else can construct one. */
  std::unique_ptr<Context> new_context;
};

/** The JavaScript error of a C++ exception; call it in a catch block. */
Napi::Error error_now(Napi::Env env);

/** Calls f and turns C++ failures into JavaScript exceptions with a code. */
template <typename F>
auto guarded(Napi::Env env, const F& f) -> decltype(f()) {
  try {
    return f();
  } catch (const Napi::Error&) {
    throw;
  } catch (...) {
    throw error_now(env);
  }
}

/** The same for what returns a promise. */
template <typename F>
Napi::Value promised(Napi::Env env, const F& f) {
  const auto rejected = [env](const Napi::Error& error) {
    const Napi::Promise::Deferred deferred(env);
    deferred.Reject(error.Value());
    return deferred.Promise();
  };
  try {
    return f();
  } catch (const Napi::Error& error) {
    return rejected(error);
  } catch (...) {
    return rejected(error_now(env));
  }
}

double integer_of(const Napi::Value& value, const char* name, double least, double most);
uint32_t handle_of(const Napi::Value& value, const char* name);
CUdeviceptr address_of(const Napi::Value& value, const char* name);
size_t size_of(const Napi::Value& value, const char* name, double least);
uint32_t unsigned_of(const Napi::Value& value, const char* name, double least, double most);
Napi::Object object_of(const Napi::Value& value, const char* name);
/** The elements of an array. */
std::vector<Napi::Value> list_of(const Napi::Value& value, const char* name);

/** A view's memory. Whoever holds it calls no JavaScript, which could detach it. */
struct Bytes {
  char* data = nullptr;
  size_t length = 0;
};
Bytes bytes_of(const Napi::Value& value, const std::string& name);

Napi::Object describe(Napi::Env env, const DeviceInfo& info);
Napi::Function define_device(Napi::Env env);

}  // namespace dsconv
