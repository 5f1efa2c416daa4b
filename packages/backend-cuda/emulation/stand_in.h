// The state of the stand-in for NVIDIA's driver, and what every call of it begins with.
//
// The environment says what it pretends to be; it is read by cuInit and cuDriverGetVersion:
//   DSCONV_EMULATED_CC              compute capability, such as 75, 80 (the default), 90
//   DSCONV_EMULATED_DEVICES         how many devices (1)
//   DSCONV_EMULATED_DRIVER_VERSION  as cuDriverGetVersion tells it (13000)
//   DSCONV_EMULATED_MEMORY          bytes of device memory (2 GiB)
//   DSCONV_EMULATED_LAZY            1: work is done when somebody waits for it, not before
//   DSCONV_EMULATED_FAIL            function:nth call:error, several with commas; counted from cuInit, pinned memory is cuMemHostAlloc
//   DSCONV_EMULATED_CRASH, _HANG    the name of a function that aborts, or never returns
//   DSCONV_EMULATED_REPORT          a file to which a line of JSON is added when the last context goes: what was not given back until then
#pragma once
#include <map>
#include <set>
#include <string>

#include "device_memory.h"
#include "runtime.h"
#include "stream.h"

#define DSCONV_EXPORT extern "C" __attribute__((visibility("default")))

struct CUctx_st {
  int device;
};
struct CUfunc_st {
  const emulation::Kernel* kernel;
  int max_dynamic_shared;
};
struct CUmod_st {
  std::map<std::string, std::unique_ptr<CUfunc_st>> functions;
};
struct CUstream_st : emulation::Stream {};
struct CUevent_st {
  std::shared_ptr<emulation::Event> event;
};
struct CUgraph_st {
  std::shared_ptr<emulation::Graph> graph;
};
struct CUgraphExec_st {
  std::shared_ptr<emulation::Graph> graph;
};

namespace emulation {

struct Pretended {
  int capability = 80, devices = 1, driver_version = 13000;
  size_t memory = size_t(2) << 30;
  std::string fail, crash, hang, report;
};

struct State {
  Device device;
  DeviceMemory memory;
  Pretended pretended;
  bool initialized = false;
  int retained = 0;
  CUctx_st context = {0};
  std::set<CUmodule> modules;
  std::set<CUstream> streams;
  std::set<CUevent> events;
  std::set<CUgraph> graphs;
  std::set<CUgraphExec> executables;
  std::map<void*, size_t> pinned;
  std::map<std::string, int> calls;
  /** What went wrong last, for cuGetErrorString. Never shrinks, since it gives pointers into it away. */
  std::deque<std::string> complaints;
};

State& state();

/** Says on standard error, and to cuGetErrorString, what the error is about. */
CUresult complain(CUresult error, const std::string& text);

enum class Needs { nothing, initialized, context };

/** Holds the lock for a call; `error` is what the call answers without doing anything. */
struct Call {
  std::unique_lock<std::mutex> lock;
  CUresult error;
  /** The error is DSCONV_EMULATED_FAIL's. What gives something back does so all the same. */
  bool injected = false;
  bool refused() const { return error != kCudaSuccess && !injected; }
  Call(const char* function, Needs needs = Needs::context);
};

/** The context of this thread. */
CUcontext& current_context();
/** Gives back what is left, and writes the report. */
void context_gone();
void read_pretended();

}  // namespace emulation
