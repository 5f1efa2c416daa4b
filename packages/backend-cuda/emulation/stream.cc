#include "stream.h"

#include <utility>

namespace emulation {

CUresult drain(Device& device, Stream& stream, const Event* until, std::unique_lock<std::mutex>& lock) {
  const uint64_t target = until != nullptr ? until->asked : 0;
  for (;;) {
    if (until != nullptr && until->done >= target) break;
    if (stream.busy) {
      device.progress.wait(lock);
      continue;
    }
    if (stream.queue.empty()) break;
    Stream::Item item = std::move(stream.queue.front());
    stream.queue.pop_front();
    // After an error of the device nothing is done any more, but all that waits for it goes on.
    if (device.sticky == kCudaSuccess && item.work) {
      stream.busy = true;
      lock.unlock();
      const CUresult result = item.work();
      lock.lock();
      stream.busy = false;
      if (result != kCudaSuccess && device.sticky == kCudaSuccess) device.sticky = result;
    }
    if (item.event != nullptr) {
      item.event->done++;
      item.event->when = std::chrono::steady_clock::now();
    }
    device.progress.notify_all();
  }
  return device.sticky;
}

CUresult drain_all(Device& device, std::unique_lock<std::mutex>& lock) {
  // Not by iterators: the list may change while work runs.
  for (size_t n = 0; n < device.streams.size(); n++) drain(device, *device.streams[n], nullptr, lock);
  return device.sticky;
}

CUresult enqueue(Device& device, Stream& stream, Work work, std::unique_lock<std::mutex>& lock, std::shared_ptr<Event> event) {
  if (stream.capturing) {
    stream.captured.push_back(std::move(work));
    return kCudaSuccess;
  }
  stream.queue.push_back({std::move(work), std::move(event)});
  return device.lazy ? kCudaSuccess : drain(device, stream, nullptr, lock);
}

}  // namespace emulation
