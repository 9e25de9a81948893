// What the emulator knows of the chip while a kernel runs: its memories, their shadows, its tasks.
#pragma once

#include <ucontext.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "launch_context.h"

namespace mm_emulator {

constexpr size_t kStackBytes = 256 * 1024;

enum class Space { kNram, kWram, kSram, kGdram, kStack, kElsewhere };
const char *name_of(Space space);

// An instruction and where it stands.
struct Site {
  const char *instruction;
  const char *file;
  int line;
};

// Who touches memory: what has to be waited for before depends on it.
enum class Actor { kCompute, kCopy, kAsynchronousCopy, kScalar };

struct Interval {
  uintptr_t begin, end;
  bool overlaps(const Interval &other) const { return begin < other.end && other.begin < end; }
};
inline Interval interval_of(const void *pointer, size_t bytes) {
  const uintptr_t begin = reinterpret_cast<uintptr_t>(pointer);
  return {begin, begin + bytes};
}

// One side of a copy: `count` segments of equal size, `inner` of them a stride apart, then again after `outer_stride`.
struct Segments {
  char *base;
  int64_t inner_stride, outer_stride;
  int64_t inner;
  char *at(int64_t index) const { return base + index % inner * inner_stride + index / inner * outer_stride; }
  // Whether the segments follow each other without gaps.
  bool is_dense(int64_t size, int64_t count) const {
    return count == 1 || (inner_stride == size && (inner >= count || outer_stride == inner * size));
  }
};

struct Copy {
  Segments dst, src;
  Space dst_space, src_space;
  int64_t size, count;  // of a segment in bytes; segments
  Site site;
  Interval dst_bounds, src_bounds;
  bool is_io() const { return dst_space == Space::kGdram || src_space == Space::kGdram; }
};

// Who touched which bytes last (see races.cpp): stretches that do not overlap, each with one writer and one reader.
struct Touched {
  size_t end;
  uint32_t writer, reader;
};
using Marks = std::map<size_t, Touched>;  // by where they begin

// A stretch of memory with what is known of its bytes. `written`: 0 is uninitialised, 1 is initialised, and in NRAM
// anything above is the epoch of the computation that wrote it. NULL: all is initialised.
struct Memory {
  char *base = nullptr;
  size_t bytes = 0;
  uint8_t *written = nullptr;
  size_t high = 0;  // nothing at or beyond has been written in this launch
  bool writable = true;
  Marks *marks = nullptr;

  bool contains(const Interval &what) const {
    const uintptr_t begin = reinterpret_cast<uintptr_t>(base);
    return what.begin >= begin && what.end <= begin + bytes;
  }
  size_t offset(const void *pointer) const { return static_cast<const char *>(pointer) - base; }
};

// The memories of one core or one cluster, kept while the arrays of the kernel hold those of another.
struct Bank {
  Memory memory;
  std::vector<char> saved;
  Marks marks;
  void save();
  void restore();
  void reset();  // uninitialised again
};

enum class Barrier { kNone, kCluster, kAll, kAllCores };

// When each stream of a core has finished what it was given, in cycles since the launch began.
struct Clocks {
  double issue = 0, io = 0, io_done = 0, move = 0, move_done = 0, compute = 0, compute_done = 0;
};

struct CoreMemory {
  Bank nram, wram;
};

struct Task {
  int number = 0;  // its place among all tasks of the launch, memory cores after the others
  int id = 0, cluster = 0, core = 0, group = 0;
  bool memory_core = false, started = false, finished = false;
  Barrier waits = Barrier::kNone;
  Site waits_at = {};
  ucontext_t context = {};
  char *stack = nullptr;
  CoreMemory *memory = nullptr;
  std::vector<Copy> pending;               // asynchronous copies that nobody waited for
  std::vector<Interval> computation_reads;  // of NRAM and WRAM since the last wait for computations
  uint8_t epoch = 2;                        // of computations: counted up by waiting for them
  bool computing = false;
  Clocks clocks;
  Site last = {};  // the last instruction, to place scalar accesses
};

struct Cluster {
  Bank sram;
  uint32_t epoch = 0;  // barriers of the cluster since the last of its group
  uint64_t dram_bytes = 0;
};

struct Machine {
  mm_emulated_launch *launch = nullptr;
  const char *kernel = "";
  int union_clusters = 0;  // 0: a Block launch
  int task_dim = 0;
  std::vector<Task> tasks;
  std::vector<Cluster> clusters;
  std::vector<uint32_t> group_epochs;
  std::vector<Memory> regions;  // GDRAM
  std::vector<Marks> region_marks;
  Task *task = nullptr;  // the one that runs
  ucontext_t scheduler = {};
  bool failed = false;
  bool memory_cores_work = false;  // one has touched shared memory in this launch

  const mm_emulated_target &target() const { return launch->target; }
  mm_emulated_counters &counters() { return launch->counters; }
};
extern Machine machine;

// checks.cpp: a violation ends the launch.
[[noreturn]] void violate(const Site &site, const char *format, ...) __attribute__((format(printf, 2, 3)));
Space space_of(const void *pointer);
void must_compute(const Site &site);
void must_align(const Site &site, const void *pointer, uint32_t alignment, const char *operand);
void must_be_in(const Site &site, Space space, const void *pointer, const char *operand);
void must_count(const Site &site, int64_t count, const char *what);
// Checks a stretch of memory before it is read, or written; `written_now` is for what takes effect at once.
void read(const Site &site, Actor actor, Space space, const void *pointer, size_t bytes, const char *operand);
void write(const Site &site, Actor actor, Space space, void *pointer, size_t bytes, const char *operand);
void written(Actor actor, Space space, void *pointer, size_t bytes);
Memory *find_memory(Space space, const Interval &what);

// races.cpp
void mark_read(const Site &site, Memory &memory, size_t offset, size_t bytes);
void mark_write(const Site &site, Memory &memory, size_t offset, size_t bytes);
void advance_cluster_epoch(int cluster);
void advance_group_epoch(int group);

// timeline.cpp
void prepare_timeline();
void time_vector(double bytes, double vectors_cost);
void time_tensor(double operations, double operations_per_cycle);
void time_copy(const Copy &copy, bool asynchronous);
void time_scalar(Space space);
void time_wait(bool io, bool move, bool compute);
void time_barrier(const std::vector<Task *> &members);
double launch_seconds();

// scheduler.cpp
void wait_at(const Site &site, Barrier barrier);

// copies.cpp
void finish_copies(Task &task, bool io, bool move);
void end_computations(Task &task);

// tensor.cpp
void forget_filters(const Interval &changed);

}  // namespace mm_emulator
