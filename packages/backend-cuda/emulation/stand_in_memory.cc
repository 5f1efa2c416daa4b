// Memory of the device and of the host, copies and fills.
#include <cstdlib>
#include <cstring>

#include "stand_in.h"

using namespace emulation;

namespace {

CUresult outside(const char* what, CUdeviceptr address, size_t bytes) {
  return complain(kCudaInvalidValue, std::string(what) + " of " + std::to_string(bytes) + " bytes is outside of every allocation: " +
                                         state().memory.describe(address));
}

/** True where the host's bytes are pinned: only then does a copy read or write them later. */
bool is_pinned(const void* from, size_t bytes) {
  const auto& pinned = state().pinned;
  auto after = pinned.upper_bound(const_cast<void*>(from));
  if (after == pinned.begin()) return false;
  --after;
  const char* begin = static_cast<const char*>(after->first);
  return static_cast<const char*>(from) + bytes <= begin + after->second;
}

void* on_device(CUdeviceptr address) { return reinterpret_cast<void*>(address); }

bool known(CUstream stream) { return state().streams.count(stream) != 0; }

}  // namespace

DSCONV_EXPORT CUresult cuMemAlloc_v2(CUdeviceptr* address, size_t bytes) {
  const Call call("cuMemAlloc_v2");
  if (call.error) return call.error;
  if (bytes == 0) return kCudaInvalidValue;
  *address = state().memory.allocate(bytes, state().pretended.memory);
  return *address != 0 ? kCudaSuccess : kCudaOutOfMemory;
}

DSCONV_EXPORT CUresult cuMemFree_v2(CUdeviceptr address) {
  Call call("cuMemFree_v2");
  if (call.refused()) return call.error;
  State& s = state();
  // The driver waits too.
  const CUresult result = drain_all(s.device, call.lock);
  if (result != kCudaSuccess) return result;
  const std::string damage = s.memory.damage_near(address);
  if (!damage.empty()) return s.device.sticky = complain(kCudaIllegalAddress, "a kernel " + damage);
  if (s.memory.free(address)) return call.error;
  return complain(kCudaInvalidValue, "what is freed is no allocation (any more): " + s.memory.describe(address));
}

DSCONV_EXPORT CUresult cuMemGetInfo_v2(size_t* free, size_t* total) {
  const Call call("cuMemGetInfo_v2");
  *total = state().pretended.memory;
  *free = *total - state().memory.used();
  return call.error;
}

DSCONV_EXPORT CUresult cuMemHostAlloc(void** address, size_t bytes, unsigned) {
  const Call call("cuMemHostAlloc");
  if (call.error) return call.error;
  *address = malloc(bytes);
  if (*address == nullptr) return kCudaOutOfMemory;
  memset(*address, kPoison, bytes);
  state().pinned[*address] = bytes;
  return kCudaSuccess;
}

DSCONV_EXPORT CUresult cuMemFreeHost(void* address) {
  Call call("cuMemFreeHost");
  if (call.refused()) return call.error;
  drain_all(state().device, call.lock);
  if (state().pinned.erase(address) == 0) return kCudaInvalidValue;
  free(address);
  return call.error;
}

DSCONV_EXPORT CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void* from, size_t bytes, CUstream stream) {
  Call call("cuMemcpyHtoDAsync_v2");
  if (call.error) return call.error;
  State& s = state();
  if (!known(stream)) return kCudaInvalidHandle;
  if (!s.memory.holds(to, bytes)) return outside("a copy to the device", to, bytes);
  if (is_pinned(from, bytes)) {
    return enqueue(s.device, *stream, [=] { memcpy(on_device(to), from, bytes); return kCudaSuccess; }, call.lock);
  }
  if (stream->capturing) {
    stream->capture_broken = true;
    return complain(kCudaCaptureUnsupported, "a copy from pageable memory was captured");
  }
  // The driver has taken the bytes when it returns.
  auto taken = std::make_shared<std::vector<char>>(static_cast<const char*>(from), static_cast<const char*>(from) + bytes);
  return enqueue(s.device, *stream, [=] { memcpy(on_device(to), taken->data(), bytes); return kCudaSuccess; }, call.lock);
}

DSCONV_EXPORT CUresult cuMemcpyDtoHAsync_v2(void* to, CUdeviceptr from, size_t bytes, CUstream stream) {
  Call call("cuMemcpyDtoHAsync_v2");
  if (call.error) return call.error;
  State& s = state();
  if (!known(stream)) return kCudaInvalidHandle;
  if (!s.memory.holds(from, bytes)) return outside("a copy from the device", from, bytes);
  const bool pinned = is_pinned(to, bytes);
  if (stream->capturing && !pinned) {
    stream->capture_broken = true;
    return complain(kCudaCaptureUnsupported, "a copy to pageable memory was captured");
  }
  const CUresult result = enqueue(s.device, *stream, [=] { memcpy(to, on_device(from), bytes); return kCudaSuccess; }, call.lock);
  return pinned || result ? result : drain(s.device, *stream, nullptr, call.lock);
}

DSCONV_EXPORT CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) {
  Call call("cuMemcpyDtoDAsync_v2");
  if (call.error) return call.error;
  State& s = state();
  if (!known(stream)) return kCudaInvalidHandle;
  if (!s.memory.holds(to, bytes)) return outside("a copy on the device", to, bytes);
  if (!s.memory.holds(from, bytes)) return outside("a copy on the device", from, bytes);
  return enqueue(s.device, *stream, [=] { memcpy(on_device(to), on_device(from), bytes); return kCudaSuccess; }, call.lock);
}

DSCONV_EXPORT CUresult cuMemsetD32Async(CUdeviceptr to, unsigned value, size_t count, CUstream stream) {
  Call call("cuMemsetD32Async");
  if (call.error) return call.error;
  State& s = state();
  if (!known(stream)) return kCudaInvalidHandle;
  if (to % 4 != 0) return complain(kCudaInvalidValue, "a fill of words begins at an address that is no multiple of 4");
  if (!s.memory.holds(to, 4 * count)) return outside("a fill", to, 4 * count);
  const auto fill = [=] {
    unsigned* words = static_cast<unsigned*>(on_device(to));
    for (size_t n = 0; n < count; n++) words[n] = value;
    return kCudaSuccess;
  };
  return enqueue(s.device, *stream, fill, call.lock);
}
