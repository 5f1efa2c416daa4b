// Runs plans on a thread of their own. One executor for the process: steps of several plans take turns, so that no more threads than the pool's
// compute at once; runs of one plan follow each other.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "plan.h"

namespace dsconv {

struct PlanState {
  explicit PlanState(std::unique_ptr<Plan> p) : plan(std::move(p)) {}
  std::unique_ptr<Plan> plan;
  // Guarded by the executor's mutex.
  bool disposed = false, busy = false;
  std::vector<double> profile;
};

struct Run {
  std::shared_ptr<PlanState> plan;
  const void* owner = nullptr;  // the environment
  std::vector<std::vector<float>> inputs, outputs;
  const char* error_code = nullptr;
  std::string error;
  // Called on the executor's thread when the run is over, well or badly; never after cancel(owner) returned.
  void (*done)(Run*) = nullptr;
  virtual ~Run() = default;
};

void submit(Run* run);
// Rejects runs of the plan that have not started (their `done` is called on this thread with error DISPOSED).
void dispose_plan(const std::shared_ptr<PlanState>& plan);
// Drops the owner's runs without calling `done`, waits for one that is at work, and returns them all.
std::vector<Run*> cancel(const void* owner);
// Runs the plan on the calling thread when no other run is at work on it.
void run_now(const std::shared_ptr<PlanState>& plan, const std::vector<const float*>& inputs, const std::vector<float*>& outputs);
// Microseconds of each step of the last run that finished; empty before, and for plans that do not measure.
std::vector<double> profile_of(const std::shared_ptr<PlanState>& plan);
// Environments count themselves; the last one stops the threads.
void retain_executor();
void release_executor();

}  // namespace dsconv
