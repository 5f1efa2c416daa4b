// Small things every file of the native tier uses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>

namespace dsconv {

// Free functions of headers are static: a file compiled for one instruction set must never lend its copy to another.

// An error that becomes a JavaScript exception of the given class with a `code`.
struct Failure : std::runtime_error {
  enum Kind { kType, kRange, kError };
  Kind kind;
  const char* code;
  Failure(Kind k, const char* c, const std::string& message) : std::runtime_error(message), kind(k), code(c) {}
};

[[noreturn]] static inline void fail_range(const std::string& message) { throw Failure(Failure::kRange, "OUT_OF_RANGE", message); }
[[noreturn]] static inline void fail_argument(const std::string& message) { throw Failure(Failure::kType, "INVALID_ARGUMENT", message); }
[[noreturn]] static inline void fail_unsupported(const std::string& message) { throw Failure(Failure::kRange, "UNSUPPORTED", message); }

template <typename T>
static constexpr T ceil_div(T a, T b) { return (a + b - 1) / b; }
template <typename T>
static constexpr T round_up(T a, T b) { return ceil_div(a, b) * b; }
template <typename T>
static constexpr T min_of(T a, T b) { return a < b ? a : b; }
template <typename T>
static constexpr T max_of(T a, T b) { return a > b ? a : b; }

// 64-byte aligned memory with readable, zeroed slack behind it, so that kernels may load whole vectors at the end.
constexpr size_t kSlack = 128;

class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(size_t bytes) { allocate(bytes); }
  void allocate(size_t bytes) {
    release();
    const size_t whole = round_up(bytes + kSlack, size_t{64});
    data_ = static_cast<uint8_t*>(std::aligned_alloc(64, whole));
    if (!data_) throw std::bad_alloc();
    std::memset(data_ + bytes, 0, whole - bytes);
    bytes_ = bytes;
  }
  ~Buffer() { release(); }
  Buffer(Buffer&& other) noexcept : data_(other.data_), bytes_(other.bytes_) { other.data_ = nullptr; other.bytes_ = 0; }
  Buffer& operator=(Buffer&& other) noexcept {
    if (this != &other) {
      release();
      data_ = other.data_;
      bytes_ = other.bytes_;
      other.data_ = nullptr;
      other.bytes_ = 0;
    }
    return *this;
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  void zero() { std::memset(data_, 0, bytes_); }
  uint8_t* data() const { return data_; }
  template <typename T>
  T* as() const { return reinterpret_cast<T*>(data_); }
  size_t bytes() const { return bytes_; }
  explicit operator bool() const { return data_ != nullptr; }

 private:
  void release() {
    std::free(data_);
    data_ = nullptr;
    bytes_ = 0;
  }
  uint8_t* data_ = nullptr;
  size_t bytes_ = 0;
};

static inline uint32_t bits_of(float f) { uint32_t u; std::memcpy(&u, &f, 4); return u; }
static inline float float_of(uint32_t u) { float f; std::memcpy(&f, &u, 4); return f; }

enum Activation : int { kLinear = 0, kRelu = 1, kRelu6 = 2, kSilu = 3, kLeakyRelu = 4, kPrelu = 5, kSigmoid = 6, kTanh = 7, kExp = 8, kStep = 9, kSquare = 10, kSqrt = 11, kRsqrt = 12, kNegate = 13 };

// Geometry of a convolution or pool, all values checked by the caller (geometry.cc).
struct Window {
  int32_t batch = 1, in_h = 1, in_w = 1, in_c = 1, out_h = 1, out_w = 1, kh = 1, kw = 1;
  int32_t stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1, pad_top = 0, pad_left = 0;
  int64_t in_pixels() const { return int64_t{batch} * in_h * in_w; }
  int64_t out_pixels() const { return int64_t{batch} * out_h * out_w; }
  bool is_pointwise() const {
    return kh == 1 && kw == 1 && stride_h == 1 && stride_w == 1 && pad_top == 0 && pad_left == 0 && out_h == in_h && out_w == in_w;
  }
};

}  // namespace dsconv
