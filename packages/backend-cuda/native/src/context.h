// One opened device: its memory, streams, events, graphs and kernels, by the numbers that JavaScript knows. Nothing here knows JavaScript.
#pragma once
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "driver.h"

namespace dsconv {

struct DeviceInfo {
  int index = 0;
  std::string name;
  size_t total_memory = 0;
  int major = 0, minor = 0, multiprocessors = 0, shared_per_block = 0, shared_per_multiprocessor = 0, l2_bytes = 0;
  int max_threads_per_multiprocessor = 0, registers_per_multiprocessor = 0, clock = 0, memory_clock = 0, memory_bus = 0;
  int max_grid[3] = {0, 0, 0};
  bool supported() const { return major * 10 + minor >= kLeastCapability; }
};
/** All devices. @throws Failure NO_DEVICE, CUDA_ERROR */
std::vector<DeviceInfo> list_devices(const Driver& driver);

/** Handles are never used twice, so that a stale one is noticed. */
template <typename T>
class Table {
 public:
  explicit Table(const char* what) : what_(what) {}
  uint32_t add(T value) {
    content_.emplace(++last_, std::move(value));
    return last_;
  }
  T& at(uint32_t handle) {
    const auto found = content_.find(handle);
    if (found == content_.end()) fail_handle(std::string(what_) + " is " + std::to_string(handle) + ", which names none (any more)");
    return found->second;
  }
  T take(uint32_t handle) {
    T value = std::move(at(handle));
    content_.erase(handle);
    return value;
  }
  std::unordered_map<uint32_t, T>& content() { return content_; }

 private:
  const char* what_;
  uint32_t last_ = 0;
  std::unordered_map<uint32_t, T> content_;
};

struct StreamState {
  CUstream stream;
  bool capturing = false;
};
struct KernelState {
  CUfunction function;
  std::string name;
  unsigned shared;
};

class Context {
 public:
  Context(const Driver& driver, const DeviceInfo& info);
  ~Context() { close(); }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  /** Makes the device current for this thread, as every entry must: other threads and libraries have contexts too. @throws Failure CLOSED, CUDA_ERROR */
  void enter();
  /** Gives everything back. Errors of the driver are of no use then, and ignored. */
  void close();
  bool closed() const { return context_ == nullptr; }
  CUcontext handle() const { return context_; }

  void load_module(const void* image, size_t bytes);
  uint32_t function(const std::string& name, unsigned shared);

  CUdeviceptr malloc(size_t bytes);
  void free(CUdeviceptr address);
  /** Throws unless the bytes lie in one allocation; `what` names them. */
  void expect_inside(CUdeviceptr address, size_t bytes, const char* what) const;

  uint32_t create_stream();
  void destroy_stream(uint32_t handle);
  /** The stream, which must not be under capture where `what` (half a sentence) cannot be captured. */
  CUstream stream(uint32_t handle, const char* what = nullptr);

  uint32_t create_event();
  void destroy_event(uint32_t handle);

  void begin_capture(uint32_t stream);
  uint32_t end_capture(uint32_t stream);
  void destroy_graph(uint32_t handle);

  const Driver& driver;
  const DeviceInfo info;
  Table<StreamState> streams{"stream"};
  Table<KernelState> kernels{"fn"};
  Table<CUevent> events{"event"};
  Table<CUgraphExec> graphs{"graph"};

 private:
  CUdevice device_ = 0;
  CUcontext context_ = nullptr;
  std::vector<CUmodule> modules_;
  std::unordered_map<std::string, uint32_t> names_;
  std::map<CUdeviceptr, size_t> allocations_;
};

}  // namespace dsconv
