// The device's instructions that plain CUDA C++ has no words for, for nvcc. The emulation has the same functions (emulation/intrinsics.h).
#pragma once

// ---- tensor cores ------------------------------------------------------------------------------------------------------------

/**
 * d += a * b on a whole warp: a int8 16 x 32 (rows), b int8 32 x 8 (columns), d int32 16 x 8. With lane = 4 * g + t:
 *   a[0] row g, depths 4t..4t+3; a[1] row g + 8, the same; a[2] row g, depths 16 + 4t..; a[3] row g + 8, depths 16 + 4t..
 *   b[0] column g, depths 4t..4t+3; b[1] column g, depths 16 + 4t..
 *   d[0], d[1] row g, columns 2t and 2t + 1; d[2], d[3] row g + 8, the same
 */
__device__ __forceinline__ void mma_s8_16x8x32(int (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
#if __CUDA_ARCH__ >= 800
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  // Four products of 8 x 16 by 16 x 8, whose fragments are the registers of the large one.
#define DSCONV_MMA_8X8X16(d0, d1, a0, b0)                                                      \
  asm volatile("mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32 {%0,%1}, {%2}, {%3}, {%0,%1};" \
               : "+r"(d0), "+r"(d1)                                                            \
               : "r"(a0), "r"(b0))
  DSCONV_MMA_8X8X16(d[0], d[1], a[0], b[0]);
  DSCONV_MMA_8X8X16(d[2], d[3], a[1], b[0]);
  DSCONV_MMA_8X8X16(d[0], d[1], a[2], b[1]);
  DSCONV_MMA_8X8X16(d[2], d[3], a[3], b[1]);
#undef DSCONV_MMA_8X8X16
#endif
}

/**
 * Four matrices of 8 rows of 16 bytes from shared memory: lanes 8n..8n+7 give the addresses of the rows of matrix n (multiples of 16). r[n] is then of matrix
 * n: row lane / 4, bytes 4 * (lane % 4) and the three after, which is how mma_s8_16x8x32 wants its fragments.
 */
__device__ __forceinline__ void ldmatrix_x4(uint32_t (&r)[4], const void* row) {
  const unsigned address = static_cast<unsigned>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}

/** Two matrices: lanes 0..15 give the addresses, those of the others must be valid and are not read. */
__device__ __forceinline__ void ldmatrix_x2(uint32_t (&r)[2], const void* row) {
  const unsigned address = static_cast<unsigned>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];" : "=r"(r[0]), "=r"(r[1]) : "r"(address) : "memory");
}

// ---- asynchronous copies -----------------------------------------------------------------------------------------------------

/**
 * Copies `bytes` bytes (4, 8 or 16; both addresses multiples of it) from global to shared memory, or writes zeros where `valid` is false; `from` is then not
 * read, and may be any address. What was copied is there for this thread after cp_async_wait, for others after a barrier more.
 * Below compute capability 8.0 it is a plain copy.
 */
template <int bytes>
__device__ __forceinline__ void cp_async(void* to, const void* from, bool valid) {
  static_assert(bytes == 4 || bytes == 8 || bytes == 16, "cp.async copies 4, 8 or 16 bytes");
#if __CUDA_ARCH__ >= 800
  const unsigned address = static_cast<unsigned>(__cvta_generic_to_shared(to));
  // Bytes beyond the last operand are zeros.
  const int read = valid ? bytes : 0;
  if (bytes == 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(from), "r"(read) : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(address), "l"(from), "n"(bytes), "r"(read) : "memory");
  }
#else
  if (bytes == 16) {
    *static_cast<int4*>(to) = valid ? *static_cast<const int4*>(from) : make_int4(0, 0, 0, 0);
  } else if (bytes == 8) {
    *static_cast<int2*>(to) = valid ? *static_cast<const int2*>(from) : make_int2(0, 0);
  } else {
    *static_cast<int*>(to) = valid ? *static_cast<const int*>(from) : 0;
  }
#endif
}

__device__ __forceinline__ void cp_async16(void* to, const void* from, bool valid = true) { cp_async<16>(to, from, valid); }
__device__ __forceinline__ void cp_async8(void* to, const void* from, bool valid = true) { cp_async<8>(to, from, valid); }
__device__ __forceinline__ void cp_async4(void* to, const void* from, bool valid = true) { cp_async<4>(to, from, valid); }

/** Makes a group of this thread's copies since the last one. */
__device__ __forceinline__ void cp_async_commit() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

/** Waits until at most the `pending` newest groups are under way. */
template <int pending>
__device__ __forceinline__ void cp_async_wait() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
#endif
}

// ---- tensor cores for groups of four warps: compute capability 9.0 alone ------------------------------------------------------------

/** The address of a place in shared memory within it, as descriptors of matrices have it. */
__device__ __forceinline__ unsigned shared_address(const void* place) { return static_cast<unsigned>(__cvta_generic_to_shared(place)); }

/** What this thread wrote to shared memory, and cp_async_wait waited for, is there for wgmma too, for others after a barrier more. */
__device__ __forceinline__ void fence_proxy_async() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

#ifdef __CUDA_ARCH_FEAT_SM90_ALL
/** Holds registers in place: no instruction that uses them is moved over it. */
template <class V, int n>
__device__ __forceinline__ void hold_registers(V (&registers)[n]) {
#pragma unroll
  for (int each = 0; each < n; each++) asm volatile("" : "+r"(registers[each])::"memory");
}

/** Everything that was done to these sums and operands comes before the products that follow. */
template <int n, int m>
__device__ __forceinline__ void wgmma_fence(int (&sums)[n], uint32_t (&a)[m]) {
  hold_registers(sums);
  hold_registers(a);
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}

/**
 * sums += a * b, or sums = a * b, on four warps, the first of them a multiple of four: a int8 64 x 32, b int8 32 x 64 in shared memory, sums int32 64 x 64. It only begins: sums
 * have no value, and a must not change, until wgmma_wait; b is read until then. Warp w of the four has rows 16w..16w+15; a[4 * chunk ...] is as in
 * mma_s8_16x8x32, and sums[4j .. 4j+3] as its d for columns 8j..8j+7. `matrix` describes b: columns one after the other, depths side by side.
 */
template <bool adds, int m>
__device__ __forceinline__ void wgmma_s8_64x64x32(int (&d)[32], uint32_t (&a)[m], int chunk, uint64_t matrix) {
  asm volatile(
      "{\n.reg .pred adds;\nsetp.ne.b32 adds, %37, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n64k32.s32.s8.s8 "
      "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31}, "
      "{%32,%33,%34,%35}, %36, adds;\n}"
      : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3]), "+r"(d[4]), "+r"(d[5]), "+r"(d[6]), "+r"(d[7]), "+r"(d[8]), "+r"(d[9]), "+r"(d[10]),
        "+r"(d[11]), "+r"(d[12]), "+r"(d[13]), "+r"(d[14]), "+r"(d[15]), "+r"(d[16]), "+r"(d[17]), "+r"(d[18]), "+r"(d[19]), "+r"(d[20]),
        "+r"(d[21]), "+r"(d[22]), "+r"(d[23]), "+r"(d[24]), "+r"(d[25]), "+r"(d[26]), "+r"(d[27]), "+r"(d[28]), "+r"(d[29]), "+r"(d[30]),
        "+r"(d[31])
      : "r"(a[4 * chunk]), "r"(a[4 * chunk + 1]), "r"(a[4 * chunk + 2]), "r"(a[4 * chunk + 3]), "l"(matrix), "n"(adds ? 1 : 0)
      : "memory");
}

/** Makes a group of the products since the last one; it may have none. */
__device__ __forceinline__ void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }

/** Waits until at most the `pending` newest groups are under way. The sums of one that has ended are given, and may be read then. */
template <int pending, int n>
__device__ __forceinline__ void wgmma_wait(int (&sums)[n]) {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(pending) : "memory");
  hold_registers(sums);
}
#endif

// ---- integers ----------------------------------------------------------------------------------------------------------------

/** c + the dot product of four signed bytes. */
__device__ __forceinline__ int dp4a(int a, int b, int c) { return __dp4a(a, b, c); }
