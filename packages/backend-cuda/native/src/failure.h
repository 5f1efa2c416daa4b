// Errors as they are thrown in C++; addon.h turns them into JavaScript's.
#pragma once
#include <stdexcept>
#include <string>

namespace dsconv {

class Failure : public std::runtime_error {
 public:
  enum Kind { kType, kRange, kError };
  Failure(Kind kind, const char* code, const std::string& text, std::string error_name = "")
      : std::runtime_error(text), kind(kind), code(code), error_name(std::move(error_name)) {}
  Kind kind;
  const char* code;
  /** The driver's name of an error that it gave, or empty. */
  std::string error_name;
};

[[noreturn]] inline void fail_argument(const std::string& text) { throw Failure(Failure::kType, "INVALID_ARGUMENT", text); }
[[noreturn]] inline void fail_handle(const std::string& text) { throw Failure(Failure::kType, "INVALID_HANDLE", text); }
[[noreturn]] inline void fail_range(const std::string& text) { throw Failure(Failure::kRange, "OUT_OF_RANGE", text); }
[[noreturn]] inline void fail(const char* code, const std::string& text) { throw Failure(Failure::kError, code, text); }

}  // namespace dsconv
