// Kernels, streams, events and graphs of a device, and its end.
#include "device.h"

namespace dsconv {
namespace {

constexpr double kMostGrid = 2147483647.0;

}  // namespace

Device::Device(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<Device>(info),
      context_(std::move(info.Env().GetInstanceData<Environment>()->new_context)),
      pinned_(context_ ? &context_->driver : nullptr) {
  const Napi::Env env = info.Env();
  if (!context_) throw Napi::TypeError::New(env, "devices are opened by open(), not constructed");
  const auto deliver = [](napi_env env, napi_value, void* device, void*) {
    // Without an environment it is too late for promises.
    if (env != nullptr) static_cast<Device*>(device)->deliver();
  };
  const napi_status made =
      napi_create_threadsafe_function(env, nullptr, nullptr, Napi::String::New(env, "dsconv_cuda"), 0, 1, nullptr, nullptr, this, deliver, &done_);
  if (made != napi_ok) throw Napi::Error::New(env);
  napi_unref_threadsafe_function(env, done_);
  outbox_ = std::make_unique<Outbox>([this] { napi_call_threadsafe_function(done_, nullptr, napi_tsfn_nonblocking); });
  // After the function, so that it is called before that is taken down.
  napi_add_env_cleanup_hook(env, on_environment_end, this);
  hooked_ = true;
  const Napi::Object self = info.This().As<Napi::Object>();
  self.Set("info", describe(env, context_->info));
  self.Set("closed", false);
}

Device::~Device() { shut_down(); }

void Device::on_environment_end(void* device) {
  static_cast<Device*>(device)->hooked_ = false;
  static_cast<Device*>(device)->shut_down();
}

void Device::shut_down() {
  if (!context_ || context_->closed()) return;
  // Waiters end when what they wait for is done.
  waiters_.clear();
  try {
    context_->enter();
  } catch (const Failure&) {
  }
  for (auto& [handle, runner] : runners_.content()) {
    for (const Slot& slot : runner.idle) give_slot(slot);
  }
  runners_.content().clear();
  // Jobs that JavaScript has not been told of; close() has done that before.
  for (Job* job : outbox_->take()) {
    give_slot(static_cast<Promised*>(job)->slot);
    delete job;
  }
  for (CUevent event : idle_events_) context_->driver.cuEventDestroy_v2(event);
  idle_events_.clear();
  pinned_.clear();
  context_->close();
  napi_release_threadsafe_function(done_, napi_tsfn_abort);
  if (hooked_) napi_remove_env_cleanup_hook(Env(), on_environment_end, this);
  hooked_ = false;
}

void Device::close(const Info& info) {
  if (context_->closed()) return;
  waiters_.clear();
  deliver();
  shut_down();
  info.This().As<Napi::Object>().Set("closed", true);
}

void Device::load_module(const Info& info) {
  const Bytes image = bytes_of(info[0], "image");
  if (image.length == 0) fail_range("image has no bytes");
  context_->load_module(image.data, image.length);
}

Napi::Value Device::get_function(const Info& info) {
  if (!info[0].IsString()) fail_argument("name is not a string");
  const std::string name = info[0].As<Napi::String>();
  return Napi::Number::New(info.Env(), context_->function(name, unsigned_of(info[1], "dynamicSharedBytes", 0, kMostGrid)));
}

void Device::launch(const Info& info) {
  const KernelState& kernel = context_->kernels.at(handle_of(info[0], "fn"));
  const uint32_t x = unsigned_of(info[1], "gridX", 1, kMostGrid), y = unsigned_of(info[2], "gridY", 1, kMostGrid),
                 z = unsigned_of(info[3], "gridZ", 1, kMostGrid), threads = unsigned_of(info[4], "threads", 1, 1024),
                 shared = unsigned_of(info[5], "dynamicSharedBytes", 0, kMostGrid);
  const CUstream stream = context_->stream(handle_of(info[7], "stream"));
  const Bytes params = bytes_of(info[6], "params");
  size_t bytes = params.length;
  void* extra[] = {kLaunchParamBufferPointer, params.data, kLaunchParamBufferSize, &bytes, kLaunchParamEnd};
  const CUresult result = context_->driver.cuLaunchKernel(kernel.function, x, y, z, threads, 1, 1, shared, stream, nullptr, extra);
  if (result != kCudaSuccess) {
    context_->driver.raise(result, "kernel " + kernel.name + " cannot be launched with a grid of " + std::to_string(x) + ", " +
                                       std::to_string(y) + ", " + std::to_string(z) + " and " + std::to_string(threads) + " threads");
  }
}

// ---- order -------------------------------------------------------------------------------------------------------------------

Napi::Value Device::create_stream(const Info& info) { return Napi::Number::New(info.Env(), context_->create_stream()); }

void Device::destroy_stream(const Info& info) {
  const uint32_t handle = handle_of(info[0], "stream");
  context_->stream(handle, "destroyed");
  for (const auto& [number, runner] : runners_.content()) {
    if (runner.stream_handle == handle) fail("INVALID_STATE", "runner " + std::to_string(number) + " of the stream still lives");
  }
  waiters_.erase(handle);
  context_->destroy_stream(handle);
}

void Device::synchronize_sync(const Info& info) {
  const CUstream stream = context_->stream(handle_of(info[0], "stream"), "waited for");
  context_->driver.check(context_->driver.cuStreamSynchronize(stream), "the work of a stream failed");
}

Napi::Value Device::create_event(const Info& info) { return Napi::Number::New(info.Env(), context_->create_event()); }
void Device::destroy_event(const Info& info) { context_->destroy_event(handle_of(info[0], "event")); }

void Device::record_event(const Info& info) {
  const CUevent event = context_->events.at(handle_of(info[0], "event"));
  const CUstream stream = context_->stream(handle_of(info[1], "stream"), "given an event");
  context_->driver.check(context_->driver.cuEventRecord(event, stream), "an event cannot be recorded");
}

Napi::Value Device::elapsed(const Info& info) {
  const CUevent from = context_->events.at(handle_of(info[0], "from")), to = context_->events.at(handle_of(info[1], "to"));
  const Driver& driver = context_->driver;
  for (const CUevent event : {from, to}) driver.check(driver.cuEventSynchronize(event), "the work before an event failed");
  float milliseconds = 0;
  driver.check(driver.cuEventElapsedTime(&milliseconds, from, to), "the time between two events cannot be told");
  return Napi::Number::New(info.Env(), milliseconds);
}

// ---- graphs ------------------------------------------------------------------------------------------------------------------

void Device::begin_capture(const Info& info) { context_->begin_capture(handle_of(info[0], "stream")); }
Napi::Value Device::end_capture(const Info& info) {
  return Napi::Number::New(info.Env(), context_->end_capture(handle_of(info[0], "stream")));
}

void Device::launch_graph(const Info& info) {
  const CUgraphExec graph = context_->graphs.at(handle_of(info[0], "graph"));
  const CUstream stream = context_->stream(handle_of(info[1], "stream"), "given a graph");
  context_->driver.check(context_->driver.cuGraphLaunch(graph, stream), "a graph cannot be launched");
}

void Device::destroy_graph(const Info& info) {
  const uint32_t handle = handle_of(info[0], "graph");
  for (const auto& [number, runner] : runners_.content()) {
    if (runner.graph_handle == handle) fail("INVALID_STATE", "runner " + std::to_string(number) + " of the graph still lives");
  }
  context_->destroy_graph(handle);
}

// ---- the class ---------------------------------------------------------------------------------------------------------------

Napi::Function Device::define(Napi::Env env) {
  return DefineClass(env, "CudaDevice",
                     {
                         method<&Device::load_module>("loadModule"),
                         method<&Device::get_function>("getFunction"),
                         method<&Device::launch>("launch"),
                         method<&Device::malloc>("malloc"),
                         method<&Device::free>("free"),
                         method<&Device::memory_info>("memoryInfo"),
                         method<&Device::write>("write"),
                         method<&Device::copy>("copy"),
                         method<&Device::fill32>("fill32"),
                         promise<&Device::read>("read"),
                         method<&Device::read_sync>("readSync"),
                         method<&Device::create_stream>("createStream"),
                         method<&Device::destroy_stream>("destroyStream"),
                         promise<&Device::synchronize>("synchronize"),
                         method<&Device::synchronize_sync>("synchronizeSync"),
                         method<&Device::create_event>("createEvent"),
                         method<&Device::destroy_event>("destroyEvent"),
                         method<&Device::record_event>("recordEvent"),
                         method<&Device::elapsed>("elapsed"),
                         method<&Device::begin_capture>("beginCapture"),
                         method<&Device::end_capture>("endCapture"),
                         method<&Device::launch_graph>("launchGraph"),
                         method<&Device::destroy_graph>("destroyGraph"),
                         method<&Device::create_runner>("createRunner"),
                         promise<&Device::run>("run"),
                         method<&Device::destroy_runner>("destroyRunner"),
                         InstanceMethod("close", &Device::close),
                     });
}

Napi::Function define_device(Napi::Env env) { return Device::define(env); }

}  // namespace dsconv
