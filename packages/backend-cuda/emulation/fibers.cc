// The scheduler: fibers, barriers, what warps do together, asynchronous copies.
#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "runtime.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

// void emulation_switch(void** save, void* to): keeps the stack pointer in *save, goes on where `to` was kept.
extern "C" void emulation_switch(void** save, void* to);
#if defined(__x86_64__)
asm(".text\n.globl emulation_switch\n.hidden emulation_switch\n.type emulation_switch,@function\nemulation_switch:\n"
    "  push %rbp\n  push %rbx\n  push %r12\n  push %r13\n  push %r14\n  push %r15\n"
    "  mov %rsp, (%rdi)\n  mov %rsi, %rsp\n"
    "  pop %r15\n  pop %r14\n  pop %r13\n  pop %r12\n  pop %rbx\n  pop %rbp\n  ret\n");
#elif defined(__aarch64__)
asm(".text\n.globl emulation_switch\n.hidden emulation_switch\n.type emulation_switch,%function\nemulation_switch:\n"
    "  sub sp, sp, #160\n"
    "  stp x19, x20, [sp]\n  stp x21, x22, [sp, #16]\n  stp x23, x24, [sp, #32]\n  stp x25, x26, [sp, #48]\n"
    "  stp x27, x28, [sp, #64]\n  stp x29, x30, [sp, #80]\n"
    "  stp d8, d9, [sp, #96]\n  stp d10, d11, [sp, #112]\n  stp d12, d13, [sp, #128]\n  stp d14, d15, [sp, #144]\n"
    "  mov x9, sp\n  str x9, [x0]\n  mov sp, x1\n"
    "  ldp x19, x20, [sp]\n  ldp x21, x22, [sp, #16]\n  ldp x23, x24, [sp, #32]\n  ldp x25, x26, [sp, #48]\n"
    "  ldp x27, x28, [sp, #64]\n  ldp x29, x30, [sp, #80]\n"
    "  ldp d8, d9, [sp, #96]\n  ldp d10, d11, [sp, #112]\n  ldp d12, d13, [sp, #128]\n  ldp d14, d15, [sp, #144]\n"
    "  add sp, sp, #160\n  ret\n");
#else
#error "emulation_switch is written for x86-64 and arm64"
#endif

namespace emulation {
namespace {

RunningBlock& block_of(const Fiber* fiber) { return *static_cast<RunningBlock*>(fiber->block); }

#ifdef __SANITIZE_ADDRESS__
constexpr size_t kOuterFrames = 16 * 1024;
#endif

void* stack_bottom(Fiber* fiber) { return reinterpret_cast<char*>(fiber + 1) - kStackBytes; }

/** AddressSanitizer wants to know which stack comes next. */
void announce([[maybe_unused]] void** fake_stack, [[maybe_unused]] const void* stack, [[maybe_unused]] size_t bytes) {
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_start_switch_fiber(fake_stack, stack, bytes);
#endif
}
void arrived([[maybe_unused]] void* fake_stack, [[maybe_unused]] const void** from, [[maybe_unused]] size_t* bytes) {
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(fake_stack, from, bytes);
#endif
}

void switch_to_main(Fiber* me) {
  RunningBlock& block = block_of(me);
  announce(&me->fake_stack, block.main_stack, block.main_stack_bytes);
  emulation_switch(&me->stack_pointer, block.main_stack_pointer);
  arrived(me->fake_stack, nullptr, nullptr);
}

void switch_to(Fiber* me, Fiber* next) {
  block_of(me).running = next;
  announce(&me->fake_stack, stack_bottom(next), kStackBytes);
  emulation_switch(&me->stack_pointer, next->stack_pointer);
  arrived(me->fake_stack, nullptr, nullptr);
}

int lowest(uint32_t lanes) { return __builtin_ctz(lanes); }
int highest(uint32_t lanes) { return 31 - __builtin_clz(lanes); }

/** Index of the fiber that goes on when `me` stops, or -1 where none can. */
int choose(RunningBlock& block, const Fiber* me) {
  const int warps = static_cast<int>(block.ready.size()), own = me->warp;
  const auto first_warp = [&](int from, int step) {
    for (int n = 0; n < warps; n++) {
      const int warp = (from + n * step + warps) % warps;
      if (block.ready[warp]) return warp;
    }
    return -1;
  };
  switch (block.settings.schedule) {
    case 0: {
      const uint32_t after = block.ready[own] & ~((2u << me->lane) - 1u);
      if (me->lane < 31 && after) return 32 * own + lowest(after);
      const int warp = first_warp((own + 1) % warps, 1);
      return warp < 0 ? -1 : 32 * warp + lowest(block.ready[warp]);
    }
    case 1: {
      const int warp = first_warp(own, 1);
      return warp < 0 ? -1 : 32 * warp + lowest(block.ready[warp]);
    }
    case 2: {
      const int warp = first_warp(own + warps, -1);
      return warp < 0 ? -1 : 32 * warp + highest(block.ready[warp]);
    }
    default: {
      const int warp = first_warp(static_cast<int>(next_random(block) % static_cast<unsigned>(warps)), 1);
      if (warp < 0) return -1;
      const uint32_t lanes = block.ready[warp], high = lanes & (~0u << (next_random(block) % 32));
      return 32 * warp + lowest(high ? high : lanes);
    }
  }
}

/** Lets others run until it is this fiber's turn again. */
void leave(Fiber* me) {
  RunningBlock& block = block_of(me);
  const int next = choose(block, me);
  if (next < 0) {
    switch_to_main(me);
  } else if (block.fibers[next] != me) {
    switch_to(me, block.fibers[next]);
  }
}

void make_ready(RunningBlock& block, Fiber* fiber) {
  fiber->state = FiberState::ready;
  block.ready[fiber->warp] |= 1u << fiber->lane;
}

void stop(RunningBlock& block, Fiber* fiber, FiberState state) {
  fiber->state = state;
  block.ready[fiber->warp] &= ~(1u << fiber->lane);
}

void release_barrier(RunningBlock& block) {
  block.result = block.votes;
  block.votes = {0, 0};
  block.arrived = 0;
  for (Fiber* fiber : block.fibers) {
    if (fiber->state == FiberState::at_block) make_ready(block, fiber);
  }
}

/** Done for the lanes that `waiting` waits for, if they are all there. */
bool try_together(RunningBlock& block, Fiber* waiting, void (*compute)(Fiber* const (&)[32])) {
  const int first = 32 * waiting->warp;
  const uint32_t needed = waiting->mask & block.living[waiting->warp];
  for (uint32_t rest = needed; rest; rest &= rest - 1) {
    if (block.fibers[first + lowest(rest)]->state != FiberState::at_warp) return false;
  }
  Fiber* lanes[32] = {};
  for (uint32_t rest = needed; rest; rest &= rest - 1) {
    Fiber* other = block.fibers[first + lowest(rest)];
    if (other->together != waiting->together || other->mask != waiting->mask) {
      fail("lanes %d and %d of a warp wait for each other with different instructions or masks (0x%08x, 0x%08x)",
           waiting->lane, other->lane, waiting->mask, other->mask);
    }
    lanes[other->lane] = other;
  }
  const bool whole = waiting->together >= Together::mma;
  if (whole && needed != ~0u) fail("mma, ldmatrix and wgmma take all 32 lanes; here are 0x%08x", needed);
  compute(lanes);
  for (Fiber* lane : lanes) {
    if (lane != nullptr) make_ready(block, lane);
  }
  return true;
}

void finish(Fiber* me) {
  RunningBlock& block = block_of(me);
  stop(block, me, FiberState::done);
  copy_wait(0);
  block.living[me->warp] &= ~(1u << me->lane);
  block.alive--;
  if (block.alive > 0 && block.arrived == block.alive) release_barrier(block);
  // Others may have waited for this lane alone.
  const int first = 32 * me->warp;
  for (uint32_t rest = block.living[me->warp]; rest; rest &= rest - 1) {
    Fiber* other = block.fibers[first + lowest(rest)];
    if (other->state == FiberState::at_warp) try_together(block, other, other->compute);
  }
}

void entry() {
  arrived(nullptr, nullptr, nullptr);
  Fiber* me = current();
  RunningBlock& block = block_of(me);
  block.launch->kernel->body(block.launch->params);
  finish(me);
  for (;;) leave(me);
}

void land(const Copies::One& copy) {
  Fiber* me = current();
  note_copied(block_of(me), copy.to, copy.bytes);
  if (copy.valid) {
    memcpy(copy.to, copy.from, static_cast<size_t>(copy.bytes));
  } else {
    memset(copy.to, 0, static_cast<size_t>(copy.bytes));
  }
}

}  // namespace

uint32_t next_random(RunningBlock& block) {
  block.random = block.random * 6364136223846793005ull + 1442695040888963407ull;
  return static_cast<uint32_t>(block.random >> 33);
}

std::string place(const RunningBlock& block, const Fiber* fiber) {
  char text[256];
  snprintf(text, sizeof text, "kernel %s, block (%u, %u, %u), thread (%u, %u, %u)", block.launch->kernel->name, block.index.x,
           block.index.y, block.index.z, fiber->thread.x, fiber->thread.y, fiber->thread.z);
  return text;
}

void abandon(RunningBlock& block) {
  void *stack_pointer, *fake_stack;
  announce(&fake_stack, block.main_stack, block.main_stack_bytes);
  emulation_switch(&stack_pointer, block.main_stack_pointer);
  __builtin_unreachable();
}

void fail(const char* format, ...) {
  Fiber* me = current();
  RunningBlock& block = block_of(me);
  char text[512];
  va_list values;
  va_start(values, format);
  vsnprintf(text, sizeof text, format, values);
  va_end(values);
  block.failure.kind = Failure::failed;
  block.failure.text = place(block, me) + ": " + text;
  abandon(block);
}

Votes meet_block(const char* file, int line, bool predicate) {
  Fiber* me = current();
  RunningBlock& block = block_of(me);
  if (block.arrived == 0) {
    block.barrier_file = file;
    block.barrier_line = line;
  } else if (block.barrier_line != line || strcmp(block.barrier_file, file) != 0) {
    fail("reached __syncthreads() of %s:%d while others of its block wait at %s:%d", file, line, block.barrier_file,
         block.barrier_line);
  }
  block.votes.set += predicate;
  block.votes.of++;
  stop(block, me, FiberState::at_block);
  if (++block.arrived == block.alive) release_barrier(block);
  // Also who came last may have to wait: what comes next must not depend on it.
  leave(me);
  return block.result;
}

void meet_warp(Together what, unsigned mask, void (*compute)(Fiber* const (&)[32])) {
  Fiber* me = current();
  RunningBlock& block = block_of(me);
  if (!(mask >> me->lane & 1u)) fail("lane %d is not in the mask 0x%08x that it gives", me->lane, mask);
  me->together = what;
  me->mask = mask;
  me->compute = compute;
  stop(block, me, FiberState::at_warp);
  if (!try_together(block, me, compute) || block.settings.schedule != 0) leave(me);
}

void copy_async(void* to, const void* from, int bytes, bool valid) {
  Fiber* me = current();
  RunningBlock& block = block_of(me);
  const uintptr_t odd = (reinterpret_cast<uintptr_t>(to) | (valid ? reinterpret_cast<uintptr_t>(from) : 0)) % static_cast<unsigned>(bytes);
  if (odd != 0) fail("cp.async of %d bytes from %p to %p, which must be multiples of them", bytes, from, to);
  const Copies::One copy{to, from, bytes, valid, me->copies->group};
  const int eager = block.settings.eager;
  if (eager == 1 || eager == 3 || (eager == 2 && next_random(block) % 2)) {
    land(copy);
  } else {
    me->copies->waiting.push_back(copy);
  }
}

void copy_commit() { current()->copies->group++; }

void copy_wait(int pending) {
  Copies& copies = *current()->copies;
  size_t landed = 0;
  // Copies that were never committed belong to no group, so that only the end of the thread waits for them.
  const bool all = current()->state == FiberState::done;
  for (; landed < copies.waiting.size(); landed++) {
    const Copies::One& copy = copies.waiting[landed];
    if (!all && copy.group + static_cast<unsigned>(pending) >= copies.group) break;
    land(copy);
  }
  copies.waiting.erase(copies.waiting.begin(), copies.waiting.begin() + static_cast<std::ptrdiff_t>(landed));
}

void prepare_fiber(Fiber* fiber) {
  fiber->state = FiberState::ready;
  fiber->copies->waiting.clear();
  fiber->copies->group = 0;
  fiber->fenced->ranges.clear();
  fiber->proxy_fences = 0;
  fiber->fake_stack = nullptr;
#ifdef __SANITIZE_ADDRESS__
  // The outermost frames were left for good and still look forbidden.
  __asan_unpoison_memory_region(reinterpret_cast<char*>(fiber) - kOuterFrames, kOuterFrames);
#endif
  void** top = reinterpret_cast<void**>(reinterpret_cast<uintptr_t>(fiber) & ~uintptr_t(15));
#if defined(__x86_64__)
  // As if called: the return address, then what emulation_switch takes off.
  *--top = nullptr;
  *--top = reinterpret_cast<void*>(entry);
  for (int n = 0; n < 6; n++) *--top = nullptr;
#else
  top -= 20;
  for (int n = 0; n < 20; n++) top[n] = nullptr;
  top[11] = reinterpret_cast<void*>(entry);
#endif
  fiber->stack_pointer = top;
}

void run_block(RunningBlock& block) {
  block.alive = static_cast<int>(block.fibers.size());
  block.arrived = 0;
  block.votes = {0, 0};
  block.failure = {};
  begin_products(block);
  for (size_t warp = 0; warp < block.ready.size(); warp++) {
    const size_t lanes = block.fibers.size() - 32 * warp;
    block.ready[warp] = block.living[warp] = lanes >= 32 ? ~0u : (1u << lanes) - 1u;
  }
  Fiber* first = block.fibers[block.settings.schedule == 2 ? block.fibers.size() - 1 : 0];
  block.running = first;
  announce(&block.main_fake_stack, stack_bottom(first), kStackBytes);
  emulation_switch(&block.main_stack_pointer, first->stack_pointer);
  arrived(block.main_fake_stack, nullptr, nullptr);
  if (block.failure.kind == Failure::none && block.alive > 0) {
    char text[160];
    snprintf(text, sizeof text, ": %d of %zu threads of the block wait for others that never come", block.alive, block.fibers.size());
    block.failure = {Failure::failed, place(block, block.running) + text};
  }
  const std::string unfinished = block.failure.kind == Failure::none ? unfinished_products(block) : "";
  if (!unfinished.empty()) block.failure = {Failure::failed, place(block, block.running) + ": " + unfinished};
}

}  // namespace emulation
