#include "thread_pool.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "common.h"

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#define DSCONV_PAUSE() _mm_pause()
#elif defined(__aarch64__)
#define DSCONV_PAUSE() asm volatile("yield")
#else
#define DSCONV_PAUSE() std::this_thread::yield()
#endif

namespace dsconv {
namespace {

// Pauses before a thread without work goes to sleep, and before one that waits for others lets them have its core: the former spans the time between two
// runs of a plan (some 0.2 ms), since waking can take longer than a run.
constexpr int kIdleSpins = 12000, kWaitSpins = 8000;

class Pool {
 public:
  static Pool& get() {
    // Never destroyed: workers may outlive static destructors of a host that exits hard.
    static Pool* pool = new Pool();
    return *pool;
  }

  void resize(int n) { wanted_.store(std::min(std::max(n, 1), kMaxThreads), std::memory_order_relaxed); }
  int size() const { return wanted_.load(std::memory_order_relaxed); }

  void run(int64_t count, int64_t grain, RangeBody body, void* context) {
    const int threads = size();
    // A region takes its turn even when it runs alone: at most one region computes at a time.
    Turn turn(this);
    if (threads == 1 || count <= grain) {
      body(context, 0, count);
      return;
    }
    ensure_workers(threads - 1);
    body_ = body;
    context_ = context;
    count_ = count;
    // About four ranges a thread even out what the other load of the machine does.
    chunk_ = std::max<int64_t>(grain, ceil_div<int64_t>(count, int64_t{threads} * 4));
    next_.store(0, std::memory_order_relaxed);
    gate_.store(0, std::memory_order_release);
    {
      const std::lock_guard<std::mutex> lock(wake_mutex_);
      epoch_.fetch_add(1, std::memory_order_release);
    }
    if (sleepers_.load(std::memory_order_seq_cst) > 0) wake_.notify_all();
    work();
    // Whoever has not come by now is not waited for: a sleeping thread may take milliseconds to wake on a busy machine.
    gate_.fetch_or(kClosed, std::memory_order_acq_rel);
    for (int spin = 0; gate_.load(std::memory_order_acquire) != kClosed; spin++) {
      if (spin < kWaitSpins) DSCONV_PAUSE();
      else std::this_thread::yield();
    }
    if (error_) {
      std::exception_ptr error = error_;
      error_ = nullptr;
      std::rethrow_exception(error);
    }
  }

  void stop() {
    Turn turn(this);
    stop_workers_locked();
  }

 private:
  // First come, first served.
  class Turn {
   public:
    explicit Turn(Pool* pool) : pool_(pool) {
      std::unique_lock<std::mutex> lock(pool_->turn_mutex_);
      const uint64_t mine = pool_->turn_next_++;
      pool_->turn_.wait(lock, [&] { return pool_->turn_now_ == mine; });
    }
    ~Turn() {
      const std::lock_guard<std::mutex> lock(pool_->turn_mutex_);
      pool_->turn_now_++;
      if (pool_->turn_now_ != pool_->turn_next_) pool_->turn_.notify_all();
    }

   private:
    Pool* pool_;
  };

  void ensure_workers(int n) {
    if (int(workers_.size()) == n) return;
    stop_workers_locked();
    stopping_.store(false);
    const uint32_t epoch = epoch_.load();
    for (int i = 0; i < n; i++) workers_.emplace_back([this, epoch] { loop(epoch); });
  }

  void stop_workers_locked() {
    {
      const std::lock_guard<std::mutex> lock(wake_mutex_);
      stopping_.store(true);
    }
    wake_.notify_all();
    for (std::thread& worker : workers_) worker.join();
    workers_.clear();
  }

  void loop(uint32_t seen) {
    for (;;) {
      for (int spin = 0; spin < kIdleSpins && epoch_.load(std::memory_order_acquire) == seen && !stopping_.load(std::memory_order_relaxed); spin++) {
        DSCONV_PAUSE();
      }
      if (epoch_.load(std::memory_order_acquire) == seen) {
        std::unique_lock<std::mutex> lock(wake_mutex_);
        sleepers_.fetch_add(1, std::memory_order_seq_cst);
        wake_.wait(lock, [&] { return epoch_.load() != seen || stopping_.load(); });
        sleepers_.fetch_sub(1);
      }
      if (epoch_.load(std::memory_order_acquire) == seen) return;  // stopping, and nothing new to do
      seen = epoch_.load(std::memory_order_acquire);
      if (!join()) continue;
      work();
      gate_.fetch_sub(1, std::memory_order_release);
    }
  }

  // Into the region that is open, if one is.
  bool join() {
    int gate = gate_.load(std::memory_order_relaxed);
    while (!(gate & kClosed)) {
      if (gate_.compare_exchange_weak(gate, gate + 1, std::memory_order_acquire, std::memory_order_relaxed)) return true;
    }
    return false;
  }

  void work() {
    for (;;) {
      const int64_t begin = next_.fetch_add(chunk_, std::memory_order_relaxed);
      if (begin >= count_) return;
      try {
        body_(context_, begin, std::min(count_, begin + chunk_));
      } catch (...) {
        const std::lock_guard<std::mutex> lock(error_mutex_);
        if (!error_) error_ = std::current_exception();
      }
    }
  }

  std::atomic<int> wanted_{1};
  std::vector<std::thread> workers_;
  std::mutex turn_mutex_;
  std::condition_variable turn_;
  uint64_t turn_next_ = 0, turn_now_ = 0;

  std::mutex wake_mutex_;
  std::condition_variable wake_;
  std::atomic<uint32_t> epoch_{0};
  std::atomic<int> sleepers_{0};
  std::atomic<bool> stopping_{false};
  // Workers inside the region, and whether it is closed to others.
  static constexpr int kClosed = 1 << 30;
  std::atomic<int> gate_{kClosed};
  std::atomic<int64_t> next_{0};
  int64_t count_ = 0, chunk_ = 1;
  RangeBody body_ = nullptr;
  void* context_ = nullptr;
  std::mutex error_mutex_;
  std::exception_ptr error_;
};

struct Scratch {
  Buffer slots[4];
};

}  // namespace

void set_threads(int n) { Pool::get().resize(n); }
int get_threads() { return Pool::get().size(); }
void stop_workers() { Pool::get().stop(); }

void parallel_ranges(int64_t count, int64_t grain, RangeBody body, void* context) {
  if (count > 0) Pool::get().run(count, std::max<int64_t>(grain, 1), body, context);
}

void* thread_scratch(int slot, size_t bytes) {
  thread_local Scratch scratch;
  Buffer& buffer = scratch.slots[slot];
  if (buffer.bytes() < bytes) buffer.allocate(round_up<size_t>(bytes, 4096));
  return buffer.data();
}

}  // namespace dsconv
