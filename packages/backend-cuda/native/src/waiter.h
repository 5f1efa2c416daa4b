// Threads that wait for the device in place of the event loop: one for each stream that promises are made on.
#pragma once
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "driver.h"

namespace dsconv {

/** Something that is done when its event is. Made and destroyed by the thread of JavaScript. */
struct Job {
  virtual ~Job() = default;
  CUevent event = nullptr;
  CUresult result = kCudaSuccess;
};

/** Jobs that are done, on their way back. */
class Outbox {
 public:
  /** @param notify called by waiters when jobs are there for the first time since `take` */
  explicit Outbox(std::function<void()> notify) : notify_(std::move(notify)) {}
  void put(Job* job);
  std::vector<Job*> take();

 private:
  std::mutex mutex_;
  std::vector<Job*> done_;
  std::function<void()> notify_;
};

class Waiter {
 public:
  /** @param enter makes the context current, and is called in the waiter's thread */
  Waiter(const Driver& driver, std::function<void()> enter, Outbox& outbox);
  /** Ends when all jobs are done. */
  ~Waiter();
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;

  /** Events must be recorded on one stream, in the order of the calls. */
  void push(Job* job);

 private:
  void serve();
  CUresult wait_for(CUevent event) const;

  const Driver& driver_;
  const std::function<void()> enter_;
  Outbox& outbox_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job*> jobs_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace dsconv
