// One pool for the process. A region (parallel_for) takes the whole pool; regions of several callers queue fairly, so that no more threads
// than set_threads() ever compute at once. Chunks are handed out in order; no reduction is ever split, so results do not depend on who does
// what.
#pragma once

#include <cstdint>
#include <functional>

namespace dsconv {

constexpr int kMaxThreads = 256;

void set_threads(int n);
int get_threads();

// Calls body(context, begin, end) for disjoint ranges that cover [0, count), on the calling thread and the workers. `grain`: smallest range
// worth handing out. An exception in a body is passed on to the caller.
using RangeBody = void (*)(void* context, int64_t begin, int64_t end);
void parallel_ranges(int64_t count, int64_t grain, RangeBody body, void* context);

template <typename Body>
void parallel_for(int64_t count, int64_t grain, const Body& body) {
  parallel_ranges(count, grain, [](void* c, int64_t b, int64_t e) { (*static_cast<const Body*>(c))(b, e); }, const_cast<Body*>(&body));
}

// Scratch memory of the calling thread, 64-byte aligned, at least `bytes`; slot 0..3 are separate. Kept until the thread ends.
void* thread_scratch(int slot, size_t bytes);

// Stops the workers; the next region starts them anew. Called when the last environment goes away.
void stop_workers();

}  // namespace dsconv
