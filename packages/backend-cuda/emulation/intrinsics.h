// What a warp does together, asynchronous copies, atomics: the names of CUDA and of kernels/intrinsics.h.
#pragma once

namespace emulation {

/** Each lane gets the value of lane `from`, or its own where that is outside of its segment. Values are of 4 or 8 bytes. */
template <class T>
T shuffle(unsigned mask, T value, int from) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8, "shuffles move 4 or 8 bytes");
  Fiber* me = current();
  me->in[1] = 0;
  memcpy(me->in, &value, sizeof(T));
  me->in[2] = static_cast<uint32_t>(from);
  meet_warp(Together::shuffle, mask, [](Fiber* const (&lanes)[32]) {
    for (Fiber* lane : lanes) {
      if (lane == nullptr) continue;
      const Fiber* source = lanes[lane->in[2] & 31];
      // A lane that is not there gives what a device may give: anything.
      for (int word = 0; word < 2; word++) lane->out[word] = source != nullptr ? source->in[word] : 0xffffffffu;
    }
  });
  T result;
  memcpy(&result, me->out, sizeof(T));
  return result;
}

inline unsigned ballot(unsigned mask, bool predicate) {
  Fiber* me = current();
  me->in[0] = predicate;
  meet_warp(Together::vote, mask, [](Fiber* const (&lanes)[32]) {
    unsigned votes = 0;
    for (const Fiber* lane : lanes) {
      if (lane != nullptr && lane->in[0]) votes |= 1u << lane->lane;
    }
    for (Fiber* lane : lanes) {
      if (lane != nullptr) lane->out[0] = votes;
    }
  });
  return me->out[0];
}

/** Lanes that a ballot of the mask can have. */
inline unsigned voters(unsigned mask) { return ballot(mask, true); }

template <int matrices>
void load_matrices(uint32_t (&r)[matrices], const void* row) {
  Fiber* me = current();
  const uint64_t address = reinterpret_cast<uintptr_t>(row);
  memcpy(me->in, &address, 8);
  if (me->lane < 8 * matrices && address % 16 != 0) fail("ldmatrix reads %p, which is no multiple of 16", row);
  meet_warp(Together::load_matrix, ~0u, [](Fiber* const (&lanes)[32]) {
    for (int m = 0; m < matrices; m++) {
      for (Fiber* lane : lanes) {
        uint64_t from;
        memcpy(&from, lanes[8 * m + lane->lane / 4]->in, 8);
        memcpy(&lane->out[m], reinterpret_cast<const char*>(from) + 4 * (lane->lane % 4), 4);
      }
    }
  });
  memcpy(r, me->out, sizeof r);
}

}  // namespace emulation

// ---- warps -------------------------------------------------------------------------------------------------------------------

static inline void __syncwarp(unsigned mask = ~0u) {
  ::emulation::meet_warp(::emulation::Together::sync, mask, [](::emulation::Fiber* const (&)[32]) {});
}
template <class T>
static inline T __shfl_sync(unsigned mask, T value, int from, int width = 32) {
  const int lane = ::emulation::current()->lane;
  return ::emulation::shuffle(mask, value, (lane & ~(width - 1)) | (from & (width - 1)));
}
template <class T>
static inline T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32) {
  const int lane = ::emulation::current()->lane, from = lane ^ lanes;
  return ::emulation::shuffle(mask, value, (from & ~(width - 1)) > (lane & ~(width - 1)) ? lane : from);
}
template <class T>
static inline T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32) {
  const int lane = ::emulation::current()->lane, from = lane + static_cast<int>(by);
  return ::emulation::shuffle(mask, value, from > (lane | (width - 1)) ? lane : from);
}
template <class T>
static inline T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32) {
  const int lane = ::emulation::current()->lane, from = lane - static_cast<int>(by);
  return ::emulation::shuffle(mask, value, from < (lane & ~(width - 1)) ? lane : from);
}
static inline unsigned __ballot_sync(unsigned mask, int predicate) { return ::emulation::ballot(mask, predicate != 0); }
static inline int __any_sync(unsigned mask, int predicate) { return ::emulation::ballot(mask, predicate != 0) != 0; }
static inline int __all_sync(unsigned mask, int predicate) { return ::emulation::ballot(mask, predicate == 0) == 0; }

// ---- kernels/intrinsics.h ------------------------------------------------------------------------------------------------------

static inline void ldmatrix_x4(uint32_t (&r)[4], const void* row) { ::emulation::load_matrices<4>(r, row); }
static inline void ldmatrix_x2(uint32_t (&r)[2], const void* row) { ::emulation::load_matrices<2>(r, row); }

static inline void mma_s8_16x8x32(int (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  ::emulation::Fiber* me = ::emulation::current();
  memcpy(me->in, a, sizeof a);
  memcpy(me->in + 4, b, sizeof b);
  ::emulation::meet_warp(::emulation::Together::mma, ~0u, ::emulation::multiply_s8_16x8x32);
  // Sums that pass 2^31 wrap, as on the device.
  for (int n = 0; n < 4; n++) d[n] = static_cast<int>(static_cast<uint32_t>(d[n]) + me->out[n]);
}

template <int bytes>
static inline void cp_async(void* to, const void* from, bool valid) {
  static_assert(bytes == 4 || bytes == 8 || bytes == 16, "cp.async copies 4, 8 or 16 bytes");
  ::emulation::copy_async(to, from, bytes, valid);
}
static inline void cp_async16(void* to, const void* from, bool valid = true) { cp_async<16>(to, from, valid); }
static inline void cp_async8(void* to, const void* from, bool valid = true) { cp_async<8>(to, from, valid); }
static inline void cp_async4(void* to, const void* from, bool valid = true) { cp_async<4>(to, from, valid); }
static inline void cp_async_commit() { ::emulation::copy_commit(); }
template <int pending>
static inline void cp_async_wait() {
  ::emulation::copy_wait(pending);
}

static inline unsigned shared_address(const void* place) { return ::emulation::shared_place(place); }
static inline void fence_proxy_async() { ::emulation::proxy_fence(); }
template <class V, int n>
static inline void hold_registers(V (&)[n]) {}
template <int n, int m>
static inline void wgmma_fence(int (&sums)[n], uint32_t (&a)[m]) {
  ::emulation::wgmma_fence_registers(reinterpret_cast<const uint32_t*>(sums), n, a, m);
}
template <bool adds, int m>
static inline void wgmma_s8_64x64x32(int (&d)[32], uint32_t (&a)[m], int chunk, uint64_t matrix) {
  ::emulation::wgmma_begin(reinterpret_cast<uint32_t*>(d), a + 4 * chunk, matrix, adds);
}
static inline void wgmma_commit() { ::emulation::wgmma_end_group(); }
template <int pending, int n>
static inline void wgmma_wait(int (&)[n]) {
  ::emulation::wgmma_wait_groups(pending);
}

static inline int __dp4a(int a, int b, int c) {
  uint32_t sum = static_cast<uint32_t>(c);
  for (int n = 0; n < 4; n++) {
    sum += static_cast<uint32_t>(static_cast<int8_t>(a >> (8 * n)) * static_cast<int8_t>(b >> (8 * n)));
  }
  return static_cast<int>(sum);
}
static inline int dp4a(int a, int b, int c) { return __dp4a(a, b, c); }

// ---- memory ------------------------------------------------------------------------------------------------------------------

template <class T>
static inline T __ldg(const T* from) { return *from; }
template <class T>
static inline T __ldcs(const T* from) { return *from; }
template <class T>
static inline T __ldcg(const T* from) { return *from; }
template <class T>
static inline void __stcs(T* to, T value) { *to = value; }
template <class T>
static inline void __stcg(T* to, T value) { *to = value; }

static inline void __threadfence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
static inline void __threadfence_block() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
[[noreturn]] static inline void __trap() { ::emulation::fail("__trap()"); }

/** By comparing and exchanging; returns what was there before. */
template <class T, class F>
static inline T emulated_atomic(T* at, F&& change) {
  T before, after;
  __atomic_load(at, &before, __ATOMIC_RELAXED);
  do {
    after = change(before);
  } while (!__atomic_compare_exchange(at, &before, &after, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
  return before;
}
#define EMULATED_ATOMICS(T)                                                                                            \
  static inline T atomicAdd(T* at, T value) { return emulated_atomic(at, [=](T x) { return static_cast<T>(x + value); }); }          \
  static inline T atomicExch(T* at, T value) { return emulated_atomic(at, [=](T) { return value; }); }
#define EMULATED_INTEGER_ATOMICS(T)                                                                                    \
  EMULATED_ATOMICS(T)                                                                                                  \
  static inline T atomicMax(T* at, T value) { return emulated_atomic(at, [=](T x) { return x > value ? x : value; }); } \
  static inline T atomicMin(T* at, T value) { return emulated_atomic(at, [=](T x) { return x < value ? x : value; }); } \
  static inline T atomicOr(T* at, T value) { return emulated_atomic(at, [=](T x) { return x | value; }); }             \
  static inline T atomicAnd(T* at, T value) { return emulated_atomic(at, [=](T x) { return x & value; }); }            \
  static inline T atomicCAS(T* at, T compare, T value) {                                                               \
    return emulated_atomic(at, [=](T x) { return x == compare ? value : x; });                                         \
  }
EMULATED_ATOMICS(float)
EMULATED_INTEGER_ATOMICS(int)
EMULATED_INTEGER_ATOMICS(unsigned)
EMULATED_INTEGER_ATOMICS(unsigned long long)
#undef EMULATED_INTEGER_ATOMICS
#undef EMULATED_ATOMICS
