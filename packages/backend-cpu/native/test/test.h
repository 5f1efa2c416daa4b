// What the tests share: random numbers, guarded memory, failures.
#pragma once

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "../src/common.h"

[[noreturn]] inline void fail_test(const char* format, ...) {
  va_list args;
  va_start(args, format);
  std::fprintf(stderr, "FAILED ");
  std::vfprintf(stderr, format, args);
  std::fprintf(stderr, "\n");
  va_end(args);
  std::exit(1);
}

class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}
  int integer(int low, int high) { return std::uniform_int_distribution<int>(low, high)(engine_); }
  float real(float low, float high) { return std::uniform_real_distribution<float>(low, high)(engine_); }
  bool chance(int one_in) { return integer(1, one_in) == 1; }

 private:
  std::mt19937 engine_;
};

// Output with guard words on both sides.
class Guarded {
 public:
  explicit Guarded(size_t count) : data_(count + 2 * kGuard, value()) {}
  float* data() { return data_.data() + kGuard; }
  size_t size() const { return data_.size() - 2 * kGuard; }
  void check(const std::string& what) {
    for (size_t n = 0; n < kGuard; n++) {
      if (dsconv::bits_of(data_[n]) != 0x4D3C2B1A || dsconv::bits_of(data_[data_.size() - 1 - n]) != 0x4D3C2B1A) fail_test("%s: wrote outside its output", what.c_str());
    }
  }

 private:
  static float value() { return dsconv::float_of(0x4D3C2B1A); }
  static constexpr size_t kGuard = 64;
  std::vector<float> data_;
};

// A copy that may be read 16 floats beyond its end, as per-channel arrays must.
class Padded {
 public:
  explicit Padded(const std::vector<float>& v) : data_(v) { data_.resize(v.size() + 16); }
  const float* data() const { return data_.data(); }

 private:
  std::vector<float> data_;
};
