// Running kernels, for the stand-in driver. The kernels themselves see fibers.h only.
#pragma once
#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "types.h"

#include "fibers.h"

namespace emulation {

struct Kernel {
  const char* name;
  size_t params_bytes;
  int max_threads;
  void (*body)(const void*);
};

/** Null where there is none. */
const Kernel* find_kernel(const char* name);
/** A name that two kernels have, or null. */
const char* kernel_declared_twice();

struct Launch {
  const Kernel* kernel;
  dim3 grid, block;
  size_t shared;
  const void* params;
};

struct Failure {
  enum Kind { none, illegal_address, failed } kind = none;
  /** Names kernel, block and thread. */
  std::string text;
};

/** Runs all blocks, several at a time. One launch after the other. */
Failure run(const Launch& launch);

/** Memory that nothing was written to yet: NaN as a float, -1 as an integer. */
constexpr int kPoison = 0xff;

struct Settings {
  int schedule, eager, threads;
};
/** Of the environment, read anew by every launch. */
Settings settings();

// ---- between fibers.cc and workers.cc ------------------------------------------------------------------------------------------

struct Copies {
  struct One {
    void* to;
    const void* from;
    int bytes;
    bool valid;
    unsigned group;
  };
  std::vector<One> waiting;
  unsigned group = 0;
};

/** What the kernel does not see of its block. */
struct RunningBlock : Block {
  const Launch* launch;
  Settings settings;
  std::vector<Fiber*> fibers;
  /** By warp: lanes that may go on; lanes that have not returned. */
  std::vector<uint32_t> ready, living;
  int alive, arrived;
  Votes votes, result;
  const char* barrier_file;
  int barrier_line;
  uint64_t random;
  Fiber* running;
  /** The stack from which the block was started. */
  void* main_stack_pointer;
  void* main_fake_stack;
  const void* main_stack;
  size_t main_stack_bytes;
  Failure failure;
};

/** Runs the block's fibers to their end. Their stacks must be as prepare_fiber leaves them. */
void run_block(RunningBlock& block);
void prepare_fiber(Fiber* fiber);
/** "kernel x, block (0, 0, 0), thread (0, 0, 0)" */
std::string place(const RunningBlock& block, const Fiber* fiber);
/** Leaves whatever runs for the stack that started the block; never comes back. */
[[noreturn]] void abandon(RunningBlock& block);

}  // namespace emulation
