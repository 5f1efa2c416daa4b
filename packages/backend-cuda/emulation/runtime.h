// Running kernels, for the stand-in driver. The kernels themselves see fibers.h only.
#pragma once
#include <atomic>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "types.h"

#include "fibers.h"

namespace emulation {

struct Kernel {
  const char* name;
  size_t params_bytes;
  int max_threads;
  /** The only one that it is for, or 0. */
  int capability;
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

/** What a thread's registers held when it fenced them for wgmma. */
struct FencedRegisters {
  struct Range {
    const uint32_t* at;
    std::vector<uint32_t> values;
  };
  std::vector<Range> ranges;
};

/** A product that a warp has begun: its 16 of the 64 rows. */
struct WarpProduct {
  uint64_t matrix;
  bool adds;
  unsigned group;
  /** Where the sums had values when it began, and was the first to use them. */
  bool first;
  struct Lane {
    uint32_t* d;
    const uint32_t* a;
    uint32_t sums[kWgmmaSums], words[4];
  } lanes[32];
};

/** The products of a warp that have not ended, the sums that nobody has waited for and their last group, the group of the next product, and how many there were. */
struct WarpProducts {
  std::vector<WarpProduct> waiting;
  std::vector<std::pair<const uint32_t*, unsigned>> in_use;
  unsigned group = 0;
  size_t begun = 0;
};

/** 16 bytes of shared memory as wgmma sees them where who copied them has not fenced that: those in the mask as they were before. */
struct StaleBytes {
  uint64_t block;
  int owner;
  unsigned fences, mask;
  unsigned char before[16];
};

/** What the kernel does not see of its block. */
struct RunningBlock : Block {
  const Launch* launch;
  Settings settings;
  std::vector<Fiber*> fibers;
  /** By warp: lanes that may go on; lanes that have not returned. */
  std::vector<uint32_t> ready, living;
  /** By warp; and by groups of four, the matrices that were multiplied, which must be the same for all. */
  std::vector<WarpProducts> products;
  std::vector<std::vector<uint64_t>> multiplied;
  /** The beginning of all addresses of shared memory, and by 16 bytes from there. */
  char* shared_window;
  std::vector<StaleBytes> stale;
  /** Counts the blocks, so that nothing has to be cleared for the next. */
  uint64_t serial;
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
uint32_t next_random(RunningBlock& block);
/** Notes what wgmma sees of bytes that the running thread is about to change by a copy. */
void note_copied(RunningBlock& block, const void* to, int bytes);
/** Before the block runs, and after; the latter says what is wrong, or nothing. */
void begin_products(RunningBlock& block);
std::string unfinished_products(const RunningBlock& block);
/** sums[i][j] of a warp's 16 rows and 64 columns, depths side by side. */
void multiply_s8_16x64x32(const int8_t (&rows)[16][32], const int8_t (&columns)[kWgmmaColumns][32], int (&sums)[16][kWgmmaColumns]);

/** Leaves whatever runs for the stack that started the block; never comes back. */
[[noreturn]] void abandon(RunningBlock& block);

}  // namespace emulation
