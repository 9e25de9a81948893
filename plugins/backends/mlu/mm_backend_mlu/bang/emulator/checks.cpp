// What the hardware would punish, or silently get wrong: bounds, address spaces, uninitialised reads, missing waits.
#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "machine.h"

namespace mm_emulator {

Machine machine;

const char *name_of(Space space) {
  switch (space) {
    case Space::kNram: return "NRAM";
    case Space::kWram: return "WRAM";
    case Space::kSram: return "SRAM";
    case Space::kGdram: return "GDRAM";
    case Space::kStack: return "the stack";
    case Space::kElsewhere: break;
  }
  return "no memory of the device";
}

void violate(const Site &site, const char *format, ...) {
  char *text = machine.launch->error;
  const size_t room = MM_EMULATED_ERROR_BYTES;
  const Task *task = machine.task;
  const char *file = site.file ? strrchr(site.file, '/') : nullptr;
  size_t used = snprintf(text, room, "kernel %s, %s:%d, task %d (cluster %d, %s %d), %s: ", machine.kernel,
                         file ? file + 1 : site.file ? site.file : "?", site.line, task->id, task->cluster,
                         task->memory_core ? "memory core" : "core", task->memory_core ? 0 : task->core,
                         site.instruction);
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text + std::min(used, room), room - std::min(used, room), format, arguments);
  va_end(arguments);
  machine.failed = true;
  setcontext(&machine.scheduler);
  __builtin_unreachable();
}

Memory *find_memory(Space space, const Interval &what) {
  Task &task = *machine.task;
  Memory *found = nullptr;
  switch (space) {
    case Space::kNram: found = &task.memory->nram.memory; break;
    case Space::kWram: found = &task.memory->wram.memory; break;
    case Space::kSram: found = &machine.clusters[task.cluster].sram.memory; break;
    case Space::kGdram:
      // Where buffers share memory, the one that is written decides: it is where races can be.
      for (Memory &region : machine.regions)
        if (region.contains(what) && (!found || region.writable)) found = &region;
      return found;
    default: return nullptr;
  }
  return found->contains(what) ? found : nullptr;
}

Space space_of(const void *pointer) {
  const Interval what = interval_of(pointer, 1);
  for (Space space : {Space::kNram, Space::kSram, Space::kWram, Space::kGdram})
    if (find_memory(space, what)) return space;
  const char *stack = machine.task->stack;
  if (stack && pointer >= stack && pointer < stack + kStackBytes) return Space::kStack;
  return Space::kElsewhere;
}

void must_compute(const Site &site) {
  machine.task->last = site;
  if (machine.task->memory_core) violate(site, "a memory core has no units for computing");
}

void must_align(const Site &site, const void *pointer, uint32_t alignment, const char *operand) {
  const uintptr_t remainder = reinterpret_cast<uintptr_t>(pointer) % alignment;
  if (remainder)
    violate(site, "%s is misaligned: %u bytes are needed, it is %u beyond", operand, alignment, unsigned(remainder));
}

void must_count(const Site &site, int64_t count, const char *what) {
  if (count <= 0) violate(site, "%s is %lld and has to be positive", what, (long long)count);
}

void must_be_in(const Site &site, Space space, const void *pointer, const char *operand) {
  const Space actual = space_of(pointer);
  if (actual == space) return;
  const bool lost = actual == Space::kElsewhere && space == Space::kGdram;
  violate(site, "%s has to be in %s and is in %s%s", operand, name_of(space), name_of(actual),
          lost ? " (out of bounds of every buffer of the launch)" : "");
}

static Memory &locate(const Site &site, Space space, const Interval &what, const char *operand) {
  Memory *memory = find_memory(space, what);
  if (memory) return *memory;
  const void *pointer = reinterpret_cast<const void *>(what.begin);
  must_be_in(site, space, pointer, operand);
  for (const Memory &region : machine.regions)
    if (space == Space::kGdram && region.contains(interval_of(pointer, 1)))
      memory = const_cast<Memory *>(&region);
  if (space == Space::kNram) memory = &machine.task->memory->nram.memory;
  if (space == Space::kWram) memory = &machine.task->memory->wram.memory;
  if (space == Space::kSram) memory = &machine.clusters[machine.task->cluster].sram.memory;
  violate(site, "%s is out of bounds: bytes %zu to %zu of %zu in %s", operand, memory->offset(pointer),
          memory->offset(pointer) + (what.end - what.begin), memory->bytes, name_of(space));
}

static bool segments_overlap(const Segments &side, const Copy &copy, const Interval &what) {
  for (int64_t index = 0; index < copy.count; ++index)
    if (interval_of(side.at(index), copy.size).overlaps(what)) return true;
  return false;
}

// Copies that nobody waited for: their destination is not there yet, their source may still be read.
static void must_not_be_pending(const Site &site, const Interval &what, bool writes, const char *operand) {
  for (const Copy &copy : machine.task->pending) {
    const char *wait = copy.is_io() ? "__sync_io" : "__sync_move";
    if (copy.dst_bounds.overlaps(what) && segments_overlap(copy.dst, copy, what))
      violate(site, "%s is %s before the copy of line %d into it has been waited for (%s)", operand,
              writes ? "written" : "read", copy.site.line, wait);
    if (writes && copy.src_bounds.overlaps(what) && segments_overlap(copy.src, copy, what))
      violate(site, "%s is written before the copy of line %d out of it has been waited for (%s)", operand,
              copy.site.line, wait);
  }
}

static bool waits_for_computations(Actor actor) {
  return actor == Actor::kAsynchronousCopy || actor == Actor::kScalar;
}

// Computations run beside copies and scalar code until they are waited for.
static void must_not_be_computed(const Site &site, const Memory &memory, const Interval &what, const char *operand) {
  const Task &task = *machine.task;
  const uint8_t *written = memory.written + memory.offset(reinterpret_cast<const void *>(what.begin));
  if (memchr(written, task.epoch, what.end - what.begin))
    violate(site, "%s is used before the computation that writes it has been waited for (__sync_compute)", operand);
}

static void must_not_be_computed_from(const Site &site, const Interval &what, const char *operand) {
  for (const Interval &source : machine.task->computation_reads)
    if (source.overlaps(what))
      violate(site, "%s is written before the computation that reads it has been waited for (__sync_compute)", operand);
}

static void remember_read(const Interval &what) {
  std::vector<Interval> &reads = machine.task->computation_reads;
  for (size_t back = 0; back < 4 && back < reads.size(); ++back) {
    Interval &known = reads[reads.size() - 1 - back];
    if (known.begin <= what.end && what.begin <= known.end) {
      known = {std::min(known.begin, what.begin), std::max(known.end, what.end)};
      return;
    }
  }
  reads.push_back(what);
  if (reads.size() % 64) return;
  std::sort(reads.begin(), reads.end(), [](const Interval &a, const Interval &b) { return a.begin < b.begin; });
  size_t kept = 0;
  for (const Interval &next : reads) {
    if (kept && next.begin <= reads[kept - 1].end)
      reads[kept - 1].end = std::max(reads[kept - 1].end, next.end);
    else
      reads[kept++] = next;
  }
  reads.resize(kept);
}

void read(const Site &site, Actor actor, Space space, const void *pointer, size_t bytes, const char *operand) {
  const Interval what = interval_of(pointer, bytes);
  Memory &memory = locate(site, space, what, operand);
  const size_t offset = memory.offset(pointer);
  must_not_be_pending(site, what, false, operand);
  if (memory.written) {
    if (const void *hole = memchr(memory.written + offset, 0, bytes))
      violate(site, "%s is uninitialised at byte %zu of %zu", operand,
              size_t(static_cast<const uint8_t *>(hole) - (memory.written + offset)), bytes);
    if (space == Space::kNram && machine.task->computing && waits_for_computations(actor))
      must_not_be_computed(site, memory, what, operand);
  }
  if (memory.marks) mark_read(site, memory, offset, bytes);
  if (actor == Actor::kCompute) remember_read(what);
}

void write(const Site &site, Actor actor, Space space, void *pointer, size_t bytes, const char *operand) {
  const Interval what = interval_of(pointer, bytes);
  Memory &memory = locate(site, space, what, operand);
  if (!memory.writable) violate(site, "%s is a buffer that this launch may only read", operand);
  must_not_be_pending(site, what, true, operand);
  if (machine.task->computing && waits_for_computations(actor)) {
    if (space == Space::kNram) must_not_be_computed(site, memory, what, operand);
    must_not_be_computed_from(site, what, operand);
  }
  if (memory.marks) mark_write(site, memory, memory.offset(pointer), bytes);
}

void written(Actor actor, Space space, void *pointer, size_t bytes) {
  const Interval what = interval_of(pointer, bytes);
  Memory &memory = *find_memory(space, what);
  const size_t offset = memory.offset(pointer);
  memory.high = std::max(memory.high, offset + bytes);
  if (memory.written) memset(memory.written + offset, actor == Actor::kCompute ? machine.task->epoch : 1, bytes);
  if (actor == Actor::kCompute) machine.task->computing = true;
  if (space == Space::kWram) forget_filters(what);
}

}  // namespace mm_emulator
