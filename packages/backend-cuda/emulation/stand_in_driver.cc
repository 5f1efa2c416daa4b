// The driver's entry points: devices, contexts, modules, errors. What memory and streams do is in stand_in_memory.cc and stand_in_streams.cc.
#include <cstdio>
#include <cstring>

#include "stand_in.h"

using namespace emulation;

/** Tells the addon that this is not a GPU. */
DSCONV_EXPORT int dsconv_emulated_driver() { return 1; }

DSCONV_EXPORT CUresult cuInit(unsigned) {
  {
    const std::unique_lock<std::mutex> lock(state().device.mutex);
    read_pretended();
  }
  const Call call("cuInit", Needs::nothing);
  if (call.error) return call.error;
  if (state().pretended.devices == 0) return kCudaNoDevice;
  state().initialized = true;
  return kCudaSuccess;
}

DSCONV_EXPORT CUresult cuDriverGetVersion(int* version) {
  {
    const std::unique_lock<std::mutex> lock(state().device.mutex);
    read_pretended();
  }
  const Call call("cuDriverGetVersion", Needs::nothing);
  *version = state().pretended.driver_version;
  return call.error;
}

DSCONV_EXPORT CUresult cuGetErrorName(CUresult error, const char** name) {
  static const std::map<CUresult, const char*> names = {
      {0, "CUDA_SUCCESS"},
      {kCudaInvalidValue, "CUDA_ERROR_INVALID_VALUE"},
      {kCudaOutOfMemory, "CUDA_ERROR_OUT_OF_MEMORY"},
      {kCudaNotInitialized, "CUDA_ERROR_NOT_INITIALIZED"},
      {kCudaNoDevice, "CUDA_ERROR_NO_DEVICE"},
      {kCudaInvalidDevice, "CUDA_ERROR_INVALID_DEVICE"},
      {kCudaInvalidImage, "CUDA_ERROR_INVALID_IMAGE"},
      {kCudaInvalidContext, "CUDA_ERROR_INVALID_CONTEXT"},
      {kCudaInvalidHandle, "CUDA_ERROR_INVALID_HANDLE"},
      {kCudaNotFound, "CUDA_ERROR_NOT_FOUND"},
      {kCudaNotReady, "CUDA_ERROR_NOT_READY"},
      {kCudaIllegalAddress, "CUDA_ERROR_ILLEGAL_ADDRESS"},
      {kCudaLaunchOutOfResources, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES"},
      {kCudaLaunchFailed, "CUDA_ERROR_LAUNCH_FAILED"},
      {kCudaCaptureUnsupported, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"},
      {kCudaCaptureInvalidated, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"},
      {kCudaSystemDriverMismatch, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"},
      {kCudaUnknown, "CUDA_ERROR_UNKNOWN"},
  };
  const auto found = names.find(error);
  *name = found == names.end() ? nullptr : found->second;
  return found == names.end() ? kCudaInvalidValue : kCudaSuccess;
}

DSCONV_EXPORT CUresult cuGetErrorString(CUresult, const char** text) {
  const std::unique_lock<std::mutex> lock(state().device.mutex);
  *text = state().complaints.empty() ? "emulated error" : state().complaints.back().c_str();
  return kCudaSuccess;
}

// ---- devices and contexts ------------------------------------------------------------------------------------------------------

DSCONV_EXPORT CUresult cuDeviceGetCount(int* count) {
  const Call call("cuDeviceGetCount", Needs::initialized);
  *count = state().pretended.devices;
  return call.error;
}

DSCONV_EXPORT CUresult cuDeviceGet(CUdevice* device, int index) {
  const Call call("cuDeviceGet", Needs::initialized);
  if (call.error) return call.error;
  *device = index;
  return index >= 0 && index < state().pretended.devices ? kCudaSuccess : kCudaInvalidDevice;
}

DSCONV_EXPORT CUresult cuDeviceGetName(char* name, int length, CUdevice device) {
  const Call call("cuDeviceGetName", Needs::initialized);
  snprintf(name, static_cast<size_t>(length), "emulated device %d", device);
  return call.error;
}

DSCONV_EXPORT CUresult cuDeviceTotalMem_v2(size_t* bytes, CUdevice) {
  const Call call("cuDeviceTotalMem_v2", Needs::initialized);
  *bytes = state().pretended.memory;
  return call.error;
}

DSCONV_EXPORT CUresult cuDeviceGetAttribute(int* value, int attribute, CUdevice) {
  const Call call("cuDeviceGetAttribute", Needs::initialized);
  const int capability = state().pretended.capability;
  // Devices that exist: T4, A100, A10 and the like, H100, RTX 50.
  const bool turing = capability < 80, hopper = capability >= 90 && capability < 120;
  const bool large = capability == 80 || hopper;
  switch (attribute) {
    case kAttributeComputeCapabilityMajor: *value = capability / 10; break;
    case kAttributeComputeCapabilityMinor: *value = capability % 10; break;
    case kAttributeMultiprocessorCount: *value = turing ? 40 : hopper ? 132 : capability == 80 ? 108 : 72; break;
    case kAttributeMaxGridX: *value = 2147483647; break;
    case kAttributeMaxGridY:
    case kAttributeMaxGridZ: *value = 65535; break;
    case kAttributeClockRate: *value = 1410000; break;
    case kAttributeMemoryClockRate: *value = 1215000; break;
    case kAttributeMemoryBusWidth: *value = large ? 5120 : 256; break;
    case kAttributeL2CacheSize: *value = large ? 40 << 20 : 4 << 20; break;
    case kAttributeMaxThreadsPerMultiprocessor: *value = turing ? 1024 : large ? 2048 : 1536; break;
    case kAttributeMaxRegistersPerMultiprocessor: *value = 65536; break;
    case kAttributeMaxSharedMemoryPerMultiprocessor: *value = turing ? 65536 : hopper ? 233472 : large ? 167936 : 102400; break;
    case kAttributeMaxSharedMemoryPerBlockOptIn: *value = turing ? 65536 : hopper ? 232448 : large ? 166912 : 101376; break;
    default: return complain(kCudaInvalidValue, "attribute " + std::to_string(attribute) + " of a device is not emulated");
  }
  return call.error;
}

DSCONV_EXPORT CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice) {
  const Call call("cuDevicePrimaryCtxRetain", Needs::initialized);
  if (call.error) return call.error;
  state().retained++;
  *context = &state().context;
  return kCudaSuccess;
}

DSCONV_EXPORT CUresult cuDevicePrimaryCtxRelease_v2(CUdevice) {
  Call call("cuDevicePrimaryCtxRelease_v2", Needs::initialized);
  State& s = state();
  if (s.retained == 0) return kCudaInvalidContext;
  if (s.retained == 1) drain_all(s.device, call.lock);
  // Even where an error was asked for: it is about what the caller sees.
  if (--s.retained == 0) context_gone();
  return call.error;
}

DSCONV_EXPORT CUresult cuCtxSetCurrent(CUcontext context) {
  const Call call("cuCtxSetCurrent", Needs::initialized);
  if (call.error) return call.error;
  current_context() = context;
  return kCudaSuccess;
}

DSCONV_EXPORT CUresult cuCtxSynchronize() {
  Call call("cuCtxSynchronize");
  return call.error ? call.error : drain_all(state().device, call.lock);
}

// ---- modules -----------------------------------------------------------------------------------------------------------------

/** Any image will do: the kernels are in this library. */
DSCONV_EXPORT CUresult cuModuleLoadDataEx(CUmodule* module, const void* image, unsigned count, int* options, void** values) {
  const Call call("cuModuleLoadDataEx");
  if (call.error) return call.error;
  std::string refused;
  if (const char* twice = kernel_declared_twice()) refused = std::string("kernel ") + twice + " is declared twice";
  if (image == nullptr) refused = "no image";
  if (!refused.empty()) {
    for (unsigned n = 0; n < count; n++) {
      if (options[n] == kJitErrorLogBuffer) snprintf(static_cast<char*>(values[n]), 256, "%s", refused.c_str());
    }
    return complain(kCudaInvalidImage, refused);
  }
  *module = new CUmod_st;
  state().modules.insert(*module);
  return kCudaSuccess;
}

DSCONV_EXPORT CUresult cuModuleUnload(CUmodule module) {
  const Call call("cuModuleUnload");
  if (call.refused()) return call.error;
  if (state().modules.erase(module) == 0) return kCudaInvalidHandle;
  delete module;
  return call.error;
}

DSCONV_EXPORT CUresult cuModuleGetFunction(CUfunction* function, CUmodule module, const char* name) {
  const Call call("cuModuleGetFunction");
  if (call.error) return call.error;
  const Kernel* kernel = find_kernel(name);
  if (kernel == nullptr) return complain(kCudaNotFound, std::string("there is no kernel ") + name);
  const int capability = kernel->capability;
  if (capability != 0 && capability != state().pretended.capability) {
    return complain(kCudaNotFound, std::string("kernel ") + name + " is for compute capability " + std::to_string(capability) + " alone");
  }
  auto& entry = module->functions[name];
  if (!entry) entry.reset(new CUfunc_st{kernel, 48 * 1024});
  *function = entry.get();
  return kCudaSuccess;
}

DSCONV_EXPORT CUresult cuFuncSetAttribute(CUfunction function, int attribute, int value) {
  const Call call("cuFuncSetAttribute");
  if (call.error) return call.error;
  int most;
  if (attribute != kFunctionMaxDynamicShared) return kCudaInvalidValue;
  const int capability = state().pretended.capability;
  most = capability < 80 ? 65536 : capability >= 90 && capability < 120 ? 232448 : capability == 80 ? 166912 : 101376;
  if (value < 0 || value > most) return kCudaInvalidValue;
  function->max_dynamic_shared = value;
  return kCudaSuccess;
}
