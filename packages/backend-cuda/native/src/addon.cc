// Entry of the addon: probing, opening, errors and arguments.
#include "addon.h"

#include <cmath>

namespace dsconv {
namespace {

constexpr double kMostInteger = 9007199254740991.0;

Napi::Value probe(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&] {
    const Driver& driver = Driver::get();
    const std::vector<DeviceInfo> found = list_devices(driver);
    const Napi::Array devices = Napi::Array::New(env, found.size());
    for (uint32_t n = 0; n < found.size(); n++) devices.Set(n, describe(env, found[n]));
    const Napi::Object result = Napi::Object::New(env);
    result.Set("driverVersion", driver.version);
    result.Set("emulated", driver.emulated);
    result.Set("devices", devices);
    return result;
  });
}

Napi::Value open(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&] {
    const double index = integer_of(info[0], "index", 0, 1e6);
    const Driver& driver = Driver::get();
    const std::vector<DeviceInfo> found = list_devices(driver);
    if (index >= static_cast<double>(found.size())) {
      fail_range("index is " + std::to_string(static_cast<int>(index)) + "; expected below " + std::to_string(found.size()) +
                 ", the number of devices");
    }
    const DeviceInfo& chosen = found[static_cast<size_t>(index)];
    if (!chosen.supported()) {
      fail("DEVICE_TOO_OLD", "device " + std::to_string(chosen.index) + " (" + chosen.name + ") has compute capability " +
                                 std::to_string(chosen.major) + "." + std::to_string(chosen.minor) + "; expected 7.5 or newer");
    }
    Environment* environment = env.GetInstanceData<Environment>();
    environment->new_context = std::make_unique<Context>(driver, chosen);
    try {
      const Napi::Object device = environment->device_class.New({});
      return device;
    } catch (...) {
      environment->new_context.reset();
      throw;
    }
  });
}

Napi::Error with_code(Napi::Error error, const char* code) {
  error.Set("code", Napi::String::New(error.Env(), code));
  return error;
}

}  // namespace

Napi::Error error_now(Napi::Env env) {
  try {
    throw;
  } catch (const Failure& failure) {
    if (failure.kind == Failure::kType) return with_code(Napi::TypeError::New(env, failure.what()), failure.code);
    if (failure.kind == Failure::kRange) return with_code(Napi::RangeError::New(env, failure.what()), failure.code);
    Napi::Error error = with_code(Napi::Error::New(env, failure.what()), failure.code);
    if (!failure.error_name.empty()) error.Set("errorName", Napi::String::New(env, failure.error_name));
    return error;
  } catch (const std::bad_alloc&) {
    return with_code(Napi::Error::New(env, "there is not enough memory"), "OUT_OF_MEMORY");
  } catch (const std::exception& error) {
    return with_code(Napi::Error::New(env, error.what()), "CUDA_ERROR");
  }
}

double integer_of(const Napi::Value& value, const char* name, double least, double most) {
  if (!value.IsNumber()) fail_argument(std::string(name) + " is not a number");
  const double number = value.As<Napi::Number>().DoubleValue();
  if (std::trunc(number) == number && number >= least && number <= most) return number;
  char text[160];
  snprintf(text, sizeof text, "%s is %.17g; expected an integer from %.0f to %.0f", name, number, least, most);
  fail_range(text);
}

uint32_t handle_of(const Napi::Value& value, const char* name) {
  return static_cast<uint32_t>(integer_of(value, name, 0, 4294967295.0));
}
CUdeviceptr address_of(const Napi::Value& value, const char* name) {
  return static_cast<CUdeviceptr>(integer_of(value, name, 0, kMostInteger));
}
size_t size_of(const Napi::Value& value, const char* name, double least) {
  return static_cast<size_t>(integer_of(value, name, least, kMostInteger));
}
uint32_t unsigned_of(const Napi::Value& value, const char* name, double least, double most) {
  return static_cast<uint32_t>(integer_of(value, name, least, most));
}

Napi::Object object_of(const Napi::Value& value, const char* name) {
  if (!value.IsObject()) fail_argument(std::string(name) + " is not an object");
  return value.As<Napi::Object>();
}

std::vector<Napi::Value> list_of(const Napi::Value& value, const char* name) {
  if (!value.IsArray()) fail_argument(std::string(name) + " is not an array");
  const Napi::Array array = value.As<Napi::Array>();
  std::vector<Napi::Value> list(array.Length());
  for (uint32_t n = 0; n < list.size(); n++) list[n] = array.Get(n);
  return list;
}

Bytes bytes_of(const Napi::Value& value, const std::string& name) {
  void* data = nullptr;
  size_t length = 0;
  if (value.IsTypedArray()) {
    napi_typedarray_type type;
    if (napi_get_typedarray_info(value.Env(), value, &type, &length, &data, nullptr, nullptr) != napi_ok) {
      fail_argument(name + " cannot be read");
    }
    switch (type) {
      case napi_int8_array:
      case napi_uint8_array:
      case napi_uint8_clamped_array: break;
      case napi_int32_array:
      case napi_uint32_array:
      case napi_float32_array: length *= 4; break;
      case napi_float64_array:
      case napi_bigint64_array:
      case napi_biguint64_array: length *= 8; break;
      // 16-bit integers, and the floats of that size that newer versions of Node have.
      default: length *= 2; break;
    }
  } else if (value.IsDataView()) {
    if (napi_get_dataview_info(value.Env(), value, &length, &data, nullptr, nullptr) != napi_ok) {
      fail_argument(name + " cannot be read");
    }
  } else {
    fail_argument(name + " is not an ArrayBufferView");
  }
  // Detached buffers have no data.
  return {static_cast<char*>(data), data == nullptr ? 0 : length};
}

Napi::Object describe(Napi::Env env, const DeviceInfo& info) {
  const Napi::Object object = Napi::Object::New(env);
  const auto pair = [env](double a, double b) {
    const Napi::Array array = Napi::Array::New(env, 2);
    array.Set(uint32_t(0), a);
    array.Set(uint32_t(1), b);
    return array;
  };
  object.Set("index", info.index);
  object.Set("name", info.name);
  object.Set("computeCapability", pair(info.major, info.minor));
  object.Set("multiprocessors", info.multiprocessors);
  object.Set("totalMemory", static_cast<double>(info.total_memory));
  object.Set("sharedMemoryPerBlock", info.shared_per_block);
  object.Set("sharedMemoryPerMultiprocessor", info.shared_per_multiprocessor);
  object.Set("l2Bytes", info.l2_bytes);
  object.Set("maxThreadsPerMultiprocessor", info.max_threads_per_multiprocessor);
  object.Set("registersPerMultiprocessor", info.registers_per_multiprocessor);
  object.Set("clockKilohertz", info.clock);
  object.Set("memoryClockKilohertz", info.memory_clock);
  object.Set("memoryBusBits", info.memory_bus);
  const Napi::Array grid = Napi::Array::New(env, 3);
  for (uint32_t n = 0; n < 3; n++) grid.Set(n, info.max_grid[n]);
  object.Set("maxGrid", grid);
  object.Set("supported", info.supported());
  return object;
}

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  auto environment = std::make_unique<Environment>();
  environment->device_class = Napi::Persistent(define_device(env));
  env.SetInstanceData<Environment>(environment.release());
  exports.Set("interfaceVersion", 1);
  exports.Set("probe", Napi::Function::New<probe>(env, "probe"));
  exports.Set("open", Napi::Function::New<open>(env, "open"));
  return exports;
}

}  // namespace dsconv

static Napi::Object Initialize(Napi::Env env, Napi::Object exports) { return dsconv::initialize(env, exports); }
NODE_API_MODULE(dsconv_cuda, Initialize)
