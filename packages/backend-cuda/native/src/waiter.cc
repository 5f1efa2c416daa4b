#include "waiter.h"

#include <chrono>
#include <utility>

namespace dsconv {
namespace {

/** Asking again and again notices the end at once; sleeping costs tens of microseconds more, and no core. Most runs of a network end within this time. */
constexpr std::chrono::microseconds kAsking{1000};

}  // namespace

void Outbox::put(Job* job) {
  bool first;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    first = done_.empty();
    done_.push_back(job);
  }
  if (first) notify_();
}

std::vector<Job*> Outbox::take() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return std::exchange(done_, {});
}

Waiter::Waiter(const Driver& driver, std::function<void()> enter, Outbox& outbox)
    : driver_(driver), enter_(std::move(enter)), outbox_(outbox), thread_([this] { serve(); }) {}

Waiter::~Waiter() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void Waiter::push(Job* job) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    jobs_.push_back(job);
  }
  wake_.notify_one();
}

void Waiter::serve() {
  // Where even that fails, the driver says so again when it is asked for the events.
  try {
    enter_();
  } catch (const Failure&) {
  }
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
    if (jobs_.empty()) return;
    Job* job = jobs_.front();
    jobs_.pop_front();
    lock.unlock();
    job->result = wait_for(job->event);
    outbox_.put(job);
    lock.lock();
  }
}

CUresult Waiter::wait_for(CUevent event) const {
  const auto end = std::chrono::steady_clock::now() + kAsking;
  do {
    const CUresult result = driver_.cuEventQuery(event);
    if (result != kCudaNotReady) return result;
    std::this_thread::yield();
  } while (std::chrono::steady_clock::now() < end);
  return driver_.cuEventSynchronize(event);
}

}  // namespace dsconv
