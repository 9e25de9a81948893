// Two tasks that touch the same byte of shared memory, one of them writing, with no barrier between: in every order.
//
// A mark says who touched a byte and when: the task's number and one, the barriers of its cluster since the last of its
// group, and the barriers of its group. A byte has a mark of its last writer and one of those who read it since;
// several readers become one mark that stands for any task of a cluster, of a group or of the launch.
#include <algorithm>
#include <cstdio>

#include "machine.h"

namespace mm_emulator {

namespace {

constexpr int kClusterBits = 10, kGroupBits = 14;
constexpr uint32_t kSeveralInCluster = 128;  // and the cluster's number
constexpr uint32_t kSeveralInGroup = 254, kSeveral = 255;

uint32_t encode(uint32_t who, uint32_t cluster_epoch, uint32_t group_epoch) {
  return who << (kClusterBits + kGroupBits) | cluster_epoch << kGroupBits | group_epoch;
}
uint32_t who(uint32_t mark) { return mark >> (kClusterBits + kGroupBits); }
uint32_t cluster_epoch(uint32_t mark) { return mark >> kGroupBits & ((1u << kClusterBits) - 1); }
uint32_t group_epoch(uint32_t mark) { return mark & ((1u << kGroupBits) - 1); }

uint32_t mark_of(const Task &task) {
  machine.memory_cores_work |= task.memory_core;
  return encode(task.number + 1, machine.clusters[task.cluster].epoch, machine.group_epochs[task.group]);
}

int group_of(int cluster) { return machine.union_clusters ? cluster / machine.union_clusters : cluster; }

int cluster_of(uint32_t mark) {
  const uint32_t owner = who(mark);
  return owner >= kSeveralInCluster ? int(owner - kSeveralInCluster) : machine.tasks[owner - 1].cluster;
}

// Whether what the mark stands for may happen at the same time as something that the task does now.
bool concurrent(uint32_t mark, const Task &task) {
  if (!mark || who(mark) == uint32_t(task.number + 1)) return false;
  if (who(mark) == kSeveral) return true;
  if (who(mark) == kSeveralInGroup) return group_epoch(mark) == machine.group_epochs[task.group];
  const int cluster = cluster_of(mark);
  if (machine.union_clusters == 0 || group_of(cluster) != task.group) return true;
  if (group_epoch(mark) != machine.group_epochs[task.group]) return false;
  return cluster != task.cluster || cluster_epoch(mark) == machine.clusters[task.cluster].epoch;
}

// The mark of readers after this task has read, too.
uint32_t joined(uint32_t mark, const Task &task) {
  if (!concurrent(mark, task)) return mark_of(task);
  if (who(mark) == kSeveral || who(mark) == kSeveralInGroup) return mark;
  const int cluster = cluster_of(mark);
  if (machine.union_clusters == 0 || group_of(cluster) != task.group) return encode(kSeveral, 0, 0);
  if (cluster != task.cluster) return encode(kSeveralInGroup, 0, group_epoch(mark));
  return encode(kSeveralInCluster + cluster, cluster_epoch(mark), group_epoch(mark));
}

[[noreturn]] void race(const Site &site, const Memory &memory, size_t offset, uint32_t mark, const char *now,
                       const char *before) {
  char other[32] = "another task";
  if (who(mark) < kSeveralInCluster) {
    const Task &task = machine.tasks[who(mark) - 1];
    snprintf(other, sizeof other, task.memory_core ? "memory core of cluster %d" : "task %d",
             task.memory_core ? task.cluster : task.id);
  }
  const bool on_chip = memory.marks == &machine.clusters[machine.task->cluster].sram.marks;
  violate(site, "race: byte %zu of %s is %s while %s %s it, with no barrier between", offset,
          on_chip ? "SRAM" : "a buffer in GDRAM", now, other, before);
}

void forget_everything() {
  for (Cluster &cluster : machine.clusters) cluster.sram.marks.clear();
  for (Marks &marks : machine.region_marks) marks.clear();
}

// Makes `at` a border between stretches, if it is inside of one. Returns the first that begins there or later.
Marks::iterator split(Marks &marks, size_t at) {
  auto next = marks.lower_bound(at);
  if (next == marks.begin()) return next;
  const auto before = std::prev(next);
  if (before->second.end <= at) return next;
  const Touched rest = before->second;
  before->second.end = at;
  return marks.emplace_hint(next, at, rest);
}

// Joins a stretch with the one before it if they are the same. Returns the joined one.
Marks::iterator join(Marks &marks, Marks::iterator stretch) {
  if (stretch == marks.begin()) return stretch;
  const auto before = std::prev(stretch);
  const Touched &left = before->second, &right = stretch->second;
  if (left.end != stretch->first || left.writer != right.writer || left.reader != right.reader) return stretch;
  before->second.end = right.end;
  marks.erase(stretch);
  return before;
}

}  // namespace

void mark_read(const Site &site, Memory &memory, size_t offset, size_t bytes) {
  const Task &task = *machine.task;
  const uint32_t mine = mark_of(task);
  Marks &marks = *memory.marks;
  const size_t end = offset + bytes;
  split(marks, end);
  auto stretch = split(marks, offset);
  for (size_t at = offset; at < end; at = stretch->second.end, ++stretch) {
    if (stretch == marks.end() || stretch->first > at) {
      const size_t next = stretch == marks.end() ? end : std::min(end, stretch->first);
      stretch = marks.emplace_hint(stretch, at, Touched{next, 0, mine});
    } else {
      Touched &touched = stretch->second;
      if (concurrent(touched.writer, task)) race(site, memory, at, touched.writer, "read", "writes");
      touched.reader = joined(touched.reader, task);
    }
    stretch = join(marks, stretch);
  }
  if (stretch != marks.end()) join(marks, stretch);
}

void mark_write(const Site &site, Memory &memory, size_t offset, size_t bytes) {
  const Task &task = *machine.task;
  Marks &marks = *memory.marks;
  const size_t end = offset + bytes;
  split(marks, end);
  const auto first = split(marks, offset);
  auto stretch = first;
  for (; stretch != marks.end() && stretch->first < end; ++stretch) {
    const Touched &touched = stretch->second;
    if (concurrent(touched.writer, task)) race(site, memory, stretch->first, touched.writer, "written", "writes");
    if (concurrent(touched.reader, task)) race(site, memory, stretch->first, touched.reader, "written", "reads");
  }
  marks.erase(first, stretch);
  // Who read before is ordered with this write, so the write stands for them.
  stretch = join(marks, marks.emplace_hint(stretch, offset, Touched{end, mark_of(task), 0}));
  if (++stretch != marks.end()) join(marks, stretch);
}

void advance_cluster_epoch(int cluster) {
  // Epochs are small numbers; when they run out, what came before is forgotten, which can only miss a race.
  if (++machine.clusters[cluster].epoch < 1u << kClusterBits) return;
  forget_everything();
  for (Cluster &each : machine.clusters) each.epoch = 0;
}

void advance_group_epoch(int group) {
  for (size_t cluster = 0; cluster < machine.clusters.size(); ++cluster)
    if (group_of(int(cluster)) == group) machine.clusters[cluster].epoch = 0;
  if (++machine.group_epochs[group] < 1u << kGroupBits) return;
  forget_everything();
  for (uint32_t &epoch : machine.group_epochs) epoch = 0;
}

}  // namespace mm_emulator
