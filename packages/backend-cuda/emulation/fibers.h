// One fiber per CUDA thread. Fibers change at barriers and at what a warp does together, nowhere else, in an order that EMU_SCHED chooses:
//   0 round robin (the default), 1 the own warp first, 2 the same backwards and the last block first, 3 and more: at random by that seed.
// EMU_EAGER: 0 asynchronous copies arrive, and products of wgmma are computed, when they are waited for (the default); 1 at once; 2 at random; 3 copies at once,
// products late.
#pragma once

namespace emulation {

struct Block;

enum class FiberState : unsigned char { ready, at_warp, at_block, done };

/** What the lanes of a warp do together. */
enum class Together : unsigned char { nothing, sync, shuffle, vote, mma, load_matrix, wgmma_fence, wgmma, wgmma_commit, wgmma_wait };

/** A thread. It lies at the upper end of its stack, so that code finds it without asking for anything. */
struct alignas(16) Fiber {
  void* stack_pointer;
  Block* block;
  uint3 thread;
  int index, warp, lane;
  FiberState state;
  /** While at_warp. */
  Together together;
  unsigned mask;
  void (*compute)(Fiber* const (&lanes)[32]);
  /** What a lane gives to the others, and gets. */
  uint32_t in[8], out[4];
  /** Copies not yet arrived, and the group that the next one belongs to. */
  struct Copies* copies;
  /** Registers that wgmma may use, and how often this thread told wgmma of what it wrote to shared memory. */
  struct FencedRegisters* fenced;
  unsigned proxy_fences;
  /** AddressSanitizer's. */
  void* fake_stack;
};

struct Block {
  uint3 index;
  dim3 dim, grid;
  void* dynamic_shared;
};

/** A power of two, to which stacks are aligned. */
#ifdef __SANITIZE_ADDRESS__
constexpr size_t kStackBytes = size_t(1) << 19;
#else
constexpr size_t kStackBytes = size_t(1) << 17;
#endif

inline Fiber* current() {
  const uintptr_t end = (reinterpret_cast<uintptr_t>(__builtin_frame_address(0)) | (kStackBytes - 1)) + 1;
  return reinterpret_cast<Fiber*>(end - sizeof(Fiber));
}

/** Makes a kernel known by name; `capability` is 0 where it is for all devices. */
struct Registration {
  Registration(const char* name, size_t params_bytes, int max_threads, int capability, void (*body)(const void*));
};

/** Ends the launch with an error that names kernel, block and thread. */
[[noreturn]] void fail(const char* format, ...) __attribute__((format(printf, 1, 2)));

/** How many predicates of the block were set. */
struct Votes { int set, of; };
Votes meet_block(const char* file, int line, bool predicate);

/**
 * Waits for the lanes of the mask that have not returned. The last to come calls `compute` for all of them. In its argument, lanes that have returned, do not
 * exist or are not in the mask are null.
 */
void meet_warp(Together what, unsigned mask, void (*compute)(Fiber* const (&lanes)[32]));

/** What mma_s8_16x8x32 adds: `in` holds a and b, `out` becomes the products. */
void multiply_s8_16x8x32(Fiber* const (&lanes)[32]);

// ---- wgmma (warpgroups.cc) -----------------------------------------------------------------------------------------------------

constexpr int kWgmmaColumns = 64, kWgmmaSums = kWgmmaColumns / 2;

/** Place within the block's shared memory, which is 2^18 bytes of addresses, as descriptors have it. */
unsigned shared_place(const void* place);
void proxy_fence();
void wgmma_fence_registers(const uint32_t* sums, int count, const uint32_t* a, int words);
/** d [+]= a * what the matrix describes; d are kWgmmaSums numbers, a four words. */
void wgmma_begin(uint32_t* d, const uint32_t* a, uint64_t matrix, bool adds);
void wgmma_end_group();
void wgmma_wait_groups(int pending);

void copy_async(void* to, const void* from, int bytes, bool valid);
void copy_commit();
void copy_wait(int pending);

}  // namespace emulation

#define threadIdx (::emulation::current()->thread)
#define blockIdx (::emulation::current()->block->index)
#define blockDim (::emulation::current()->block->dim)
#define gridDim (::emulation::current()->block->grid)
constexpr int warpSize = 32;

#define __syncthreads() static_cast<void>(::emulation::meet_block(__FILE__, __LINE__, false))
#define __syncthreads_count(predicate) (::emulation::meet_block(__FILE__, __LINE__, (predicate) != 0).set)
#define __syncthreads_or(predicate) (::emulation::meet_block(__FILE__, __LINE__, (predicate) != 0).set > 0)
#define __syncthreads_and(predicate) (::emulation::meet_block(__FILE__, __LINE__, (predicate) == 0).set == 0)
