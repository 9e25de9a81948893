// Runs the tasks of a launch on one host thread, one after the other, from barrier to barrier, in the seed's order.
#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "bang.h"
#include "machine.h"

// What the linker gathered of the kernel's arrays; missing where it has none.
extern "C" {
#define MM_SECTION(name)                                                            \
  extern char __start_##name[] __attribute__((weak, visibility("hidden")));         \
  extern char __stop_##name[] __attribute__((weak, visibility("hidden")));
MM_SECTION(mm_nram)
MM_SECTION(mm_wram)
MM_SECTION(mm_sram)
}

namespace mm_emulator {

namespace {

std::vector<std::unique_ptr<CoreMemory>> core_memories;  // all, and those of no task
std::vector<CoreMemory *> free_memories;
std::vector<char *> free_stacks;
std::vector<Bank> sram_banks;
CoreMemory *resident = nullptr;  // whose bytes NRAM and WRAM hold
Cluster *resident_cluster = nullptr;
void (*body)(void *);
void *closure;

void allocate(Bank &bank, char *start, char *stop) {
  bank.memory.base = start;
  bank.memory.bytes = stop - start;
  bank.memory.written = static_cast<uint8_t *>(calloc(bank.memory.bytes + 1, 1));
}

CoreMemory *take_memory() {
  if (free_memories.empty()) {
    core_memories.push_back(std::make_unique<CoreMemory>());
    CoreMemory *memory = core_memories.back().get();
    allocate(memory->nram, __start_mm_nram, __stop_mm_nram);
    allocate(memory->wram, __start_mm_wram, __stop_mm_wram);
    return memory;
  }
  CoreMemory *memory = free_memories.back();
  free_memories.pop_back();
  return memory;
}

void give_memory_back(Task &task) {
  if (!task.memory) return;
  task.memory->nram.reset();
  task.memory->wram.reset();
  free_memories.push_back(task.memory);
  if (resident == task.memory) resident = nullptr;
  task.memory = nullptr;
}

char *take_stack() {
  if (free_stacks.empty()) {
    void *pages = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (pages == MAP_FAILED) return nullptr;
    mprotect(pages, 4096, PROT_NONE);
    return static_cast<char *>(pages);
  }
  char *stack = free_stacks.back();
  free_stacks.pop_back();
  return stack;
}

void make_resident(Task &task) {
  if (resident != task.memory) {
    if (resident) {
      resident->nram.save();
      resident->wram.save();
    }
    task.memory->nram.restore();
    task.memory->wram.restore();
    resident = task.memory;
  }
  Cluster *cluster = &machine.clusters[task.cluster];
  if (machine.union_clusters && resident_cluster != cluster) {
    if (resident_cluster) resident_cluster->sram.save();
    cluster->sram.restore();
    resident_cluster = cluster;
  }
}

void run_task() {
  Task &task = *machine.task;
  body(closure);
  finish_copies(task, true, true);  // the hardware finishes what was begun
  task.finished = true;
  setcontext(&machine.scheduler);
}

void resume(Task &task) {
  if (!task.started) {
    task.started = true;
    task.memory = take_memory();
    task.stack = take_stack();
    getcontext(&task.context);
    task.context.uc_stack.ss_sp = task.stack;
    task.context.uc_stack.ss_size = kStackBytes;
    task.context.uc_link = nullptr;
    makecontext(&task.context, run_task, 0);
  }
  make_resident(task);
  machine.task = &task;
  task.waits = Barrier::kNone;
  // Returned to by a barrier, by the task's end, and by a violation.
  swapcontext(&machine.scheduler, &task.context);
  if (!task.finished) return;
  free_stacks.push_back(task.stack);
  task.stack = nullptr;
  give_memory_back(task);
}

struct Random {
  uint64_t state;
  uint64_t next() {  // splitmix64
    uint64_t z = state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
};

// Seed 0 keeps the natural order, so that a run can be followed.
template <typename T>
void shuffle(std::vector<T> &items, Random &random) {
  if (!random.state) return;
  for (size_t last = items.size(); last > 1; --last) std::swap(items[last - 1], items[random.next() % last]);
}

bool waits_in_cluster(const Task *task) { return task->waits == Barrier::kCluster; }

// Runs what can run in one cluster, until all of it waits for other clusters, or has ended. True if anything ran.
bool run_cluster(std::vector<Task *> &members, Random &random) {
  bool ran = false;
  for (;;) {
    shuffle(members, random);
    for (Task *task : members) {
      if (task->finished || task->waits != Barrier::kNone) continue;
      resume(*task);
      if (machine.failed) return true;
      ran = true;
    }
    if (!std::all_of(members.begin(), members.end(), waits_in_cluster)) return ran;
    time_barrier(members);
    advance_cluster_epoch(members[0]->cluster);
    for (Task *task : members) task->waits = Barrier::kNone;
  }
}

bool release_group(std::vector<Task *> &members, Barrier barrier) {
  std::vector<Task *> waiting;
  for (Task *task : members) {
    if (barrier == Barrier::kAllCores && task->memory_core) continue;
    if (task->waits != barrier) return false;
    waiting.push_back(task);
  }
  if (waiting.empty()) return false;
  time_barrier(waiting);
  // A barrier of the cores alone orders nothing with memory cores. Marks cannot tell the two apart, so where memory
  // cores are at work it counts for no race: rather one too many than one missed.
  if (barrier == Barrier::kAll || !machine.memory_cores_work) advance_group_epoch(members[0]->group);
  for (Task *task : waiting) task->waits = Barrier::kNone;
  return true;
}

void report_deadlock(const std::vector<Task *> &members) {
  const Task *waiting = nullptr, *other = nullptr;
  for (const Task *task : members)
    if (!task->finished && task->waits != Barrier::kNone) waiting = task;
  for (const Task *task : members)
    if (task->finished || task->waits != waiting->waits) other = task;
  snprintf(machine.launch->error, MM_EMULATED_ERROR_BYTES,
           "kernel %s, %s:%d, task %d (cluster %d, %s %d), %s: waits for ever: task %d%s %s", machine.kernel,
           waiting->waits_at.file, waiting->waits_at.line, waiting->id, waiting->cluster,
           waiting->memory_core ? "memory core" : "core", waiting->memory_core ? 0 : waiting->core,
           waiting->waits_at.instruction, other ? other->id : -1, other && other->memory_core ? " (memory core)" : "",
           other && !other->finished ? "waits at another barrier" : "has ended without this barrier");
  machine.failed = true;
}

void run_group(std::vector<std::vector<Task *>> clusters, Random &random) {
  std::vector<Task *> members;
  for (const auto &cluster : clusters) members.insert(members.end(), cluster.begin(), cluster.end());
  for (;;) {
    bool ran = false;
    shuffle(clusters, random);
    for (auto &cluster : clusters) {
      ran |= run_cluster(cluster, random);
      if (machine.failed) return;
    }
    if (std::all_of(members.begin(), members.end(), [](const Task *task) { return task->finished; })) return;
    if (release_group(members, Barrier::kAll) || release_group(members, Barrier::kAllCores)) continue;
    if (!ran) return report_deadlock(members);
  }
}

const char *refuse(unsigned dim_x, unsigned kind) {
  const mm_emulated_target &target = machine.target();
  static char text[256];
  auto fail = [&](const char *format, auto... values) {
    snprintf(text, sizeof text, format, values...);
    return text;
  };
  const struct {
    const char *name;
    ptrdiff_t wanted;
    uint32_t available;
  } memories[] = {{"NRAM", __stop_mm_nram - __start_mm_nram, target.nram_bytes},
                  {"WRAM", __stop_mm_wram - __start_mm_wram, target.wram_bytes},
                  {"SRAM", __stop_mm_sram - __start_mm_sram, target.sram_bytes}};
  for (const auto &memory : memories)
    if (memory.wanted > ptrdiff_t(memory.available))
      return fail("arrays in %s take %td bytes, and %u are there", memory.name, memory.wanted, memory.available);
  if (!dim_x || dim_x > target.clusters * target.cores_per_cluster)
    return fail("%u tasks on a chip of %u cores", dim_x, target.clusters * target.cores_per_cluster);
  if (kind && dim_x % (kind * target.cores_per_cluster))
    return fail("%u tasks are no multiple of a union of %u clusters", dim_x, kind);
  if (target.clusters > 24) return fail("%u clusters are more than the emulator can tell apart", target.clusters);
  return nullptr;
}

void create_tasks(unsigned dim_x, unsigned kind) {
  const int cores = machine.target().cores_per_cluster;
  const int clusters = (dim_x + cores - 1) / cores;
  machine.union_clusters = kind;
  machine.task_dim = dim_x;
  machine.memory_cores_work = false;
  machine.tasks.assign(dim_x + (kind ? clusters : 0), Task());
  if (machine.clusters.size() < size_t(clusters)) machine.clusters.resize(clusters);  // kept, as their memories are
  machine.group_epochs.assign(kind ? clusters / kind : clusters, 0);
  for (size_t number = 0; number < machine.tasks.size(); ++number) {
    Task &task = machine.tasks[number];
    task.number = int(number);
    task.memory_core = number >= dim_x;
    task.cluster = task.memory_core ? int(number - dim_x) : int(number) / cores;
    task.core = task.memory_core ? MM_MEMORY_CORE : int(number) % cores;
    task.id = task.memory_core ? task.cluster * cores : int(number);
    task.group = kind ? task.cluster / int(kind) : task.cluster;
  }
  for (Cluster &cluster : machine.clusters) {
    cluster.epoch = 0;
    cluster.dram_bytes = 0;
    if (!kind) continue;
    if (!cluster.sram.memory.written) allocate(cluster.sram, __start_mm_sram, __stop_mm_sram);
    cluster.sram.memory.marks = &cluster.sram.marks;
  }
}

void create_regions() {
  const mm_emulated_launch &launch = *machine.launch;
  machine.regions.assign(launch.region_count, Memory());
  machine.region_marks.assign(launch.region_count, Marks());
  for (size_t index = 0; index < launch.region_count; ++index) {
    const mm_emulated_region &given = launch.regions[index];
    Memory &region = machine.regions[index];
    region.base = static_cast<char *>(given.base);
    region.bytes = given.bytes;
    region.written = given.initialised;
    region.writable = given.writable;
    if (!given.writable) continue;
    region.marks = &machine.region_marks[index];
  }
}

void clean_up() {
  for (Task &task : machine.tasks) {
    give_memory_back(task);
    if (task.stack) free_stacks.push_back(task.stack);
  }
  for (Cluster &cluster : machine.clusters) {
    if (cluster.sram.memory.written) cluster.sram.reset();
    cluster.sram.marks.clear();
  }
  machine.region_marks.clear();
  resident_cluster = nullptr;
  forget_filters({0, UINTPTR_MAX});
  machine.tasks.clear();
  machine.task = nullptr;
}

}  // namespace

void Bank::save() { saved.assign(memory.base, memory.base + memory.high); }
void Bank::restore() {
  if (!saved.empty()) memcpy(memory.base, saved.data(), saved.size());
}
void Bank::reset() {
  memset(memory.written, 0, memory.high);
  memory.high = 0;
  saved.clear();
}

void wait_at(const Site &site, Barrier barrier) {
  Task &task = *machine.task;
  task.last = site;
  finish_copies(task, true, true);
  end_computations(task);
  time_wait(true, true, true);
  if (!machine.union_clusters || (barrier == Barrier::kAllCores && task.memory_core)) return;
  task.waits = barrier;
  task.waits_at = site;
  swapcontext(&task.context, &machine.scheduler);
}

}  // namespace mm_emulator

using namespace mm_emulator;

void __sync_cluster(const char *file, int line) { wait_at({"__sync_cluster", file, line}, Barrier::kCluster); }
void __sync_all(const char *file, int line) { wait_at({"__sync_all", file, line}, Barrier::kAll); }
void __sync_all_ipu(const char *file, int line) { wait_at({"__sync_all_ipu", file, line}, Barrier::kAllCores); }

extern "C" {
int mm_task_id(void) { return machine.task->id; }
int mm_task_dim(void) { return machine.task_dim; }
int mm_cluster_id(void) { return machine.task->cluster; }
int mm_cluster_dim(void) { return machine.union_clusters; }
int mm_core_id(void) { return machine.task->core; }
int mm_core_dim(void) { return int(machine.target().cores_per_cluster); }

int mm_emulate(const char *kernel, unsigned dim_x, unsigned kind, void *queue, void (*run)(void *), void *with) {
  machine.launch = static_cast<mm_emulated_launch *>(queue);
  if (machine.launch->struct_bytes != sizeof(mm_emulated_launch)) return -2;
  machine.kernel = kernel;
  machine.failed = false;
  machine.counters() = {};
  machine.launch->seconds = 0;
  machine.launch->error[0] = 0;
  if (const char *reason = refuse(dim_x, kind)) {
    snprintf(machine.launch->error, MM_EMULATED_ERROR_BYTES, "kernel %s: %s", kernel, reason);
    return 1;
  }
  body = run;
  closure = with;
  create_tasks(dim_x, kind);
  create_regions();
  prepare_timeline();
  Random random = {machine.launch->seed};
  std::vector<std::vector<std::vector<Task *>>> groups(machine.group_epochs.size());
  for (size_t index = 0; index < groups.size(); ++index) groups[index].resize(kind ? kind : 1);
  for (Task &task : machine.tasks) groups[task.group][kind ? task.cluster % kind : 0].push_back(&task);
  shuffle(groups, random);
  for (auto &group : groups) {
    run_group(group, random);
    if (machine.failed) break;
  }
  if (!machine.failed) machine.launch->seconds = launch_seconds();
  const bool failed = machine.failed;
  clean_up();
  return failed;
}
}
