// What a device promises: reads, synchronization, runs.
#include <cstring>

#include "device.h"

namespace dsconv {
namespace {

/** Slots that a runner keeps for its next runs. */
constexpr size_t kIdleSlots = 8;
/** Of what lies in a slot. */
constexpr size_t kAlignment = 64;

size_t aligned(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

}  // namespace

// ---- slots and promises --------------------------------------------------------------------------------------------------------

Device::Slot Device::take_slot(size_t bytes) {
  Slot slot;
  if (bytes > 0) slot.memory = pinned_.take(bytes);
  if (!idle_events_.empty()) {
    slot.event = idle_events_.back();
    idle_events_.pop_back();
    return slot;
  }
  const CUresult result = context_->driver.cuEventCreate(&slot.event, kEventBlockingSync | kEventDisableTiming);
  if (result != kCudaSuccess) {
    pinned_.give(slot.memory);
    context_->driver.raise(result, "an event cannot be made");
  }
  return slot;
}

void Device::give_slot(Slot slot) {
  pinned_.give(slot.memory);
  if (slot.event != nullptr) idle_events_.push_back(slot.event);
}

void Device::abandon(Slot slot, CUstream stream) {
  context_->driver.cuStreamSynchronize(stream);
  give_slot(slot);
}

Napi::Value Device::start(std::unique_ptr<Promised> job, uint32_t stream_handle, CUstream stream) {
  try {
    auto& waiter = waiters_[stream_handle];
    if (!waiter) waiter = std::make_unique<Waiter>(context_->driver, [this] { context_->enter(); }, *outbox_);
    job->event = job->slot.event;
    context_->driver.check(context_->driver.cuEventRecord(job->event, stream), job->what);
    // An environment that is ending refuses these two.
    job->deferred.emplace(Env());
    if (pending_ == 0) Ref();
  } catch (...) {
    abandon(job->slot, stream);
    throw;
  }
  if (pending_++ == 0) napi_ref_threadsafe_function(Env(), done_);
  const Napi::Promise promise = job->deferred->Promise();
  waiters_[stream_handle]->push(job.release());
  return promise;
}

void Device::deliver() {
  for (Job* done : outbox_->take()) {
    const std::unique_ptr<Promised> job(static_cast<Promised*>(done));
    // In an environment that is ending nothing of JavaScript can be made any more, and nobody waits for it. Nothing may be thrown from here.
    try {
      settle(*job);
    } catch (const Napi::Error&) {
    }
    put_away(*job);
    if (--pending_ > 0) continue;
    napi_unref_threadsafe_function(Env(), done_);
    try {
      Unref();
    } catch (const Napi::Error&) {
    }
  }
}

void Device::settle(Promised& job) {
  const Napi::HandleScope scope(Env());
  try {
    context_->driver.check(job.result, job.what);
    copy_out(job);
  } catch (...) {
    job.deferred->Reject(error_now(Env()).Value());
    return;
  }
  job.deferred->Resolve(Env().Undefined());
}

void Device::put_away(Promised& job) {
  // Slots may be given back to the driver, which wants to know of which context.
  context_->driver.cuCtxSetCurrent(context_->handle());
  const auto runner = runners_.content().find(job.runner);
  if (runner != runners_.content().end() && runner->second.idle.size() < kIdleSlots) {
    runner->second.idle.push_back(job.slot);
  } else {
    give_slot(job.slot);
  }
}

void Device::copy_out(Promised& job) {
  // All are looked at before the first is written.
  std::vector<Bytes> views;
  for (size_t n = 0; n < job.targets.size(); n++) {
    views.push_back(bytes_of(job.targets[n].view.Value(), "output " + std::to_string(n)));
    if (views[n].length != job.targets[n].bytes) {
      fail_argument("output " + std::to_string(n) + " was " + std::to_string(job.targets[n].bytes) + " bytes long and is now " +
                    std::to_string(views[n].length) + ": its buffer was transferred or resized meanwhile");
    }
  }
  for (size_t n = 0; n < views.size(); n++) memcpy(views[n].data, job.targets[n].from, views[n].length);
}

// ---- reads -------------------------------------------------------------------------------------------------------------------

Napi::Value Device::read(const Info& info) {
  const CUdeviceptr address = address_of(info[0], "address");
  const uint32_t handle = handle_of(info[2], "stream");
  const CUstream stream = context_->stream(handle, "read");
  const size_t bytes = bytes_of(info[1], "view").length;
  context_->expect_inside(address, bytes, "the bytes to read");
  auto job = std::make_unique<Promised>();
  job->what = "a copy from the device, or work before it, failed";
  job->slot = take_slot(bytes);
  if (bytes > 0) {
    try {
      context_->driver.check(context_->driver.cuMemcpyDtoHAsync_v2(job->slot.memory.data, address, bytes, stream), job->what);
      job->targets.push_back({Napi::Persistent(info[1].As<Napi::Object>()), job->slot.memory.data, bytes});
    } catch (...) {
      abandon(job->slot, stream);
      throw;
    }
  }
  return start(std::move(job), handle, stream);
}

Napi::Value Device::synchronize(const Info& info) {
  const uint32_t handle = handle_of(info[0], "stream");
  const CUstream stream = context_->stream(handle, "waited for");
  auto job = std::make_unique<Promised>();
  job->what = "the work of a stream failed";
  job->slot = take_slot(0);
  return start(std::move(job), handle, stream);
}

// ---- runs --------------------------------------------------------------------------------------------------------------------

Napi::Value Device::create_runner(const Info& info) {
  const Napi::Object spec = object_of(info[0], "spec");
  Runner runner;
  const Napi::Value graph = spec.Get("graph");
  if (!graph.IsNull()) {
    runner.graph_handle = handle_of(graph, "graph");
    runner.graph = context_->graphs.at(runner.graph_handle);
  }
  runner.stream_handle = handle_of(spec.Get("stream"), "stream");
  runner.stream = context_->stream(runner.stream_handle);
  const auto places = [&](const char* name) {
    std::vector<Place> result;
    for (const Napi::Value& entry : list_of(spec.Get(name), name)) {
      const Napi::Object object = object_of(entry, name);
      const Place place{address_of(object.Get("address"), "address"), size_of(object.Get("bytes"), "bytes", 1), runner.slot_bytes};
      context_->expect_inside(place.address, place.bytes, name);
      runner.slot_bytes += aligned(place.bytes);
      result.push_back(place);
    }
    return result;
  };
  runner.inputs = places("inputs");
  runner.outputs = places("outputs");
  runner.idle.push_back(take_slot(runner.slot_bytes));
  return Napi::Number::New(info.Env(), runners_.add(std::move(runner)));
}

Napi::Value Device::run(const Info& info) {
  const uint32_t handle = handle_of(info[0], "runner");
  Runner& runner = runners_.at(handle);
  context_->stream(runner.stream_handle, "run on");
  const auto views = [](const Napi::Value& value, const char* name, const std::vector<Place>& places) {
    std::vector<Napi::Value> list = list_of(value, name);
    if (list.size() != places.size()) {
      fail_range(std::string(name) + " are " + std::to_string(list.size()) + " views; expected " + std::to_string(places.size()));
    }
    return list;
  };
  const auto bytes = [](const Napi::Value& value, const char* name, size_t n, size_t expected) {
    const Bytes view = bytes_of(value, name);
    if (view.length != expected) {
      fail_range(std::string(name) + " " + std::to_string(n) + " has " + std::to_string(view.length) + " bytes; expected " +
                 std::to_string(expected));
    }
    return view;
  };
  // Whatever may run code of the caller comes before the first pointer.
  const std::vector<Napi::Value> inputs = views(info[1], "inputs", runner.inputs), outputs = views(info[2], "outputs", runner.outputs);
  for (size_t n = 0; n < outputs.size(); n++) bytes(outputs[n], "output", n, runner.outputs[n].bytes);
  for (size_t n = 0; n < inputs.size(); n++) bytes(inputs[n], "input", n, runner.inputs[n].bytes);

  auto job = std::make_unique<Promised>();
  job->what = "a run failed";
  job->runner = handle;
  if (runner.idle.empty()) {
    job->slot = take_slot(runner.slot_bytes);
  } else {
    job->slot = runner.idle.back();
    runner.idle.pop_back();
  }
  const Driver& driver = context_->driver;
  char* memory = job->slot.memory.data;
  try {
    for (size_t n = 0; n < inputs.size(); n++) {
      const Place& place = runner.inputs[n];
      memcpy(memory + place.offset, bytes_of(inputs[n], "input").data, place.bytes);
      driver.check(driver.cuMemcpyHtoDAsync_v2(place.address, memory + place.offset, place.bytes, runner.stream), job->what);
    }
    if (runner.graph != nullptr) driver.check(driver.cuGraphLaunch(runner.graph, runner.stream), job->what);
    for (size_t n = 0; n < outputs.size(); n++) {
      const Place& place = runner.outputs[n];
      driver.check(driver.cuMemcpyDtoHAsync_v2(memory + place.offset, place.address, place.bytes, runner.stream), job->what);
      job->targets.push_back({Napi::Persistent(outputs[n].As<Napi::Object>()), memory + place.offset, place.bytes});
    }
  } catch (...) {
    // The driver refused, or the environment is ending.
    abandon(job->slot, runner.stream);
    throw;
  }
  return start(std::move(job), runner.stream_handle, runner.stream);
}

void Device::destroy_runner(const Info& info) {
  const uint32_t handle = handle_of(info[0], "runner");
  const CUresult result = context_->driver.cuStreamSynchronize(runners_.at(handle).stream);
  for (const Slot& slot : runners_.take(handle).idle) give_slot(slot);
  context_->driver.check(result, "the runs of a runner failed");
}

}  // namespace dsconv
