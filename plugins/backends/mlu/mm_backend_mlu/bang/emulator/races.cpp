// Two tasks that touch the same byte of shared memory, one of them writing, with no barrier between: found in any order of tasks.
//
// A mark says who touched a byte and when: the task's number and one, the barriers of its cluster since the last barrier of its
// group, and the barriers of its group. A byte has a mark of its last writer and one of its last reader; several readers
// between barriers become one mark that stands for any task of a cluster, of a group or of the launch.
#include <sys/mman.h>

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

bool only_mine(const uint32_t *marks, size_t count, uint32_t mine) {
  uint32_t others = 0;
  for (size_t i = 0; i < count; ++i) others |= uint32_t(marks[i] != 0) & uint32_t(marks[i] != mine);
  return !others;
}

[[noreturn]] void race(const Site &site, const Memory &memory, size_t offset, uint32_t mark, const char *now,
                       const char *before) {
  char other[32] = "another task";
  if (who(mark) < kSeveralInCluster) {
    const Task &task = machine.tasks[who(mark) - 1];
    snprintf(other, sizeof other, task.memory_core ? "memory core of cluster %d" : "task %d",
             task.memory_core ? task.cluster : task.id);
  }
  violate(site, "race: byte %zu of %s is %s while %s %s it, with no barrier between", offset,
          memory.marks == &machine.clusters[machine.task->cluster].sram.marks ? "SRAM" : "a buffer in GDRAM", now, other,
          before);
}

void set(uint32_t *marks, size_t count, uint32_t mark) {
  for (size_t i = 0; i < count; ++i) marks[i] = mark;
}

void forget_everything() {
  for (Cluster &cluster : machine.clusters) cluster.sram.marks.forget();
  for (Marks &marks : machine.region_marks) marks.forget();
}

}  // namespace

uint32_t *Marks::base() {
  if (!base_) {
    void *pages = mmap(nullptr, bytes_ * 2 * sizeof(uint32_t), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (pages == MAP_FAILED) violate(machine.task->last, "the emulator has no memory to watch %zu bytes", bytes_);
    base_ = static_cast<uint32_t *>(pages);
  }
  return base_;
}

void Marks::forget() {
  if (base_) munmap(base_, bytes_ * 2 * sizeof(uint32_t));
  base_ = nullptr;
}

void mark_read(const Site &site, Memory &memory, size_t offset, size_t bytes) {
  const Task &task = *machine.task;
  const uint32_t mine = mark_of(task);
  const uint32_t *writers = memory.marks->writers() + offset;
  uint32_t *readers = memory.marks->readers() + offset;
  if (!only_mine(writers, bytes, mine))
    for (size_t i = 0; i < bytes; ++i)
      if (concurrent(writers[i], task)) race(site, memory, offset + i, writers[i], "read", "writes");
  if (only_mine(readers, bytes, mine)) return set(readers, bytes, mine);
  for (size_t i = 0; i < bytes; ++i) readers[i] = joined(readers[i], task);
}

void mark_write(const Site &site, Memory &memory, size_t offset, size_t bytes) {
  const Task &task = *machine.task;
  const uint32_t mine = mark_of(task);
  uint32_t *writers = memory.marks->writers() + offset;
  const uint32_t *readers = memory.marks->readers() + offset;
  if (!only_mine(writers, bytes, mine))
    for (size_t i = 0; i < bytes; ++i)
      if (concurrent(writers[i], task)) race(site, memory, offset + i, writers[i], "written", "writes");
  if (!only_mine(readers, bytes, mine))
    for (size_t i = 0; i < bytes; ++i)
      if (concurrent(readers[i], task)) race(site, memory, offset + i, readers[i], "written", "reads");
  set(writers, bytes, mine);
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
