#include "context.h"

#include <cstring>

namespace dsconv {
namespace {

/** Shared memory that a block may have without asking. */
constexpr unsigned kPlainShared = 48 * 1024;

}  // namespace

std::vector<DeviceInfo> list_devices(const Driver& driver) {
  int count = 0;
  driver.check(driver.cuDeviceGetCount(&count), "the NVIDIA driver does not count its devices");
  if (count == 0) fail("NO_DEVICE", "the NVIDIA driver shows no device");
  std::vector<DeviceInfo> devices;
  for (int index = 0; index < count; index++) {
    DeviceInfo info;
    CUdevice device;
    const std::string what = "device " + std::to_string(index) + " does not tell what it is";
    driver.check(driver.cuDeviceGet(&device, index), what);
    char name[256] = {};
    driver.check(driver.cuDeviceGetName(name, sizeof name, device), what);
    driver.check(driver.cuDeviceTotalMem_v2(&info.total_memory, device), what);
    const struct {
      int attribute;
      int* to;
    } attributes[] = {
        {kAttributeComputeCapabilityMajor, &info.major},
        {kAttributeComputeCapabilityMinor, &info.minor},
        {kAttributeMultiprocessorCount, &info.multiprocessors},
        {kAttributeMaxSharedMemoryPerBlockOptIn, &info.shared_per_block},
        {kAttributeMaxSharedMemoryPerMultiprocessor, &info.shared_per_multiprocessor},
        {kAttributeL2CacheSize, &info.l2_bytes},
        {kAttributeMaxThreadsPerMultiprocessor, &info.max_threads_per_multiprocessor},
        {kAttributeMaxRegistersPerMultiprocessor, &info.registers_per_multiprocessor},
        {kAttributeClockRate, &info.clock},
        {kAttributeMemoryClockRate, &info.memory_clock},
        {kAttributeMemoryBusWidth, &info.memory_bus},
        {kAttributeMaxGridX, &info.max_grid[0]},
        {kAttributeMaxGridY, &info.max_grid[1]},
        {kAttributeMaxGridZ, &info.max_grid[2]},
    };
    for (const auto& [attribute, to] : attributes) driver.check(driver.cuDeviceGetAttribute(to, attribute, device), what);
    info.index = index;
    info.name = name;
    devices.push_back(std::move(info));
  }
  return devices;
}

Context::Context(const Driver& driver, const DeviceInfo& info) : driver(driver), info(info) {
  const std::string what = "device " + std::to_string(info.index) + " (" + info.name + ") cannot be opened";
  driver.check(driver.cuDeviceGet(&device_, info.index), what);
  driver.check(driver.cuDevicePrimaryCtxRetain(&context_, device_), what);
}

void Context::enter() {
  if (closed()) fail("CLOSED", "device " + std::to_string(info.index) + " was closed");
  driver.check(driver.cuCtxSetCurrent(context_), "the device cannot be made current");
}

void Context::close() {
  if (closed()) return;
  driver.cuCtxSetCurrent(context_);
  driver.cuCtxSynchronize();
  for (auto& [handle, graph] : graphs.content()) driver.cuGraphExecDestroy(graph);
  graphs.content().clear();
  for (auto& [handle, event] : events.content()) driver.cuEventDestroy_v2(event);
  events.content().clear();
  for (auto& [handle, state] : streams.content()) {
    CUgraph graph = nullptr;
    if (state.capturing && driver.cuStreamEndCapture(state.stream, &graph) == kCudaSuccess) driver.cuGraphDestroy(graph);
    driver.cuStreamDestroy_v2(state.stream);
  }
  streams.content().clear();
  for (const auto& [address, bytes] : allocations_) driver.cuMemFree_v2(address);
  allocations_.clear();
  kernels.content().clear();
  names_.clear();
  for (CUmodule module : modules_) driver.cuModuleUnload(module);
  modules_.clear();
  driver.cuCtxSetCurrent(nullptr);
  driver.cuDevicePrimaryCtxRelease_v2(device_);
  context_ = nullptr;
}

void Context::load_module(const void* image, size_t bytes) {
  // PTX is text and ends with a NUL; for a fatbin, which knows its length, one more byte changes nothing.
  std::vector<char> ended(bytes + 1);
  memcpy(ended.data(), image, bytes);
  char log[2048] = {};
  int options[] = {kJitErrorLogBuffer, kJitErrorLogBufferBytes};
  void* values[] = {log, reinterpret_cast<void*>(sizeof log)};
  CUmodule module = nullptr;
  const CUresult result = driver.cuModuleLoadDataEx(&module, ended.data(), 2, options, values);
  log[sizeof log - 1] = '\0';
  driver.check(result, std::string("the kernels cannot be loaded") + (log[0] ? std::string(", ") + log : ""));
  modules_.push_back(module);
}

uint32_t Context::function(const std::string& name, unsigned shared) {
  auto found = names_.find(name);
  if (found == names_.end()) {
    CUfunction function = nullptr;
    CUresult result = kCudaNotFound;
    for (CUmodule module : modules_) {
      result = driver.cuModuleGetFunction(&function, module, name.c_str());
      if (result != kCudaNotFound) break;
    }
    driver.check(result, "there is no kernel " + name);
    found = names_.emplace(name, kernels.add({function, name, kPlainShared})).first;
  }
  KernelState& kernel = kernels.at(found->second);
  if (shared > kernel.shared) {
    if (shared > static_cast<unsigned>(info.shared_per_block)) {
      fail_range("dynamicSharedBytes of " + name + " is " + std::to_string(shared) + "; expected at most " +
                 std::to_string(info.shared_per_block) + " on this device");
    }
    driver.check(driver.cuFuncSetAttribute(kernel.function, kFunctionMaxDynamicShared, static_cast<int>(shared)),
                 "kernel " + name + " cannot have " + std::to_string(shared) + " bytes of shared memory");
    kernel.shared = shared;
  }
  return found->second;
}

CUdeviceptr Context::malloc(size_t bytes) {
  CUdeviceptr address = 0;
  const CUresult result = driver.cuMemAlloc_v2(&address, bytes);
  if (result == kCudaOutOfMemory) {
    size_t free = 0, total = 0;
    driver.cuMemGetInfo_v2(&free, &total);
    driver.raise(result, "device " + std::to_string(info.index) + " has no room for " + readable_bytes(bytes) + ", of its " +
                             readable_bytes(total) + " there are " + readable_bytes(free) + " free");
  }
  driver.check(result, "device memory cannot be taken");
  allocations_.emplace(address, bytes);
  return address;
}

void Context::free(CUdeviceptr address) {
  if (allocations_.erase(address) == 0) {
    fail_handle("address is " + std::to_string(address) + ", which malloc did not give, or which was freed");
  }
  driver.check(driver.cuMemFree_v2(address), "device memory cannot be given back");
}

void Context::expect_inside(CUdeviceptr address, size_t bytes, const char* what) const {
  auto after = allocations_.upper_bound(address);
  if (after != allocations_.begin()) {
    --after;
    const CUdeviceptr offset = address - after->first;
    if (offset <= after->second && bytes <= after->second - offset) return;
    if (offset < after->second) {
      fail_range(std::string(what) + " are " + std::to_string(bytes) + " bytes from offset " + std::to_string(offset) +
                 " of an allocation; expected at most the " + std::to_string(after->second) + " that it has");
    }
  }
  fail_handle(std::string(what) + " begin at address " + std::to_string(address) + ", which is in no allocation");
}

uint32_t Context::create_stream() {
  CUstream stream = nullptr;
  driver.check(driver.cuStreamCreate(&stream, kStreamNonBlocking), "a stream cannot be made");
  return streams.add({stream});
}

void Context::destroy_stream(uint32_t handle) {
  stream(handle, "destroyed");
  driver.check(driver.cuStreamDestroy_v2(streams.take(handle).stream), "a stream cannot be destroyed");
}

CUstream Context::stream(uint32_t handle, const char* what) {
  StreamState& state = streams.at(handle);
  if (what != nullptr && state.capturing) fail("INVALID_STATE", std::string("a stream under capture cannot be ") + what);
  return state.stream;
}

uint32_t Context::create_event() {
  CUevent event = nullptr;
  driver.check(driver.cuEventCreate(&event, kEventBlockingSync), "an event cannot be made");
  return events.add(event);
}

void Context::destroy_event(uint32_t handle) {
  driver.check(driver.cuEventDestroy_v2(events.take(handle)), "an event cannot be destroyed");
}

void Context::begin_capture(uint32_t handle) {
  StreamState& state = streams.at(handle);
  stream(handle, "captured again");
  driver.check(driver.cuStreamBeginCapture_v2(state.stream, kCaptureRelaxed), "capture cannot begin");
  state.capturing = true;
}

uint32_t Context::end_capture(uint32_t handle) {
  StreamState& state = streams.at(handle);
  if (!state.capturing) fail("INVALID_STATE", "the stream is not under capture");
  state.capturing = false;
  CUgraph graph = nullptr;
  driver.check(driver.cuStreamEndCapture(state.stream, &graph), "capture cannot end");
  CUgraphExec executable = nullptr;
  const CUresult result = driver.cuGraphInstantiateWithFlags(&executable, graph, 0);
  const CUresult destroyed = driver.cuGraphDestroy(graph);
  driver.check(result, "a graph cannot be instantiated");
  const uint32_t made = graphs.add(executable);
  if (destroyed != kCudaSuccess) {
    driver.cuGraphExecDestroy(graphs.take(made));
    driver.raise(destroyed, "what was captured cannot be given back");
  }
  return made;
}

void Context::destroy_graph(uint32_t handle) {
  const CUgraphExec graph = graphs.at(handle);
  driver.check(driver.cuCtxSynchronize(), "the device does not finish");
  graphs.take(handle);
  driver.check(driver.cuGraphExecDestroy(graph), "a graph cannot be destroyed");
}

}  // namespace dsconv
