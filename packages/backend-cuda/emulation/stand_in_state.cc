#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "stand_in.h"

namespace emulation {
namespace {

const char* text(const char* name) {
  const char* value = getenv(name);
  return value != nullptr ? value : "";
}

long long number(const char* name, long long otherwise) {
  const char* value = text(name);
  return *value ? atoll(value) : otherwise;
}

/** The error that DSCONV_EMULATED_FAIL wants from this call, or success. */
CUresult wanted_failure(const std::string& list, const std::string& function, int nth) {
  for (size_t from = 0; from < list.size();) {
    const size_t comma = std::min(list.find(',', from), list.size());
    const std::string rule = list.substr(from, comma - from);
    from = comma + 1;
    int at, error;
    const size_t colon = rule.find(':');
    if (colon == std::string::npos || sscanf(rule.c_str() + colon, ":%d:%d", &at, &error) != 2) {
      fprintf(stderr, "DSCONV_EMULATED_FAIL has '%s'; expected function:nth call:error\n", rule.c_str());
      abort();
    }
    if (rule.compare(0, colon, function) == 0 && colon == function.size() && at == nth) return error;
  }
  return kCudaSuccess;
}

}  // namespace

State& state() {
  static State* all = new State;
  return *all;
}

CUcontext& current_context() {
  static thread_local CUcontext context = nullptr;
  return context;
}

CUresult complain(CUresult error, const std::string& text) {
  State& s = state();
  s.complaints.push_back(text);
  fprintf(stderr, "emulated CUDA device: %s\n", text.c_str());
  return error;
}

void read_pretended() {
  State& s = state();
  s.pretended.capability = static_cast<int>(number("DSCONV_EMULATED_CC", 80));
  s.pretended.devices = static_cast<int>(number("DSCONV_EMULATED_DEVICES", 1));
  s.pretended.driver_version = static_cast<int>(number("DSCONV_EMULATED_DRIVER_VERSION", 13000));
  s.pretended.memory = static_cast<size_t>(number("DSCONV_EMULATED_MEMORY", 2ll << 30));
  s.pretended.fail = text("DSCONV_EMULATED_FAIL");
  s.pretended.crash = text("DSCONV_EMULATED_CRASH");
  s.pretended.hang = text("DSCONV_EMULATED_HANG");
  s.pretended.report = text("DSCONV_EMULATED_REPORT");
  s.device.lazy = number("DSCONV_EMULATED_LAZY", 0) != 0;
  s.calls.clear();
}

Call::Call(const char* function, Needs needs) : lock(state().device.mutex), error(kCudaSuccess) {
  State& s = state();
  if (s.pretended.crash == function) abort();
  while (s.pretended.hang == function) sleep(1);
  const CUresult wanted = wanted_failure(s.pretended.fail, function, ++s.calls[function]);
  if (needs != Needs::nothing && !s.initialized) {
    error = kCudaNotInitialized;
  } else if (wanted != kCudaSuccess) {
    error = wanted;
    injected = true;
  } else if (needs == Needs::context && (current_context() == nullptr || s.retained == 0)) {
    error = complain(kCudaInvalidContext, std::string(function) + " was called without a current context");
  } else if (needs == Needs::context) {
    error = s.device.sticky;
  }
}

void context_gone() {
  State& s = state();
  const std::string damage = s.memory.damage_anywhere();
  if (!damage.empty()) complain(kCudaIllegalAddress, "a kernel " + damage);
  if (!s.pretended.report.empty()) {
    if (FILE* file = fopen(s.pretended.report.c_str(), "a")) {
      fprintf(file,
              "{\"allocations\":%zu,\"bytes\":%zu,\"pinned\":%zu,\"streams\":%zu,\"events\":%zu,\"graphs\":%zu,"
              "\"executables\":%zu,\"modules\":%zu,\"damaged\":%s}\n",
              s.memory.count(), s.memory.used(), s.pinned.size(), s.streams.size(), s.events.size(), s.graphs.size(),
              s.executables.size(), s.modules.size(), damage.empty() ? "false" : "true");
      fclose(file);
    }
  }
  // As the driver does for a context; pinned memory, which belongs to no context here, too.
  s.memory.free_all();
  for (const auto& [address, bytes] : s.pinned) free(address);
  s.pinned.clear();
  for (CUmodule module : s.modules) delete module;
  s.modules.clear();
  for (CUstream stream : s.streams) delete stream;
  s.streams.clear();
  s.device.streams.clear();
  for (CUevent event : s.events) delete event;
  s.events.clear();
  for (CUgraph graph : s.graphs) delete graph;
  s.graphs.clear();
  for (CUgraphExec executable : s.executables) delete executable;
  s.executables.clear();
  s.device.sticky = kCudaSuccess;
}

}  // namespace emulation
