#include "executor.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "thread_pool.h"

namespace dsconv {
namespace {

struct Active {
  Run* run;
  size_t step = 0;
};

class Executor {
 public:
  static Executor& get() {
    static Executor* executor = new Executor();
    return *executor;
  }

  void submit(Run* run) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!thread_.joinable()) {
      stopping_ = false;
      thread_ = std::thread([this] { loop(); });
    }
    waiting_.push_back(run);
    wake_.notify_all();
  }

  void dispose(const std::shared_ptr<PlanState>& plan) {
    std::vector<Run*> rejected;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      plan->disposed = true;
      for (auto it = waiting_.begin(); it != waiting_.end();) {
        if ((*it)->plan == plan) {
          rejected.push_back(*it);
          it = waiting_.erase(it);
        } else {
          ++it;
        }
      }
    }
    for (Run* run : rejected) {
      run->error_code = "DISPOSED";
      run->error = "the plan was disposed before this run started";
      run->done(run);
    }
  }

  std::vector<Run*> cancel(const void* owner) {
    std::unique_lock<std::mutex> lock(mutex_);
    std::vector<Run*> dropped;
    for (auto it = waiting_.begin(); it != waiting_.end();) {
      if ((*it)->owner == owner) {
        dropped.push_back(*it);
        it = waiting_.erase(it);
      } else {
        ++it;
      }
    }
    for (;;) {
      for (auto it = active_.begin(); it != active_.end();) {
        if (it->run->owner == owner && it->run != current_) {
          it->run->plan->busy = false;
          dropped.push_back(it->run);
          it = active_.erase(it);
        } else {
          ++it;
        }
      }
      if (!current_ || current_->owner != owner) break;
      idle_.wait(lock);
    }
    wake_.notify_all();
    return dropped;
  }

  void run_now(const std::shared_ptr<PlanState>& state, const std::vector<const float*>& inputs, const std::vector<float*>& outputs) {
    {
      std::unique_lock<std::mutex> lock(mutex_);
      idle_.wait(lock, [&] { return !state->busy; });
      state->busy = true;
    }
    std::exception_ptr error;
    try {
      state->plan->bind(inputs);
      for (size_t n = 0; n < state->plan->step_count(); n++) state->plan->step(n);
      for (size_t n = 0; n < outputs.size(); n++) std::memcpy(outputs[n], state->plan->output(n), size_t(state->plan->output_length(n)) * sizeof(float));
    } catch (...) {
      error = std::current_exception();
    }
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      state->busy = false;
      if (!error && state->plan->profile()) state->profile = *state->plan->profile();
      idle_.notify_all();
      wake_.notify_all();
    }
    if (error) std::rethrow_exception(error);
  }

  std::vector<double> profile_of(const PlanState& plan) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return plan.profile;
  }

  void retain() {
    const std::lock_guard<std::mutex> lock(mutex_);
    owners_++;
  }
  void release() {
    std::thread thread;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (--owners_ > 0) return;
      stopping_ = true;
      thread.swap(thread_);
      wake_.notify_all();
    }
    if (thread.joinable()) thread.join();
    stop_workers();
  }

 private:
  void loop() {
    std::unique_lock<std::mutex> lock(mutex_);
    size_t turn = 0;
    for (;;) {
      // Waiting runs become active when their plan is free.
      for (auto it = waiting_.begin(); it != waiting_.end();) {
        if (!(*it)->plan->busy) {
          (*it)->plan->busy = true;
          active_.push_back({*it, 0});
          it = waiting_.erase(it);
        } else {
          ++it;
        }
      }
      if (active_.empty()) {
        if (stopping_) return;
        wake_.wait(lock);
        continue;
      }
      turn = (turn + 1) % active_.size();
      Active active = active_[turn];
      current_ = active.run;
      lock.unlock();
      const bool over = advance(&active);
      lock.lock();
      current_ = nullptr;
      const auto it = std::find_if(active_.begin(), active_.end(), [&](const Active& a) { return a.run == active.run; });
      if (over) {
        active_.erase(it);
        Run* run = active.run;
        run->plan->busy = false;
        if (!run->error_code && run->plan->plan->profile()) run->plan->profile = *run->plan->plan->profile();
        run->done(run);
      } else {
        *it = active;
      }
      idle_.notify_all();
    }
  }

  // One step of a run (all of them where nothing else waits). True when the run is over.
  bool advance(Active* a) {
    Run* run = a->run;
    Plan& plan = *run->plan->plan;
    try {
      if (a->step == 0) {
        std::vector<const float*> inputs;
        for (const auto& input : run->inputs) inputs.push_back(input.data());
        plan.bind(inputs);
      }
      if (a->step < plan.step_count()) plan.step(a->step++);
      if (a->step < plan.step_count()) return false;
      for (size_t n = 0; n < plan.output_count(); n++) run->outputs.emplace_back(plan.output(n), plan.output(n) + plan.output_length(n));
    } catch (const std::bad_alloc&) {
      run->error_code = "OUT_OF_MEMORY";
      run->error = "no memory for a step of the plan";
    } catch (const std::exception& e) {
      run->error_code = "RUN_FAILED";
      run->error = e.what();
    }
    return true;
  }

  std::mutex mutex_;
  std::condition_variable wake_, idle_;
  std::thread thread_;
  std::deque<Run*> waiting_;
  std::vector<Active> active_;
  Run* current_ = nullptr;
  int owners_ = 0;
  bool stopping_ = false;
};

}  // namespace

void submit(Run* run) { Executor::get().submit(run); }
void dispose_plan(const std::shared_ptr<PlanState>& plan) { Executor::get().dispose(plan); }
std::vector<Run*> cancel(const void* owner) { return Executor::get().cancel(owner); }
void run_now(const std::shared_ptr<PlanState>& plan, const std::vector<const float*>& inputs, const std::vector<float*>& outputs) {
  Executor::get().run_now(plan, inputs, outputs);
}
std::vector<double> profile_of(const std::shared_ptr<PlanState>& plan) { return Executor::get().profile_of(*plan); }
void retain_executor() { Executor::get().retain(); }
void release_executor() { Executor::get().release(); }

}  // namespace dsconv
