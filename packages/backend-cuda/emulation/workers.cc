// Threads of the system that run blocks, the memory blocks run in, and what happens when one touches a wrong address.
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <thread>
#include <condition_variable>

#include "runtime.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

namespace emulation {
namespace {

constexpr size_t kPage = 4096;
/** More than any device gives a block; as many as descriptors of matrices can address. */
constexpr size_t kMostShared = size_t(256) * 1024;
constexpr size_t kRescueBytes = 64 * 1024;

/** All that is thread-local here and no kernel's __shared__, in one place so that poisoning can leave it out. */
struct ThreadState {
  RunningBlock* block;
  char* rescue_stack;
  const void* fault_address;
  int signal;
};
thread_local ThreadState thread_state;

void* map_memory(size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    perror("the emulation cannot map memory");
    abort();
  }
  return memory;
}

// ---- wrong addresses -----------------------------------------------------------------------------------------------------------

struct sigaction previous_actions[64];

/** On a stack of its own, because the fiber's may be what overflowed. */
void after_fault() {
  ThreadState& state = thread_state;
  RunningBlock& block = *state.block;
  char text[96];
  if (state.signal == SIGFPE) {
    snprintf(text, sizeof text, ": divided an integer by zero");
  } else {
    snprintf(text, sizeof text, ": touched the address %p (signal %d)", state.fault_address, state.signal);
  }
  block.failure = {Failure::illegal_address, place(block, block.running) + text};
  abandon(block);
}

[[maybe_unused]] void on_signal(int signal, siginfo_t* info, void* context) {
  ThreadState& state = thread_state;
  if (state.block == nullptr) {
    // Not ours: whoever was there before, or the end.
    const struct sigaction& previous = previous_actions[signal];
    if (previous.sa_flags & SA_SIGINFO) {
      previous.sa_sigaction(signal, info, context);
    } else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
      previous.sa_handler(signal);
    } else {
      sigaction(signal, &previous, nullptr);
    }
    return;
  }
  state.fault_address = info->si_addr;
  state.signal = signal;
  // The thread goes on in after_fault, as if called there.
  mcontext_t& registers = static_cast<ucontext_t*>(context)->uc_mcontext;
  char* top = state.rescue_stack + kRescueBytes;
#if defined(__x86_64__)
  registers.gregs[REG_RSP] = reinterpret_cast<greg_t>(top - 8);
  registers.gregs[REG_RIP] = reinterpret_cast<greg_t>(after_fault);
#else
  registers.sp = reinterpret_cast<uintptr_t>(top);
  registers.pc = reinterpret_cast<uintptr_t>(after_fault);
#endif
}

/** AddressSanitizer reports faults itself, and better. */
void catch_faults() {
#ifndef __SANITIZE_ADDRESS__
  struct sigaction action = {};
  action.sa_sigaction = on_signal;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  for (int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL}) sigaction(signal, &action, &previous_actions[signal]);
#endif
}

// ---- static shared memory --------------------------------------------------------------------------------------------------------

struct Range {
  char* from;
  size_t bytes;
};

/** The thread-local variables of this library for this thread: every __shared__ of every kernel, and thread_state. */
Range thread_locals() {
  Range range = {};
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* found) {
        const char* own = reinterpret_cast<const char*>(&thread_state);
        for (int n = 0; n < info->dlpi_phnum; n++) {
          if (info->dlpi_phdr[n].p_type != PT_TLS || info->dlpi_tls_data == nullptr) continue;
          char* from = static_cast<char*>(info->dlpi_tls_data);
          const size_t bytes = info->dlpi_phdr[n].p_memsz;
          if (own < from || own >= from + bytes) continue;
          *static_cast<Range*>(found) = {from, bytes};
          return 1;
        }
        return 0;
      },
      &range);
  return range;
}

void poison_static_shared(const Range& range) {
  if (range.from == nullptr) return;
  char* own = reinterpret_cast<char*>(&thread_state);
  memset(range.from, kPoison, static_cast<size_t>(own - range.from));
  char* after = own + sizeof thread_state;
  memset(after, kPoison, static_cast<size_t>(range.from + range.bytes - after));
}

// ---- workers -------------------------------------------------------------------------------------------------------------------

struct Job {
  const Launch* launch;
  Settings settings;
  uint64_t blocks;
  std::atomic<uint64_t> next{0};
  std::atomic<bool> failed{false};
  std::mutex mutex;
  Failure failure;
};

class Worker {
 public:
  Worker() {
    shared_ = static_cast<char*>(map_memory(kMostShared + kPage));
    mprotect(shared_ + kMostShared, kPage, PROT_NONE);
    thread_state.rescue_stack = static_cast<char*>(map_memory(kRescueBytes));
    stack_t alternate = {};
    alternate.ss_sp = map_memory(kRescueBytes);
    alternate.ss_size = kRescueBytes;
    sigaltstack(&alternate, nullptr);
    block_.shared_window = shared_;
    block_.stale.resize(kMostShared / 16);
    locals_ = thread_locals();
    pthread_attr_t attributes;
    pthread_getattr_np(pthread_self(), &attributes);
    void* stack;
    pthread_attr_getstack(&attributes, &stack, &block_.main_stack_bytes);
    block_.main_stack = stack;
    pthread_attr_destroy(&attributes);
  }

  void work(Job& job) {
    const Launch& launch = *job.launch;
    shape(launch, job.settings);
    for (;;) {
      uint64_t place = job.next.fetch_add(1);
      if (place >= job.blocks || job.failed) return;
      if (job.settings.schedule == 2) place = job.blocks - 1 - place;
      const dim3& grid = launch.grid;
      block_.index = {static_cast<unsigned>(place % grid.x), static_cast<unsigned>(place / grid.x % grid.y),
                      static_cast<unsigned>(place / grid.x / grid.y)};
      block_.random = (place + 1) * 0x9e3779b97f4a7c15ull + static_cast<uint64_t>(job.settings.schedule);
      memset(block_.dynamic_shared, kPoison, launch.shared);
      poison_static_shared(locals_);
      for (Fiber* fiber : block_.fibers) prepare_fiber(fiber);
      thread_state.block = &block_;
      run_block(block_);
      thread_state.block = nullptr;
      if (block_.failure.kind == Failure::none) continue;
      recover();
      const std::lock_guard<std::mutex> lock(job.mutex);
      if (!job.failed) job.failure = block_.failure;
      job.failed = true;
    }
  }

 private:
  static size_t shared_bytes(const Launch& launch) { return (launch.shared + 127) / 128 * 128; }

  /** Fibers, warps and shared memory for the blocks of a launch. */
  void shape(const Launch& launch, const Settings& settings) {
    const size_t threads = static_cast<size_t>(launch.block.x) * launch.block.y * launch.block.z;
    while (stacks_.size() < threads) stacks_.push_back(new_fiber());
    block_.fibers.assign(stacks_.begin(), stacks_.begin() + static_cast<std::ptrdiff_t>(threads));
    block_.ready.assign((threads + 31) / 32, 0);
    block_.living.assign((threads + 31) / 32, 0);
    block_.products.resize((threads + 31) / 32);
    block_.multiplied.resize((threads + 127) / 128);
    block_.launch = &launch;
    block_.settings = settings;
    block_.dim = launch.block;
    block_.grid = launch.grid;
    // At the end, before a page that nobody may touch.
    block_.dynamic_shared = shared_ + kMostShared - shared_bytes(launch);
    for (size_t n = 0; n < threads; n++) {
      Fiber* fiber = block_.fibers[n];
      fiber->block = &block_;
      fiber->index = static_cast<int>(n);
      fiber->warp = fiber->index / 32;
      fiber->lane = fiber->index % 32;
      fiber->thread = {static_cast<unsigned>(n % launch.block.x), static_cast<unsigned>(n / launch.block.x % launch.block.y),
                       static_cast<unsigned>(n / launch.block.x / launch.block.y)};
    }
#ifdef __SANITIZE_ADDRESS__
    __asan_unpoison_memory_region(shared_, kMostShared);
    __asan_poison_memory_region(shared_, kMostShared - shared_bytes(launch));
    __asan_poison_memory_region(shared_ + kMostShared - shared_bytes(launch) + launch.shared, shared_bytes(launch) - launch.shared);
    __asan_unpoison_memory_region(block_.dynamic_shared, launch.shared);
#endif
  }

  /** A stack that is aligned to its size, with a page below it that nobody may touch and the fiber at its upper end. */
  static Fiber* new_fiber() {
    const uintptr_t memory = reinterpret_cast<uintptr_t>(map_memory(2 * kStackBytes));
    const uintptr_t stack = (memory + kStackBytes - 1) & ~(kStackBytes - 1);
    if (stack > memory) munmap(reinterpret_cast<void*>(memory), stack - memory);
    if (memory + kStackBytes > stack) munmap(reinterpret_cast<void*>(stack + kStackBytes), memory + kStackBytes - stack);
    mprotect(reinterpret_cast<void*>(stack), kPage, PROT_NONE);
    Fiber* fiber = reinterpret_cast<Fiber*>(stack + kStackBytes - sizeof(Fiber));
    fiber->copies = new Copies;
    fiber->fenced = new FencedRegisters;
    return fiber;
  }

  /** After a block that was left in the middle. */
  void recover() {
#ifdef __SANITIZE_ADDRESS__
    for (Fiber* fiber : block_.fibers) {
      char* bottom = reinterpret_cast<char*>(fiber + 1) - kStackBytes + kPage;
      __asan_unpoison_memory_region(bottom, static_cast<size_t>(reinterpret_cast<char*>(fiber) - bottom));
    }
#endif
  }

  char* shared_;
  Range locals_;
  std::vector<Fiber*> stacks_;
  RunningBlock block_ = {};
};

/** Never taken down: its threads sleep when the process ends. */
class Pool {
 public:
  static Pool& get() {
    static Pool* pool = new Pool;
    return *pool;
  }

  void run(Job& job) {
    const std::lock_guard<std::mutex> one_at_a_time(launching_);
    std::unique_lock<std::mutex> lock(mutex_);
    const uint64_t wanted = std::min<uint64_t>(job.blocks, static_cast<uint64_t>(std::max(1, job.settings.threads)));
    while (threads_ < wanted) {
      threads_++;
      std::thread([this] { serve(); }).detach();
    }
    job_ = &job;
    open_places_ = static_cast<int>(wanted);
    working_ = static_cast<int>(wanted);
    wake_.notify_all();
    done_.wait(lock, [this] { return working_ == 0; });
    job_ = nullptr;
  }

 private:
  Pool() { catch_faults(); }

  void serve() {
    Worker& worker = *new Worker;
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      wake_.wait(lock, [this] { return open_places_ > 0; });
      open_places_--;
      Job& job = *job_;
      lock.unlock();
      worker.work(job);
      lock.lock();
      if (--working_ == 0) done_.notify_one();
    }
  }

  std::mutex launching_, mutex_;
  std::condition_variable wake_, done_;
  uint64_t threads_ = 0;
  int open_places_ = 0, working_ = 0;
  Job* job_ = nullptr;
};

std::vector<Kernel>& kernels() {
  static auto* all = new std::vector<Kernel>;
  return *all;
}

int number(const char* name, int otherwise) {
  const char* text = getenv(name);
  return text != nullptr && *text ? atoi(text) : otherwise;
}

}  // namespace

Registration::Registration(const char* name, size_t params_bytes, int max_threads, int capability, void (*body)(const void*)) {
  kernels().push_back({name, params_bytes, max_threads, capability, body});
}

const Kernel* find_kernel(const char* name) {
  for (const Kernel& kernel : kernels()) {
    if (strcmp(kernel.name, name) == 0) return &kernel;
  }
  return nullptr;
}

const char* kernel_declared_twice() {
  for (const Kernel& kernel : kernels()) {
    if (find_kernel(kernel.name) != &kernel) return kernel.name;
  }
  return nullptr;
}

Settings settings() {
  const int cores = static_cast<int>(std::thread::hardware_concurrency());
  return {number("EMU_SCHED", 0), number("EMU_EAGER", 0), number("EMU_THREADS", cores)};
}

Failure run(const Launch& launch) {
  Job job;
  job.launch = &launch;
  job.settings = settings();
  job.blocks = static_cast<uint64_t>(launch.grid.x) * launch.grid.y * launch.grid.z;
  Pool::get().run(job);
  return job.failure;
}

}  // namespace emulation
