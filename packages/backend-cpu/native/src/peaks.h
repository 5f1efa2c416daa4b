// What one core could do at most: the limits that benchmarks are held against.
#pragma once

namespace dsconv {

struct Peaks {
  double int8_dot, float_fma;  // 10^9 multiply-accumulates per second
};

// Measured with the instructions that the named set's tiles are made of, on independent registers, nothing loaded. Takes about 50 ms.
Peaks measure_peaks(const char* isa);

}  // namespace dsconv
