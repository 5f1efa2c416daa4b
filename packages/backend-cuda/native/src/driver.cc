#include "driver.h"

#include <uv.h>

#include <cstdio>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

namespace dsconv {
namespace {

std::string environment(const char* name) {
  // libuv's, because Node keeps the variables that scripts set where it looks.
  char small[512];
  size_t size = sizeof small;
  if (uv_os_getenv(name, small, &size) == 0) return small;
  std::string large(size, '\0');
  return uv_os_getenv(name, large.data(), &size) == 0 ? large.substr(0, size) : "";
}

std::string version_text(int version) { return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10); }

std::vector<std::string> system_paths() {
#if defined(_WIN32)
  return {"nvcuda.dll"};
#else
  // The last is where the Windows Subsystem for Linux has it.
  return {"libcuda.so.1", "libcuda.so", "/usr/lib/wsl/lib/libcuda.so.1"};
#endif
}

}  // namespace

const Driver& Driver::get() {
  static std::mutex mutex;
  static auto* drivers = new std::map<std::string, std::unique_ptr<Driver>>;
  const std::lock_guard<std::mutex> lock(mutex);
  const std::string path = environment("DSCONV_CUDA_DRIVER");
  auto found = drivers->find(path);
  if (found == drivers->end()) {
    auto driver = std::make_unique<Driver>();
    driver->open(path);
    found = drivers->emplace(path, std::move(driver)).first;
  }
  found->second->start();
  return *found->second;
}

void Driver::open(const std::string& path) {
#ifdef __APPLE__
  if (path.empty()) fail("NO_DRIVER", "there is no NVIDIA driver for macOS");
#endif
  const std::vector<std::string> paths = path.empty() ? system_paths() : std::vector<std::string>{path};
  uv_lib_t library;
  std::string first_reason;
  bool opened = false;
  for (const std::string& candidate : paths) {
    opened = uv_dlopen(candidate.c_str(), &library) == 0;
    if (opened) break;
    if (first_reason.empty()) first_reason = uv_dlerror(&library);
    uv_dlclose(&library);
  }
  if (!opened) fail("NO_DRIVER", "no NVIDIA driver was found (" + first_reason + ")");
  const auto symbol = [&](const char* name) {
    void* address = nullptr;
    return uv_dlsym(&library, name, &address) == 0 ? address : nullptr;
  };
#define DSCONV_LOAD(name, parameters)                                                                                       \
  name = reinterpret_cast<decltype(name)>(symbol(#name));                                                                   \
  if (name == nullptr) {                                                                                                    \
    fail("DRIVER_TOO_OLD", "the NVIDIA driver lacks " #name "; expected one for CUDA " + version_text(kLeastDriverVersion) + \
                               " or newer");                                                                                \
  }
  DSCONV_DRIVER_FUNCTIONS(DSCONV_LOAD)
#undef DSCONV_LOAD
  emulated = symbol("dsconv_emulated_driver") != nullptr;
}

void Driver::start() {
  int found = 0;
  check(cuDriverGetVersion(&found), "the NVIDIA driver does not tell its version");
  version = found;
  if (found < kLeastDriverVersion) {
    fail("DRIVER_TOO_OLD", "the NVIDIA driver knows CUDA " + version_text(found) + "; expected one for CUDA " +
                               version_text(kLeastDriverVersion) + " or newer");
  }
  const CUresult result = cuInit(0);
  if (result == kCudaNoDevice) fail("NO_DEVICE", "the NVIDIA driver shows no device");
  check(result, "the NVIDIA driver does not start");
}

std::string Driver::name_of(CUresult result) const {
  const char* name = nullptr;
  if (cuGetErrorName == nullptr || cuGetErrorName(result, &name) != kCudaSuccess || name == nullptr) {
    return "CUDA error " + std::to_string(result);
  }
  return name;
}

void Driver::raise(CUresult result, const std::string& what) const {
  const std::string name = name_of(result);
  const char* text = nullptr;
  cuGetErrorString(result, &text);
  const std::string sentence = what + ": " + name + (text != nullptr ? std::string(" (") + text + ")" : "");
  if (result == kCudaOutOfMemory) throw Failure(Failure::kError, "OUT_OF_MEMORY", sentence, name);
  throw Failure(Failure::kError, is_fatal(result) ? "DEVICE_LOST" : "CUDA_ERROR", sentence, name);
}

bool is_fatal(CUresult result) {
  switch (result) {
    case kCudaDeinitialized:
    case kCudaDeviceUnavailable:
    case kCudaEccUncorrectable:
    case kCudaNvlinkUncorrectable:
    case kCudaContained:
    case kCudaIllegalAddress:
    case kCudaLaunchTimeout:
    case kCudaContextIsDestroyed:
    case kCudaAssert:
    case kCudaHardwareStackError:
    case kCudaIllegalInstruction:
    case kCudaMisalignedAddress:
    case kCudaInvalidAddressSpace:
    case kCudaInvalidPc:
    case kCudaLaunchFailed:
    case kCudaTensorMemoryLeak:
      return true;
    default:
      return false;
  }
}

std::string readable_bytes(size_t bytes) {
  static const char* const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  int unit = 0;
  while (value >= 1024 && unit < 4) {
    value /= 1024;
    unit++;
  }
  char text[48];
  snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
  return text;
}

}  // namespace dsconv
