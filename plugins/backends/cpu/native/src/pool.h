// The process-wide pool of worker threads, shared by all runs through leases.
#pragma once

#include <cstdint>

namespace mm {

struct Worker;

// The workers that one run has leased, and its own thread. A run that finds no idle worker computes alone.
// Leases are cheap: a worker is kept between the steps of a run and goes back when the run ends.
class Team {
 public:
  // Part `part` of `parts` of some work; parts run at the same time.
  using Work = void (*)(const void* context, int32_t part, int32_t parts);

  explicit Team(int32_t threads);
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  int32_t size() const { return size_; }

  // Runs `work` in min(parts, size()) parts and returns when all are done. The caller takes part 0.
  void run(int32_t parts, Work work, const void* context);

 private:
  Worker* workers_ = nullptr;
  int32_t size_ = 1;
};

int32_t pool_workers();

}  // namespace mm
