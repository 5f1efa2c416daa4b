// Pinned host memory, through which copies to and from the device go without the event loop waiting for them. Used by the thread of JavaScript alone.
#pragma once
#include <vector>

#include "driver.h"

namespace dsconv {

struct Pinned {
  char* data = nullptr;
  /** A power of two. */
  size_t bytes = 0;
};

/** Pinning takes longer than copying, so that some of what is given back is kept. */
class PinnedPool {
 public:
  explicit PinnedPool(const Driver* driver) : driver_(driver) {}
  ~PinnedPool() { clear(); }
  PinnedPool(const PinnedPool&) = delete;
  PinnedPool& operator=(const PinnedPool&) = delete;

  /** The context must be current, here and below. @throws Failure OUT_OF_MEMORY, CUDA_ERROR */
  Pinned take(size_t bytes);
  /** Nothing may be under way from or to it any more. */
  void give(Pinned memory);
  void clear();

 private:
  static constexpr size_t kLeast = 4096, kMostKept = size_t(64) << 20;
  const Driver* driver_;
  std::vector<Pinned> kept_;
  size_t kept_bytes_ = 0;
};

}  // namespace dsconv
