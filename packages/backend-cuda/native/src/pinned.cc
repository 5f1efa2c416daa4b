#include "pinned.h"

#include <algorithm>

namespace dsconv {

Pinned PinnedPool::take(size_t bytes) {
  size_t size = kLeast;
  while (size < bytes) size *= 2;
  const auto found = std::find_if(kept_.begin(), kept_.end(), [size](const Pinned& memory) { return memory.bytes == size; });
  if (found != kept_.end()) {
    const Pinned memory = *found;
    kept_.erase(found);
    kept_bytes_ -= size;
    return memory;
  }
  void* data = nullptr;
  const auto pin = [&] { return driver_->cuMemHostAlloc(&data, size, kHostAllocPortable); };
  CUresult result = pin();
  if (result == kCudaOutOfMemory && kept_bytes_ > 0) {
    clear();
    result = pin();
  }
  driver_->check(result, readable_bytes(size) + " of pinned host memory cannot be taken");
  return {static_cast<char*>(data), size};
}

void PinnedPool::give(Pinned memory) {
  if (memory.data == nullptr) return;
  if (kept_bytes_ + memory.bytes > kMostKept) {
    driver_->cuMemFreeHost(memory.data);
    return;
  }
  kept_.push_back(memory);
  kept_bytes_ += memory.bytes;
}

void PinnedPool::clear() {
  for (const Pinned& memory : kept_) driver_->cuMemFreeHost(memory.data);
  kept_.clear();
  kept_bytes_ = 0;
}

}  // namespace dsconv
