// The object that JavaScript holds: a context, its promises and its runners.
#pragma once
#include <optional>

#include "addon.h"
#include "pinned.h"
#include "waiter.h"

namespace dsconv {

class Device : public Napi::ObjectWrap<Device> {
 public:
  explicit Device(const Napi::CallbackInfo& info);
  ~Device() override;
  static Napi::Function define(Napi::Env env);

 private:
  using Info = Napi::CallbackInfo;

  /** A method as JavaScript calls it: with the context current, and errors as exceptions. */
  template <auto body>
  Napi::Value entered(const Info& info) {
    return guarded(info.Env(), [&] { return call<body>(info); });
  }
  /** The same for one that returns a promise. */
  template <auto body>
  Napi::Value later(const Info& info) {
    return promised(info.Env(), [&] { return call<body>(info); });
  }
  template <auto body>
  Napi::Value call(const Info& info) {
    context_->enter();
    if constexpr (std::is_void_v<decltype((this->*body)(info))>) {
      (this->*body)(info);
      return info.Env().Undefined();
    } else {
      return (this->*body)(info);
    }
  }
  template <auto body>
  static Napi::ClassPropertyDescriptor<Device> method(const char* name) {
    return InstanceMethod<&Device::template entered<body>>(name);
  }
  template <auto body>
  static Napi::ClassPropertyDescriptor<Device> promise(const char* name) {
    return InstanceMethod<&Device::template later<body>>(name);
  }

  // device.cc
  void load_module(const Info& info);
  Napi::Value get_function(const Info& info);
  void launch(const Info& info);
  Napi::Value create_stream(const Info& info);
  void destroy_stream(const Info& info);
  void synchronize_sync(const Info& info);
  Napi::Value create_event(const Info& info);
  void destroy_event(const Info& info);
  void record_event(const Info& info);
  Napi::Value elapsed(const Info& info);
  void begin_capture(const Info& info);
  Napi::Value end_capture(const Info& info);
  void launch_graph(const Info& info);
  void destroy_graph(const Info& info);
  void close(const Info& info);

  // device_memory.cc
  Napi::Value malloc(const Info& info);
  void free(const Info& info);
  Napi::Value memory_info(const Info& info);
  void write(const Info& info);
  void copy(const Info& info);
  void fill32(const Info& info);
  void read_sync(const Info& info);

  // device_runs.cc
  Napi::Value read(const Info& info);
  Napi::Value synchronize(const Info& info);
  Napi::Value create_runner(const Info& info);
  Napi::Value run(const Info& info);
  void destroy_runner(const Info& info);

  /** One view of a run, or of a read, and where its bytes come from. */
  struct Target {
    Napi::ObjectReference view;
    const char* from;
    size_t bytes;
  };
  /** What one run in flight needs for itself. */
  struct Slot {
    Pinned memory;
    CUevent event = nullptr;
  };
  struct Promised : Job {
    /** Once the job is on its way. */
    std::optional<Napi::Promise::Deferred> deferred;
    std::vector<Target> targets;
    /** Half a sentence for the error. */
    const char* what = "";
    Slot slot;
    /** Where the slot goes afterwards, if that still lives; 0: to the pools. */
    uint32_t runner = 0;
  };
  struct Place {
    CUdeviceptr address;
    size_t bytes;
    /** Within the slot's memory. */
    size_t offset;
  };
  struct Runner {
    CUgraphExec graph = nullptr;
    uint32_t graph_handle = 0, stream_handle = 0;
    CUstream stream = nullptr;
    std::vector<Place> inputs, outputs;
    size_t slot_bytes = 0;
    std::vector<Slot> idle;
  };

  Slot take_slot(size_t bytes);
  void give_slot(Slot slot);
  /** Puts the job's event on the stream and hands the job to the stream's waiter. On failure the slot's memory may be in use: the stream is waited for. */
  Napi::Value start(std::unique_ptr<Promised> job, uint32_t stream_handle, CUstream stream);
  /** After something between a copy's start and the record of its event failed. */
  void abandon(Slot slot, CUstream stream);
  void deliver();
  void settle(Promised& job);
  void put_away(Promised& job);
  void copy_out(Promised& job);
  void shut_down();
  static void on_environment_end(void* device);

  std::unique_ptr<Context> context_;
  PinnedPool pinned_;
  std::vector<CUevent> idle_events_;
  Table<Runner> runners_{"runner"};
  std::unordered_map<uint32_t, std::unique_ptr<Waiter>> waiters_;
  std::unique_ptr<Outbox> outbox_;
  napi_threadsafe_function done_ = nullptr;
  /** Promises that are open: they keep the event loop and this object alive. */
  int pending_ = 0;
  bool hooked_ = false;
};

}  // namespace dsconv
