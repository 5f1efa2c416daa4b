// Launches, streams, capture, graphs and events.
#include <algorithm>
#include <cstring>

#include "stand_in.h"

using namespace emulation;

namespace {

bool known(CUstream stream) { return state().streams.count(stream) != 0; }

/** What a stream under capture cannot do breaks the capture. */
CUresult forbidden_in_capture(CUstream stream, const char* what) {
  stream->capture_broken = true;
  return complain(kCudaCaptureUnsupported, std::string(what) + " on a stream under capture");
}

/** Runs a kernel, and looks whether it wrote around the memory that its parameters point to. */
CUresult run_kernel(const Kernel* kernel, const Launch& shape, const std::vector<char>& params) {
  Launch launch = shape;
  launch.kernel = kernel;
  // Aligned as the device does it.
  alignas(64) char aligned[4096];
  memcpy(aligned, params.data(), params.size());
  launch.params = aligned;
  Failure failure = run(launch);
  State& s = state();
  const std::unique_lock<std::mutex> lock(s.device.mutex);
  if (failure.kind != Failure::none) {
    const size_t at = failure.text.find("address 0x");
    if (at != std::string::npos) {
      const std::string where = s.memory.describe(strtoull(failure.text.c_str() + at + 8, nullptr, 16));
      if (!where.empty()) failure.text += ": " + where;
    }
    return complain(failure.kind == Failure::illegal_address ? kCudaIllegalAddress : kCudaLaunchFailed, failure.text);
  }
  for (size_t at = 0; at + 8 <= params.size(); at += 8) {
    uint64_t word;
    memcpy(&word, params.data() + at, 8);
    const std::string damage = s.memory.damage_near(word);
    if (!damage.empty()) return complain(kCudaIllegalAddress, std::string("kernel ") + kernel->name + " " + damage);
  }
  return kCudaSuccess;
}

}  // namespace

DSCONV_EXPORT CUresult cuLaunchKernel(CUfunction function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                                      unsigned shared, CUstream stream, void** params, void** extra) {
  Call call("cuLaunchKernel");
  if (call.error) return call.error;
  const Kernel& kernel = *function->kernel;
  const std::string name = std::string("launch of ") + kernel.name;
  if (!known(stream)) return kCudaInvalidHandle;
  if (gx == 0 || gy == 0 || gz == 0 || gx > 2147483647u || gy > 65535 || gz > 65535) {
    return complain(kCudaInvalidValue, name + ": a grid of " + std::to_string(gx) + ", " + std::to_string(gy) + ", " + std::to_string(gz));
  }
  const uint64_t threads = static_cast<uint64_t>(bx) * by * bz;
  if (threads == 0 || threads > 1024) return complain(kCudaInvalidValue, name + ": " + std::to_string(threads) + " threads");
  if (threads > static_cast<uint64_t>(kernel.max_threads)) {
    return complain(kCudaLaunchOutOfResources,
                    name + ": " + std::to_string(threads) + " threads; its launch bound is " + std::to_string(kernel.max_threads));
  }
  if (shared > static_cast<unsigned>(function->max_dynamic_shared)) {
    return complain(kCudaInvalidValue, name + ": " + std::to_string(shared) + " bytes of shared memory; it was allowed " +
                                           std::to_string(function->max_dynamic_shared));
  }
  if (params != nullptr || extra == nullptr || extra[0] != kLaunchParamBufferPointer || extra[2] != kLaunchParamBufferSize ||
      extra[4] != kLaunchParamEnd) {
    return complain(kCudaInvalidValue, name + ": parameters in a form that is not emulated");
  }
  const size_t bytes = *static_cast<size_t*>(extra[3]);
  if (bytes != kernel.params_bytes || bytes > 4096) {
    return complain(kCudaInvalidValue,
                    name + ": " + std::to_string(bytes) + " bytes of parameters; its struct has " + std::to_string(kernel.params_bytes));
  }
  const char* given = static_cast<const char*>(extra[1]);
  const Launch shape{&kernel, dim3(gx, gy, gz), dim3(bx, by, bz), shared, nullptr};
  const std::vector<char> copied(given, given + bytes);
  return enqueue(state().device, *stream, [shape, copied] { return run_kernel(shape.kernel, shape, copied); }, call.lock);
}

// ---- streams -----------------------------------------------------------------------------------------------------------------

DSCONV_EXPORT CUresult cuStreamCreate(CUstream* stream, unsigned) {
  const Call call("cuStreamCreate");
  if (call.error) return call.error;
  *stream = new CUstream_st;
  state().streams.insert(*stream);
  state().device.streams.push_back(*stream);
  return kCudaSuccess;
}

DSCONV_EXPORT CUresult cuStreamDestroy_v2(CUstream stream) {
  Call call("cuStreamDestroy_v2");
  if (call.refused()) return call.error;
  State& s = state();
  if (!known(stream)) return kCudaInvalidHandle;
  const CUresult result = drain(s.device, *stream, nullptr, call.lock);
  s.streams.erase(stream);
  auto& all = s.device.streams;
  all.erase(std::find(all.begin(), all.end(), stream));
  delete stream;
  return call.error ? call.error : result;
}

DSCONV_EXPORT CUresult cuStreamSynchronize(CUstream stream) {
  Call call("cuStreamSynchronize");
  if (call.error) return call.error;
  State& s = state();
  if (!known(stream)) return kCudaInvalidHandle;
  if (stream->capturing) return forbidden_in_capture(stream, "synchronizing");
  const CUresult result = drain(s.device, *stream, nullptr, call.lock);
  if (result != kCudaSuccess) return result;
  const std::string damage = s.memory.damage_anywhere();
  return damage.empty() ? kCudaSuccess : (s.device.sticky = complain(kCudaIllegalAddress, "a kernel " + damage));
}

DSCONV_EXPORT CUresult cuStreamBeginCapture_v2(CUstream stream, int) {
  const Call call("cuStreamBeginCapture_v2");
  if (call.error) return call.error;
  if (!known(stream)) return kCudaInvalidHandle;
  if (stream->capturing) return kCudaInvalidValue;
  stream->capturing = true;
  stream->capture_broken = false;
  stream->captured.clear();
  return kCudaSuccess;
}

DSCONV_EXPORT CUresult cuStreamEndCapture(CUstream stream, CUgraph* graph) {
  const Call call("cuStreamEndCapture");
  *graph = nullptr;
  if (!known(stream) || !stream->capturing) return kCudaInvalidValue;
  stream->capturing = false;
  if (call.error) return call.error;
  if (stream->capture_broken) return kCudaCaptureInvalidated;
  *graph = new CUgraph_st{std::make_shared<Graph>(std::move(stream->captured))};
  state().graphs.insert(*graph);
  return kCudaSuccess;
}

// ---- graphs ------------------------------------------------------------------------------------------------------------------

DSCONV_EXPORT CUresult cuGraphInstantiateWithFlags(CUgraphExec* executable, CUgraph graph, unsigned long long) {
  const Call call("cuGraphInstantiateWithFlags");
  if (call.error) return call.error;
  if (state().graphs.count(graph) == 0) return kCudaInvalidHandle;
  *executable = new CUgraphExec_st{graph->graph};
  state().executables.insert(*executable);
  return kCudaSuccess;
}

DSCONV_EXPORT CUresult cuGraphLaunch(CUgraphExec executable, CUstream stream) {
  Call call("cuGraphLaunch");
  if (call.error) return call.error;
  if (state().executables.count(executable) == 0 || !known(stream)) return kCudaInvalidHandle;
  const std::shared_ptr<Graph> graph = executable->graph;
  const auto all = [graph] {
    for (const Work& work : *graph) {
      if (const CUresult result = work()) return result;
    }
    return CUresult(kCudaSuccess);
  };
  return enqueue(state().device, *stream, all, call.lock);
}

DSCONV_EXPORT CUresult cuGraphExecDestroy(CUgraphExec executable) {
  const Call call("cuGraphExecDestroy");
  if (call.refused()) return call.error;
  if (state().executables.erase(executable) == 0) return kCudaInvalidHandle;
  delete executable;
  return call.error;
}

DSCONV_EXPORT CUresult cuGraphDestroy(CUgraph graph) {
  const Call call("cuGraphDestroy");
  if (call.refused()) return call.error;
  if (state().graphs.erase(graph) == 0) return kCudaInvalidHandle;
  delete graph;
  return call.error;
}

// ---- events ------------------------------------------------------------------------------------------------------------------

DSCONV_EXPORT CUresult cuEventCreate(CUevent* event, unsigned flags) {
  const Call call("cuEventCreate");
  if (call.error) return call.error;
  *event = new CUevent_st{std::make_shared<Event>()};
  (*event)->event->timing = !(flags & kEventDisableTiming);
  state().events.insert(*event);
  return kCudaSuccess;
}

DSCONV_EXPORT CUresult cuEventDestroy_v2(CUevent event) {
  const Call call("cuEventDestroy_v2");
  if (call.refused()) return call.error;
  if (state().events.erase(event) == 0) return kCudaInvalidHandle;
  delete event;
  return call.error;
}

DSCONV_EXPORT CUresult cuEventRecord(CUevent event, CUstream stream) {
  Call call("cuEventRecord");
  if (call.error) return call.error;
  if (state().events.count(event) == 0 || !known(stream)) return kCudaInvalidHandle;
  if (stream->capturing) return forbidden_in_capture(stream, "recording an event");
  event->event->asked++;
  event->event->stream = stream;
  return enqueue(state().device, *stream, nullptr, call.lock, event->event);
}

DSCONV_EXPORT CUresult cuEventQuery(CUevent event) {
  const Call call("cuEventQuery");
  if (call.error) return call.error;
  if (state().events.count(event) == 0) return kCudaInvalidHandle;
  return event->event->done >= event->event->asked ? kCudaSuccess : kCudaNotReady;
}

DSCONV_EXPORT CUresult cuEventSynchronize(CUevent event) {
  Call call("cuEventSynchronize");
  if (call.error) return call.error;
  if (state().events.count(event) == 0) return kCudaInvalidHandle;
  const std::shared_ptr<Event> held = event->event;
  if (held->stream == nullptr) return kCudaSuccess;
  return drain(state().device, *held->stream, held.get(), call.lock);
}

DSCONV_EXPORT CUresult cuEventElapsedTime(float* milliseconds, CUevent from, CUevent to) {
  const Call call("cuEventElapsedTime");
  if (call.error) return call.error;
  const Event &a = *from->event, &b = *to->event;
  if (!a.timing || !b.timing || a.asked == 0 || b.asked == 0) return kCudaInvalidHandle;
  if (a.done < a.asked || b.done < b.asked) return kCudaNotReady;
  *milliseconds = std::chrono::duration<float, std::milli>(b.when - a.when).count();
  return kCudaSuccess;
}
