// A filter's numbers one by one, for the kernels that do not read whole operands. The layouts are those of src/layout/pack-filter.ts.
#pragma once
#include "dsconv_numbers.cuh"

/** Weight of a row `tap * depth + i` and output channel, for filters in rows. */
template <class P>
__device__ __forceinline__ int row_weight(const P& p, int row, int o) {
  const int at = o * p.weightBits;
  const size_t word = static_cast<size_t>(row) * (p.paddedOutputs * p.weightBits / 32) + at / 32;
  const int unused = 32 - p.weightBits;
  return static_cast<int>(static_cast<const unsigned*>(p.weights)[word] << (unused - at % 32)) >> unused;
}

/** Weight of depth `k` of a chunk and an output channel within its group, for filters in fragments. */
template <class P>
__device__ __forceinline__ int fragment_weight(const P& p, int group, int o, int chunk, int k) {
  const size_t pair = static_cast<size_t>(group) * (p.paddedOutputs / 16) + o / 16;
  const int operand = o / 8 % 2, half = k / 16, lane = o % 8 * 4 + k % 16 / 4;
  size_t word;
  int bit = 8 * (k % 4);
  if (p.weightBits == 8) {
    word = (pair * p.paddedChunks + chunk) * 128 + lane * 4 + operand * 2 + half;
  } else if (p.weightBits == 4) {
    word = (pair * p.paddedChunks + chunk) * 64 + lane * 2 + operand;
    bit += 4 - 4 * half;
  } else {
    word = (pair * (p.paddedChunks / 2) + chunk / 2) * 64 + lane * 2 + operand;
    bit += 6 - 2 * (chunk % 2 * 2 + half);
  }
  const int unused = 32 - p.weightBits;
  return static_cast<int>(static_cast<const unsigned*>(p.weights)[word] << (unused - bit)) >> unused;
}

/** cds * kds of a row of scales and an output channel within its group. */
template <class P>
__device__ __forceinline__ float scale_of(const P& p, int group, int row, int o) {
  const size_t at = (static_cast<size_t>(group) * p.scaleRows + (p.scaleRows == 1 ? 0 : row)) * p.paddedOutputs + o;
  return p.halfScales ? half_to_float(static_cast<const uint16_t*>(p.weightScales)[at]) : static_cast<const float*>(p.weightScales)[at];
}

/** cds * kdsBias + cdsBias; rows are tap * blocks + block. */
template <class P>
__device__ __forceinline__ float shift_of(const P& p, int group, int row, int o) {
  const int rows = p.kernelHeight * p.kernelWidth * p.blocks;
  return p.shifts[(static_cast<size_t>(group) * rows + row) * p.paddedOutputs + o];
}
