// Runs a program: every step in order, each split over the run's threads. Nothing is allocated here; what changes
// while running lives in the arena or on the stack.
#include <algorithm>
#include <cfenv>
#include <chrono>

#include "pool.h"
#include "program.h"

namespace mm {
namespace {

// The default floating-point mode (IEEE, no flushing of denormals) for the time of a run.
class FloatingPointMode {
 public:
  FloatingPointMode() {
    std::fegetenv(&before_);
    std::fesetenv(FE_DFL_ENV);
  }
  ~FloatingPointMode() { std::fesetenv(&before_); }

 private:
  std::fenv_t before_;
};

struct Launch {
  mm_call call;
  mm_kernel kernel;
  int64_t tasks;
  unsigned char* scratch;
  int64_t scratch_bytes;
};

// Part `part` of contiguous ranges that differ by at most one task.
void run_part(const void* context, int32_t part, int32_t parts) {
  const Launch& launch = *static_cast<const Launch*>(context);
  const int64_t share = launch.tasks / parts, rest = launch.tasks % parts;
  const int64_t begin = part * share + std::min<int64_t>(part, rest);
  const int64_t end = begin + share + (part < rest ? 1 : 0);
  launch.kernel(&launch.call, begin, end, launch.scratch + part * launch.scratch_bytes);
}

// One run of a program: the steps in order, those of loops as often as these say.
class Execution {
 public:
  Execution(const Program& program, unsigned char* arena, const void* const* inputs, void* const* outputs, Team& team,
            int64_t* profile)
      : program_(program), arena_(arena), inputs_(inputs), outputs_(outputs), team_(team), profile_(profile) {
    unsigned char* behind = arena + program.arena_bytes;
    pointers_ = reinterpret_cast<void**>(behind);
    displacements_ = reinterpret_cast<int64_t*>(behind + program.operand_bytes);
    launch_.call.data = pointers_;
    launch_.call.status = &status_;
    launch_.scratch = behind + program.operand_bytes + program.move_bytes;
    launch_.scratch_bytes = program.scratch_bytes;
  }

  // Steps [first, last); loops from number `loop` on have not begun. False if a step failed: `reported` says which.
  bool steps(size_t first, size_t last, size_t loop) {
    while (first < last) {
      while (loop < program_.loops.size() && program_.loops[loop].first < first) ++loop;
      if (loop < program_.loops.size() && program_.loops[loop].first == first && program_.loops[loop].last <= last) {
        if (!repeat(loop)) return false;
        first = program_.loops[loop].last;
        ++loop;
        continue;
      }
      if (!step(first)) return false;
      ++first;
    }
    return true;
  }

  int64_t reported() const { return reported_; }

 private:
  bool repeat(size_t number) {
    const Loop& loop = program_.loops[number];
    for (size_t i = loop.first_move; i < loop.last_move; ++i) displacements_[i] = program_.moves[i].start;
    for (int64_t repetition = 0; repetition < loop.repetitions; ++repetition) {
      if (!steps(loop.first, loop.last, number + 1)) return false;
      for (size_t i = loop.first_move; i < loop.last_move; ++i) displacements_[i] += program_.moves[i].step;
    }
    return true;
  }

  void* address(int32_t number) const {
    if (number < 0) return nullptr;
    const Buffer& buffer = program_.buffers[static_cast<size_t>(number)];
    const void* base = nullptr;
    switch (buffer.space) {
      case MM_ARENA:
        base = arena_ + buffer.index;
        break;
      case MM_CONSTANT:
        base = program_.constants[static_cast<size_t>(buffer.index)];
        break;
      case MM_INPUT:
        base = inputs_[buffer.index];
        break;
      default:
        base = outputs_[buffer.index];
        break;
    }
    const int64_t moved = buffer.mover < 0 ? 0 : displacements_[buffer.mover];
    return const_cast<unsigned char*>(static_cast<const unsigned char*>(base)) + moved;
  }

  bool step(size_t number) {
    const Step& step = program_.steps[number];
    const auto started =
        profile_ != nullptr ? std::chrono::steady_clock::now() : std::chrono::steady_clock::time_point{};
    const int32_t n_operands = step.n_inputs + step.n_outputs;
    for (int32_t k = 0; k < n_operands; ++k)
      pointers_[k] = address(program_.operands[step.first_operand + static_cast<size_t>(k)]);
    launch_.call.desc = program_.descs.data() + step.first_operand;
    launch_.call.params = program_.words.data() + step.first_param;
    launch_.call.n_inputs = step.n_inputs;
    launch_.call.n_outputs = step.n_outputs;
    launch_.kernel = step.kernel;
    launch_.tasks = step.tasks;
    if (step.tasks > 0) team_.run(step.most_parts, run_part, &launch_);
    if (profile_ != nullptr) {
      const auto elapsed = std::chrono::steady_clock::now() - started;
      profile_[number] += std::chrono::duration_cast<std::chrono::nanoseconds>(elapsed).count();
    }
    const int32_t status = __atomic_load_n(&status_, __ATOMIC_RELAXED);
    if (status != MM_OK) reported_ = static_cast<int64_t>(number) << 8 | status;
    return status == MM_OK;
  }

  const Program& program_;
  unsigned char* arena_;
  const void* const* inputs_;
  void* const* outputs_;
  Team& team_;
  int64_t* profile_;
  void** pointers_;
  int64_t* displacements_;
  Launch launch_{};
  int32_t status_ = MM_OK;
  int64_t reported_ = MM_OK;
};

}  // namespace

int64_t Program::run(unsigned char* arena, const void* const* inputs, void* const* outputs, int32_t threads,
                     int64_t* profile) const {
  const FloatingPointMode mode;
  int32_t most_parts = 1;
  for (const Step& step : steps) most_parts = std::max(most_parts, step.most_parts);
  Team team(std::min(threads, most_parts));
  if (profile != nullptr) std::fill_n(profile, steps.size(), 0);
  Execution execution(*this, arena, inputs, outputs, team, profile);
  execution.steps(0, steps.size(), 0);
  return execution.reported();
}

}  // namespace mm
