// How long the chip would take: each core has a clock for each of its streams, and every instruction moves one on.
//
// Instructions start in order within a stream, when the core has issued them; streams run beside each other until the
// program waits.
// What each instruction costs, and what is left out: docs/mlu-emulator.md.
#include <algorithm>
#include <cmath>

#include "machine.h"

namespace mm_emulator {

namespace {

double core_rate, memory_core_rate;  // bytes of DRAM a cycle

Clocks &issue() {
  Clocks &clocks = machine.task->clocks;
  clocks.issue += machine.target().issue_cycles;
  return clocks;
}

void compute(double cycles, double latency) {
  Clocks &clocks = issue();
  clocks.compute = std::max(clocks.compute, clocks.issue) + std::max(cycles, 1.0);
  clocks.compute_done = clocks.compute + latency;
}

// What moves at the side of a copy that is DRAM: bytes of whole units, and of units that are covered in part only.
struct Moved {
  uint64_t bytes, partial;
};
Moved moved_at(const Segments &side, const Copy &copy) {
  const uintptr_t unit = machine.target().gdram_alignment;
  const bool dense = side.is_dense(copy.size, copy.count);
  const int64_t count = dense ? 1 : copy.count, size = dense ? copy.size * copy.count : copy.size;
  uint64_t units = 0, partial = 0;
  uintptr_t previous = 0;  // the last unit of the segment before, which this one may share
  for (int64_t index = 0; index < count; ++index) {
    const Interval segment = interval_of(side.at(index), size);
    const uintptr_t first = segment.begin / unit, last = (segment.end - 1) / unit;
    const bool shared = first == previous, first_partial = segment.begin % unit, last_partial = segment.end % unit;
    units += last - first + 1 - shared;
    if (first == last)
      partial += !shared && (first_partial || last_partial);
    else
      partial += (!shared && first_partial) + last_partial;
    previous = last;
  }
  return {units * unit, partial * unit};
}

}  // namespace

void prepare_timeline() {
  const mm_emulated_target &target = machine.target();
  const int cores = std::min<int>(machine.task_dim, target.cores_per_cluster);
  const int clusters = (machine.task_dim + target.cores_per_cluster - 1) / target.cores_per_cluster;
  const double total = target.dram_bytes_per_second / target.clock_hz;
  const double cluster = target.cluster_dram_bytes_per_second / target.clock_hz;
  core_rate = std::min(cluster / cores, total / machine.task_dim);
  memory_core_rate = std::min(cluster, total / clusters);
}

void time_vector(double bytes, double cycles_for_a_vector) {
  const double vectors = std::ceil(bytes / machine.target().vector_bytes_per_cycle);
  machine.counters().vector_bytes += uint64_t(bytes);
  machine.counters().vector_instructions++;
  compute(vectors * cycles_for_a_vector, machine.target().vector_latency_cycles);
}

void time_tensor(double operations, double operations_per_cycle) {
  machine.counters().tensor_instructions++;
  compute(operations / operations_per_cycle, machine.target().tensor_latency_cycles);
}

void time_copy(const Copy &copy, bool asynchronous) {
  const mm_emulated_target &target = machine.target();
  Task &task = *machine.task;
  const double bytes = double(copy.size) * copy.count;
  double cycles;
  double latency = target.on_chip_latency_cycles;
  if (copy.is_io()) {
    uint64_t moved = 0;
    if (copy.src_space == Space::kGdram) {
      moved = moved_at(copy.src, copy).bytes;
      machine.counters().dram_read_bytes += moved;
    }
    if (copy.dst_space == Space::kGdram) {
      // A unit that is written in part is read first.
      const Moved stored = moved_at(copy.dst, copy);
      machine.counters().dram_written_bytes += stored.bytes;
      machine.counters().dram_read_bytes += stored.partial;
      moved += stored.bytes + stored.partial;
    }
    machine.clusters[task.cluster].dram_bytes += moved;
    latency = target.dram_latency_cycles;
    cycles = moved / (task.memory_core ? memory_core_rate : core_rate);
  } else {
    machine.counters().on_chip_bytes += uint64_t(bytes);
    cycles = bytes / target.move_bytes_per_cycle;
  }
  cycles = std::max({cycles, copy.count * target.segment_cycles, target.descriptor_cycles});
  Clocks &clocks = issue();
  double &busy = copy.is_io() ? clocks.io : clocks.move;
  double &done = copy.is_io() ? clocks.io_done : clocks.move_done;
  // A copy that the program waits for starts after all that it was issued behind.
  if (!asynchronous) clocks.issue = std::max({clocks.issue, clocks.compute_done, done});
  busy = std::max(busy, clocks.issue) + cycles;
  done = busy + latency;
  if (!asynchronous) clocks.issue = done;
}

void time_scalar(Space space) {
  const mm_emulated_target &target = machine.target();
  machine.counters().scalar_accesses++;
  machine.task->clocks.issue += space == Space::kGdram ? target.scalar_dram_cycles : target.scalar_cycles;
}

void time_wait(bool io, bool move, bool compute) {
  Clocks &clocks = issue();
  if (io) clocks.issue = std::max(clocks.issue, clocks.io_done);
  if (move) clocks.issue = std::max(clocks.issue, clocks.move_done);
  if (compute) clocks.issue = std::max(clocks.issue, clocks.compute_done);
}

void time_barrier(const std::vector<Task *> &members) {
  double latest = 0;
  for (const Task *member : members) latest = std::max(latest, member->clocks.issue);
  for (Task *member : members) member->clocks.issue = latest + machine.target().barrier_cycles;
  machine.counters().barriers++;
}

double launch_seconds() {
  const mm_emulated_target &target = machine.target();
  double cycles = 0;
  for (const Task &task : machine.tasks) {
    const Clocks &clocks = task.clocks;
    cycles = std::max({cycles, clocks.issue, clocks.io_done, clocks.move_done, clocks.compute_done});
  }
  double seconds = cycles / target.clock_hz, total = 0;
  for (const Cluster &cluster : machine.clusters) {
    seconds = std::max(seconds, cluster.dram_bytes / target.cluster_dram_bytes_per_second);
    total += cluster.dram_bytes;
  }
  return std::max(seconds, total / target.dram_bytes_per_second) + target.launch_seconds;
}

}  // namespace mm_emulator
