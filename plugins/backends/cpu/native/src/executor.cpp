// Runs a program: every step in order, each split over the run's threads. Nothing is allocated here; what changes
// while running lives in the arena or on the stack.
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

}  // namespace

int64_t Program::run(unsigned char* arena, const void* const* inputs, void* const* outputs, int32_t threads,
                     int64_t* profile) const {
  const FloatingPointMode mode;
  int32_t most_parts = 1;
  for (const Step& step : steps) most_parts = std::max(most_parts, step.most_parts);
  Team team(std::min(threads, most_parts));

  void** pointers = reinterpret_cast<void**>(arena + arena_bytes);
  int32_t status = MM_OK;
  Launch launch{};
  launch.call.data = pointers;
  launch.call.status = &status;
  launch.scratch = arena + arena_bytes + operand_bytes;
  launch.scratch_bytes = scratch_bytes;
  for (size_t i = 0; i < steps.size(); ++i) {
    const Step& step = steps[i];
    const auto started =
        profile != nullptr ? std::chrono::steady_clock::now() : std::chrono::steady_clock::time_point{};
    const int32_t n_operands = step.n_inputs + step.n_outputs;
    for (int32_t k = 0; k < n_operands; ++k) {
      const int32_t number = operands[step.first_operand + static_cast<size_t>(k)];
      if (number < 0) {
        pointers[k] = nullptr;
        continue;
      }
      const Buffer& buffer = buffers[static_cast<size_t>(number)];
      switch (buffer.space) {
        case MM_ARENA:
          pointers[k] = arena + buffer.index;
          break;
        case MM_CONSTANT:
          pointers[k] = const_cast<void*>(constants[static_cast<size_t>(buffer.index)]);
          break;
        case MM_INPUT:
          pointers[k] = const_cast<void*>(inputs[buffer.index]);
          break;
        default:
          pointers[k] = outputs[buffer.index];
          break;
      }
    }
    launch.call.desc = descs.data() + step.first_operand;
    launch.call.params = words.data() + step.first_param;
    launch.call.n_inputs = step.n_inputs;
    launch.call.n_outputs = step.n_outputs;
    launch.kernel = step.kernel;
    launch.tasks = step.tasks;
    if (step.tasks > 0) team.run(step.most_parts, run_part, &launch);
    if (profile != nullptr) {
      const auto elapsed = std::chrono::steady_clock::now() - started;
      profile[i] = std::chrono::duration_cast<std::chrono::nanoseconds>(elapsed).count();
    }
    if (__atomic_load_n(&status, __ATOMIC_RELAXED) != MM_OK) return static_cast<int64_t>(i) << 8 | status;
  }
  return MM_OK;
}

}  // namespace mm
