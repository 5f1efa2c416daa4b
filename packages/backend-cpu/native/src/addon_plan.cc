// Plans: descriptions from JavaScript, handles, promises.
#include "addon.h"

#include <algorithm>
#include <map>

namespace dsconv {
namespace {

constexpr int64_t kMost = int64_t{1} << 33;

std::vector<int> ids_of(const Napi::Value& value, const char* name) {
  std::vector<int> ids;
  if (value.IsNumber()) {
    ids.push_back(int(integer_of(value, name, 0, 1 << 24)));
    return ids;
  }
  if (!value.IsArray()) fail_argument(std::string(name) + " is neither a buffer number nor an array of them");
  const Napi::Array array = value.As<Napi::Array>();
  for (uint32_t n = 0; n < array.Length(); n++) ids.push_back(int(integer_of(array.Get(n), name, 0, 1 << 24)));
  return ids;
}

std::vector<float> copy_of(const Napi::Value& value, const char* name) {
  const Floats f = maybe_floats(value, name, 0);
  return f.data ? std::vector<float>(f.data, f.data + f.length) : std::vector<float>();
}

std::string text_at(const Napi::Object& o, const char* name) {
  const Napi::Value v = o.Get(name);
  if (!v.IsString()) fail_argument(std::string(name) + " is not a string");
  return v.As<Napi::String>().Utf8Value();
}

BufferDesc buffer_of(const Napi::Value& value) {
  if (!value.IsObject()) fail_argument("a buffer is not an object");
  const Napi::Object o = value.As<Napi::Object>();
  const std::string format = text_at(o, "format");
  BufferDesc b;
  if (format == "f32") {
    b.length = integer_at(o, "length", 0, kMost);
    return b;
  }
  if (format != "bfp") fail_argument("a buffer's format is '" + format + "'; expected 'f32' or 'bfp'");
  b.is_image = true;
  b.pixels = integer_at(o, "pixels", 0, kMost);
  b.spec.channels = int(integer_at(o, "channels", 1, 1 << 24));
  b.spec.groups = int(integer_at(o, "groups", 1, 1 << 24, 1));
  b.spec.block = int(min_of<int64_t>(integer_at(o, "block", 1, int64_t{1} << 40), 1 << 24));
  b.spec.mantissa = int(integer_at(o, "mantissa", 2, 8));
  b.spec.storage = int(integer_at(o, "storage", 2, 8, 4));
  b.spec.sums = o.Get("sums").ToBoolean();
  return b;
}

void constant_or_buffer(const Napi::Value& value, StepDesc* s, const char* name) {
  if (value.IsNumber()) {
    s->inputs.push_back(int(integer_of(value, name, 0, 1 << 24)));
    return;
  }
  s->weights = copy_of(value, name);
  if (s->weights.empty()) fail_argument(s->name + ": its " + name + " is empty");
}

void convolution_of(const Napi::Object& o, StepDesc* s) {
  const Call c = call_of(o.Get("call"));
  s->w = c.w;
  s->activation = c.activation;
  s->mantissa = c.mantissa;
  s->block = c.block;
  s->multiplier = c.multiplier;
  s->format = c.format;
  s->inputs = ids_of(o.Get("input"), "input");
  s->bias = copy_of(o.Get("bias"), "bias");
  s->alphas = copy_of(o.Get("alphas"), "alphas");
  s->alpha = o.Get("alpha").IsNumber() ? o.Get("alpha").As<Napi::Number>().FloatValue() : 0;
  s->residual = int(integer_at(o, "residual", 0, 1 << 24, -1));
  if (s->op == Op::kDepthwise) {
    s->weights = copy_of(o.Get("w"), "w");
    return;
  }
  s->filter = filter_of(o.Get("filter"), "filter");
  const Filter::Kind kind = s->filter->kind;
  const bool fits = s->op == Op::kConv2d ? kind == Filter::kFloat : s->op == Op::kDSDepthwise ? kind == Filter::kDepthwise : kind == Filter::kBlocked || kind == Filter::kStem;
  if (!fits) fail_argument(s->name + ": its filter is of another kind");
}

StepDesc step_of(const Napi::Value& value) {
  static const std::map<std::string, Op> ops = {
      {"dsconv2d", Op::kDSConv2d}, {"dsDepthwise", Op::kDSDepthwise}, {"conv2d", Op::kConv2d},   {"depthwise", Op::kDepthwise},   {"convert", Op::kConvert},
      {"bfpRound", Op::kConvert},  {"maxPool", Op::kMaxPool},         {"avgPool", Op::kAvgPool}, {"meanHW", Op::kMeanHW},         {"matMul", Op::kMatMul},
      {"binary", Op::kBinary},     {"unary", Op::kUnary},             {"concat", Op::kConcat},   {"scaleShift", Op::kScaleShift}, {"softmax", Op::kSoftmax},
      {"pad", Op::kPad}};
  if (!value.IsObject()) fail_argument("a step is not an object");
  const Napi::Object o = value.As<Napi::Object>();
  StepDesc s;
  s.name = text_at(o, "op");
  const auto op = ops.find(s.name);
  if (op == ops.end()) fail_argument("a step's op is '" + s.name + "', which is not known");
  s.op = op->second;
  s.outputs = ids_of(o.Get("output"), "output");
  const auto activation = [&] { s.activation = int(integer_at(o, "activation", 0, kLeakyRelu, 0)); };
  switch (s.op) {
    case Op::kDSConv2d:
    case Op::kDSDepthwise:
    case Op::kConv2d:
    case Op::kDepthwise:
      convolution_of(o, &s);
      break;
    case Op::kConvert:
      s.inputs = ids_of(o.Get("input"), "input");
      s.pixels = integer_at(o, "pixels", 0, kMost);
      s.channels = int(integer_at(o, "channels", 1, 1 << 24));
      if (s.name == "bfpRound") {
        s.format.groups = int(integer_at(o, "groups", 1, s.channels, 1));
        s.format.block = int(min_of<int64_t>(integer_at(o, "block", 1, int64_t{1} << 40), s.channels));
        s.format.mantissa = int(integer_at(o, "mantissa", 2, 8));
      }
      break;
    case Op::kMaxPool:
    case Op::kAvgPool:
      s.inputs = ids_of(o.Get("input"), "input");
      s.w = window_of(o.Get("window"));
      break;
    case Op::kMeanHW:
      s.inputs = ids_of(o.Get("input"), "input");
      s.n = integer_at(o, "batch", 0, 1 << 24);
      s.period = integer_at(o, "hw", 0, 1 << 30);
      s.channels = int(integer_at(o, "channels", 1, 1 << 24));
      if (double(s.n) * double(s.period) * s.channels > double(kMost)) fail_range("a mean's input is too large");
      break;
    case Op::kMatMul:
      s.inputs = ids_of(o.Get("a"), "a");
      constant_or_buffer(o.Get("b"), &s, "b");
      s.mm.batch = integer_at(o, "batch", 1, 1 << 24, 1);
      s.mm.m = integer_at(o, "m", 1, 1 << 28);
      s.mm.k = integer_at(o, "k", 1, 1 << 24);
      s.mm.n = integer_at(o, "n", 1, 1 << 24);
      if (double(s.mm.batch) * double(s.mm.m) * double(s.mm.n) > double(kMost) || double(s.mm.k) * double(s.mm.n) > double(kMost)) fail_range("a product is too large");
      s.mm.transpose_a = o.Get("transposeA").ToBoolean();
      s.mm.transpose_b = o.Get("transposeB").ToBoolean();
      s.mm.a_stride = integer_at(o, "aStride", 0, int64_t{1} << 40, 0);
      s.mm.b_stride = integer_at(o, "bStride", 0, int64_t{1} << 40, 0);
      if (double(s.mm.batch) * double(max_of(s.mm.a_stride, s.mm.b_stride)) > double(kMost)) fail_range("a product's strides are too large");
      s.bias = copy_of(o.Get("bias"), "bias");
      s.alphas = copy_of(o.Get("alphas"), "alphas");
      s.alpha = o.Get("alpha").IsNumber() ? o.Get("alpha").As<Napi::Number>().FloatValue() : 0;
      s.activation = int(integer_at(o, "activation", 0, kPrelu, 0));
      break;
    case Op::kBinary:
      s.inputs = ids_of(o.Get("a"), "a");
      constant_or_buffer(o.Get("b"), &s, "b");
      s.code = int(integer_at(o, "code", 0, 6));
      s.n = integer_at(o, "n", 0, kMost);
      s.period = integer_at(o, "period", 1, kMost);
      s.channels = int(integer_at(o, "channels", 1, 1 << 24, 0));
      activation();
      break;
    case Op::kUnary:
      s.inputs = ids_of(o.Get("input"), "input");
      s.code = int(integer_at(o, "code", 0, kExp));
      s.n = integer_at(o, "n", 0, kMost);
      s.value = o.Get("alpha").IsNumber() ? o.Get("alpha").As<Napi::Number>().FloatValue() : 0;
      s.alphas = copy_of(o.Get("alphas"), "alphas");
      s.period = integer_at(o, "period", 1, kMost, int64_t(s.alphas.size()));
      s.channels = int(integer_at(o, "channels", 1, 1 << 24, 0));
      break;
    case Op::kScaleShift:
      s.inputs = ids_of(o.Get("input"), "input");
      s.scale = copy_of(o.Get("scale"), "scale");
      s.shift = copy_of(o.Get("shift"), "shift");
      s.n = integer_at(o, "n", 0, kMost);
      s.channels = int(integer_at(o, "channels", 1, 1 << 24));
      activation();
      break;
    case Op::kSoftmax: {
      s.inputs = ids_of(o.Get("input"), "input");
      s.channels = int(integer_at(o, "channels", 1, 1 << 24));
      s.n = integer_at(o, "rows", 0, kMost / s.channels) * s.channels;
      break;
    }
    case Op::kConcat:
      s.inputs = ids_of(o.Get("inputs"), "inputs");
      s.part_channels = ids_of(o.Get("channels"), "channels");
      s.pixels = integer_at(o, "pixels", 0, kMost);
      for (int c : s.part_channels) {
        if (c < 1 || double(c) * double(s.pixels) > double(kMost)) fail_range("a concatenation's channels are impossible");
      }
      break;
    case Op::kPad: {
      s.inputs = ids_of(o.Get("input"), "input");
      const auto at = [&](const char* name) { return int32_t(integer_at(o, name, 0, 1 << 24)); };
      s.w.batch = at("batch");
      s.w.in_h = at("inH");
      s.w.in_w = at("inW");
      s.w.in_c = at("channels");
      s.w.pad_top = at("top");
      s.w.pad_left = at("left");
      s.w.out_h = min_of(s.w.in_h + at("top") + at("bottom"), 1 << 26);
      s.w.out_w = min_of(s.w.in_w + at("left") + at("right"), 1 << 26);
      check_window(s.w);
      s.value = o.Get("value").IsNumber() ? o.Get("value").As<Napi::Number>().FloatValue() : 0;
      break;
    }
  }
  return s;
}

// A plan's steps were chosen for the kernels in use.
struct LivingPlan : PlanState {
  using PlanState::PlanState;
  KernelUse use;
};

struct PlanRun : Run {
  Environment* environment = nullptr;
  napi_deferred deferred = nullptr;
  std::vector<Napi::ObjectReference> arrays;
};

void resolve_or_reject(Napi::Env env, PlanRun* run) {
  for (size_t n = 0; n < run->arrays.size() && !run->error_code; n++) {
    try {
      const Floats y = floats_of(run->arrays[n].Value(), "an output array", int64_t(run->outputs[n].size()));
      std::memcpy(y.data, run->outputs[n].data(), run->outputs[n].size() * sizeof(float));
    } catch (const Failure& f) {
      run->error_code = f.code;
      run->error = std::string(f.what()) + ": it was detached while the plan ran";
    }
  }
  if (!run->error_code) {
    napi_resolve_deferred(env, run->deferred, env.Undefined());
    return;
  }
  Napi::Error error = Napi::Error::New(env, run->error);
  error.Set("code", Napi::String::New(env, run->error_code));
  napi_reject_deferred(env, run->deferred, error.Value());
}

// On the JavaScript thread: results into the caller's arrays, then the promise. env is null when the environment is going away.
void settle(napi_env env, napi_value, void*, void* data) {
  std::unique_ptr<PlanRun> run(static_cast<PlanRun*>(data));
  if (!env) {
    for (auto& array : run->arrays) array.SuppressDestruct();
    return;
  }
  Environment* environment = run->environment;
  if (--environment->pending == 0) napi_unref_threadsafe_function(env, environment->done);
  const Napi::HandleScope scope(env);
  try {
    resolve_or_reject(env, run.get());
  } catch (const Napi::Error&) {
    // The thread is being terminated: JavaScript can be neither run nor told.
  }
}

class PlanHandle : public Napi::ObjectWrap<PlanHandle> {
 public:
  static constexpr napi_type_tag kTag = {0x6473636f6e762d63ull, 0x70752d706c616e00ull};
  explicit PlanHandle(const Napi::CallbackInfo& info) : Napi::ObjectWrap<PlanHandle>(info) {
    state_ = std::move(info.Env().GetInstanceData<Environment>()->new_plan);
    if (!state_) throw Napi::TypeError::New(info.Env(), "plans are made by createPlan");
    napi_type_tag_object(info.Env(), info.This(), &kTag);
    bytes_ = int64_t(state_->plan->arena_bytes());
    Napi::MemoryManagement::AdjustExternalMemory(info.Env(), bytes_);
  }
  void Finalize(Napi::Env env) override { release(env); }
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "NativePlan",
                       {InstanceMethod<&PlanHandle::run>("run"), InstanceMethod<&PlanHandle::run_sync>("runSync"), InstanceMethod<&PlanHandle::dispose>("dispose"),
                        getter<PlanHandle, &PlanHandle::profile>("profile"), getter<PlanHandle, &PlanHandle::arena_bytes>("arenaBytes"),
                        getter<PlanHandle, &PlanHandle::live_bytes>("liveBytes"), getter<PlanHandle, &PlanHandle::is_disposed>("disposed")});
  }

 private:
  Plan& live() {
    if (!state_) throw Failure(Failure::kType, "DISPOSED", "the plan was used after dispose()");
    return *state_->plan;
  }
  // One argument's elements. Reading them may run the caller's getters, which may dispose of this plan or detach arrays.
  static std::vector<Napi::Value> elements_of(const Napi::Value& value, const char* name, size_t count) {
    if (!value.IsArray() || value.As<Napi::Array>().Length() != count) fail_argument(std::string(name) + " is not an array of " + std::to_string(count) + " Float32Arrays");
    std::vector<Napi::Value> elements;
    for (uint32_t n = 0; n < count; n++) elements.push_back(value.As<Napi::Array>().Get(n));
    return elements;
  }
  // Pointers to them, checked against the plan. No JavaScript runs from here on.
  std::vector<Floats> arrays_of(const std::vector<Napi::Value>& elements, const char* name, int64_t (Plan::*length)(size_t) const) {
    std::vector<Floats> arrays;
    for (size_t n = 0; n < elements.size(); n++) {
      const int64_t expected = (live().*length)(n);
      const Floats f = floats_of(elements[n], name, expected);
      if (int64_t(f.length) != expected) fail_range(std::string(name) + "[" + std::to_string(n) + "] has " + std::to_string(f.length) + " elements; expected " + std::to_string(expected));
      arrays.push_back(f);
    }
    return arrays;
  }
  Napi::Value run(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
      const auto from = elements_of(info[0], "inputs", live().input_count()), to = elements_of(info[1], "outputs", live().output_count());
      const auto inputs = arrays_of(from, "inputs", &Plan::input_length);
      arrays_of(to, "outputs", &Plan::output_length);
      Environment* environment = info.Env().GetInstanceData<Environment>();
      if (environment->closed) throw Failure(Failure::kError, "CLOSED", "the environment is shutting down");
      auto run = std::make_unique<PlanRun>();
      run->plan = state_;
      run->owner = environment;
      run->environment = environment;
      for (const Floats& f : inputs) run->inputs.emplace_back(f.data, f.data + f.length);
      for (const Napi::Value& y : to) run->arrays.push_back(Napi::Persistent(y.As<Napi::Object>()));
      napi_value promise;
      if (napi_create_promise(info.Env(), &run->deferred, &promise) != napi_ok) throw Failure(Failure::kError, "CLOSED", "no promise can be made");
      run->done = [](Run* r) {
        PlanRun* p = static_cast<PlanRun*>(r);
        p->plan.reset();
        napi_call_threadsafe_function(p->environment->done, p, napi_tsfn_nonblocking);
      };
      if (environment->pending++ == 0) napi_ref_threadsafe_function(info.Env(), environment->done);
      submit(run.release());
      return Napi::Value(info.Env(), promise);
    });
  }
  void run_sync(const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&] {
      const auto inputs = elements_of(info[0], "inputs", live().input_count()), outputs = elements_of(info[1], "outputs", live().output_count());
      std::vector<const float*> from;
      std::vector<float*> to;
      for (const Floats& f : arrays_of(inputs, "inputs", &Plan::input_length)) from.push_back(f.data);
      for (const Floats& f : arrays_of(outputs, "outputs", &Plan::output_length)) to.push_back(f.data);
      live();
      run_now(state_, from, to);
    });
  }
  void dispose(const Napi::CallbackInfo& info) { release(info.Env()); }
  void release(Napi::Env env) {
    if (!state_) return;
    dispose_plan(state_);
    state_.reset();
    Napi::MemoryManagement::AdjustExternalMemory(env, -bytes_);
  }
  Napi::Value profile(Napi::Env env) {
    const std::vector<double> measured = state_ ? profile_of(state_) : std::vector<double>();
    if (measured.empty()) return env.Null();
    Napi::Float64Array micros = Napi::Float64Array::New(env, measured.size());
    std::copy(measured.begin(), measured.end(), micros.Data());
    return micros;
  }
  Napi::Value arena_bytes(Napi::Env env) { return Napi::Number::New(env, state_ ? double(state_->plan->arena_bytes()) : 0); }
  Napi::Value live_bytes(Napi::Env env) { return Napi::Number::New(env, state_ ? double(state_->plan->live_bytes()) : 0); }
  Napi::Value is_disposed(Napi::Env env) { return Napi::Boolean::New(env, !state_); }

  std::shared_ptr<PlanState> state_;
  int64_t bytes_ = 0;
};

Napi::Value create_plan(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    if (!info[0].IsObject()) fail_argument("plan is not an object");
    const Napi::Object o = info[0].As<Napi::Object>();
    const Napi::Value buffers = o.Get("buffers"), steps = o.Get("steps");
    if (!buffers.IsArray() || !steps.IsArray()) fail_argument("plan.buffers and plan.steps must be arrays");
    std::vector<BufferDesc> bs;
    for (uint32_t n = 0; n < buffers.As<Napi::Array>().Length(); n++) bs.push_back(buffer_of(buffers.As<Napi::Array>().Get(n)));
    std::vector<StepDesc> ss;
    for (uint32_t n = 0; n < steps.As<Napi::Array>().Length(); n++) {
      const Napi::HandleScope scope(info.Env());
      ss.push_back(step_of(steps.As<Napi::Array>().Get(n)));
    }
    auto plan = std::make_unique<Plan>(std::move(bs), std::move(ss), ids_of(o.Get("inputs"), "inputs"), ids_of(o.Get("outputs"), "outputs"), o.Get("profile").ToBoolean());
    Environment* environment = info.Env().GetInstanceData<Environment>();
    return construct(environment->plan_class, environment->new_plan, std::make_shared<LivingPlan>(std::move(plan)));
  });
}

// Before the environment goes: no run of it may be left, then the thread-safe function ends.
void close(void* data) {
  Environment* environment = static_cast<Environment*>(data);
  environment->closed = true;
  for (Run* run : cancel(environment)) {
    for (auto& array : static_cast<PlanRun*>(run)->arrays) array.SuppressDestruct();
    delete run;
  }
  napi_release_threadsafe_function(environment->done, napi_tsfn_abort);
  release_executor();
}

}  // namespace

void define_plans(Napi::Env env, Napi::Object exports, Environment* environment) {
  environment->plan_class = Napi::Persistent(PlanHandle::define(env));
  napi_create_threadsafe_function(env, nullptr, nullptr, Napi::String::New(env, "dsconv plans"), 0, 1, nullptr, nullptr, nullptr, settle, &environment->done);
  napi_unref_threadsafe_function(env, environment->done);
  napi_add_env_cleanup_hook(env, close, environment);
  exports.Set("createPlan", Napi::Function::New(env, create_plan));
}

}  // namespace dsconv
