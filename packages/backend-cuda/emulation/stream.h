// Streams, graphs and events of the stand-in driver. With DSCONV_EMULATED_LAZY=1 work waits until somebody waits for it, so that who does not wait reads poison.
#pragma once
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "../native/src/driver_api.h"

namespace emulation {

/** One piece of work; returns an error of the device, which then sticks. Run without the lock of the state. */
using Work = std::function<CUresult()>;
using Graph = std::vector<Work>;

struct Event {
  /** Records asked for, and done. */
  uint64_t asked = 0, done = 0;
  bool timing = true;
  /** Where it was recorded last. */
  struct Stream* stream = nullptr;
  std::chrono::steady_clock::time_point when;
};

struct Stream {
  struct Item {
    Work work;
    /** Set for a record. */
    std::shared_ptr<Event> event;
  };
  std::deque<Item> queue;
  /** Somebody runs an item at this moment. */
  bool busy = false;
  bool capturing = false, capture_broken = false;
  Graph captured;
};

/** All that the device is. The lock is held by every call of the driver, but not while work runs. */
struct Device {
  std::mutex mutex;
  std::condition_variable progress;
  std::vector<Stream*> streams;
  /** The error that every call answers until the context is gone. */
  CUresult sticky = kCudaSuccess;
  bool lazy = false;
};

/** Does what is queued: until the event's last record, or all. Returns the sticky error. */
CUresult drain(Device& device, Stream& stream, const Event* until, std::unique_lock<std::mutex>& lock);
CUresult drain_all(Device& device, std::unique_lock<std::mutex>& lock);
/** Queues work, or notes it under capture, or does it at once. */
CUresult enqueue(Device& device, Stream& stream, Work work, std::unique_lock<std::mutex>& lock, std::shared_ptr<Event> event = nullptr);

}  // namespace emulation
