// NVIDIA's driver, opened at run time.
#pragma once
#include <string>

#include "driver_api.h"
#include "failure.h"

namespace dsconv {

/** CUDA 11.8: the oldest driver whose compiler takes our PTX. As cuDriverGetVersion tells versions. */
constexpr int kLeastDriverVersion = 11080;
/** Compute capability 7.5, times ten. */
constexpr int kLeastCapability = 75;

/** The functions of the driver, by their names. Loaded once for each path, never unloaded. */
class Driver {
 public:
  /**
   * The library that DSCONV_CUDA_DRIVER names, else the system's; its cuInit has succeeded.
   *
   * @throws Failure NO_DRIVER, DRIVER_TOO_OLD, NO_DEVICE, CUDA_ERROR
   */
  static const Driver& get();

#define DSCONV_MEMBER(name, parameters) CUresult(DSCONV_CUDAAPI* name) parameters = nullptr;
  DSCONV_DRIVER_FUNCTIONS(DSCONV_MEMBER)
#undef DSCONV_MEMBER

  int version = 0;
  /** The emulation of the tests. */
  bool emulated = false;

  /** Throws where a call did not succeed. `what` is half a sentence: "a kernel cannot be launched". */
  void check(CUresult result, const std::string& what) const {
    if (result != kCudaSuccess) raise(result, what);
  }
  [[noreturn]] void raise(CUresult result, const std::string& what) const;
  std::string name_of(CUresult result) const;

 private:
  void open(const std::string& path);
  void start();
};

/** True for errors after which nothing on the device goes on in this process. */
bool is_fatal(CUresult result);
/** "1.5 GiB" */
std::string readable_bytes(size_t bytes);

}  // namespace dsconv
