// How long the chip would take: each core has a clock for each of its streams, and every instruction moves one of them on.
//
// Instructions start in order within a stream, when the core has issued them; streams run beside each other until the program waits.
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

// Bytes of whole DRAM units under the segments of one side, and how many units are covered in part only.
struct Units {
  uint64_t bytes, partial;
};
Units units_of(const Segments &side, const Copy &copy) {
  const uint64_t unit = machine.target().gdram_alignment;
  Units units = {0, 0};
  uintptr_t covered = 0;  // the units of segments that follow each other are shared
  for (int64_t index = 0; index < copy.count; ++index) {
    const Interval segment = interval_of(side.at(index), copy.size);
    uintptr_t begin = segment.begin / unit * unit;
    const uintptr_t end = (segment.end + unit - 1) / unit * unit;
    units.partial += (segment.begin % unit != 0 && begin != covered - unit) + (segment.end % unit != 0);
    if (begin < covered && covered <= end) begin = covered;
    units.bytes += end - begin;
    covered = end;
  }
  return units;
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
  double bytes = double(copy.size) * copy.count, cycles;
  double latency = target.on_chip_latency_cycles;
  if (copy.is_io()) {
    uint64_t moved = 0;
    if (copy.src_space == Space::kGdram) {
      const Units units = units_of(copy.src, copy);
      machine.counters().dram_read_bytes += units.bytes;
      moved += units.bytes;
    }
    if (copy.dst_space == Space::kGdram) {
      const Units units = units_of(copy.dst, copy);
      const uint64_t read_back = units.partial * target.gdram_alignment;
      machine.counters().dram_written_bytes += units.bytes;
      machine.counters().dram_read_bytes += read_back;
      moved += units.bytes + read_back;
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
  for (const Task &task : machine.tasks)
    cycles = std::max({cycles, task.clocks.issue, task.clocks.io_done, task.clocks.move_done, task.clocks.compute_done});
  double seconds = cycles / target.clock_hz, total = 0;
  for (const Cluster &cluster : machine.clusters) {
    seconds = std::max(seconds, cluster.dram_bytes / target.cluster_dram_bytes_per_second);
    total += cluster.dram_bytes;
  }
  return std::max(seconds, total / target.dram_bytes_per_second) + target.launch_seconds;
}

}  // namespace mm_emulator
