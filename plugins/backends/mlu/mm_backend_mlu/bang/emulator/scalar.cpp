// Memory that plain C code touches. Kernels are compiled with the thread sanitizer's calls in front of every access,
// and these are the calls: there is no sanitizer behind them.
#include "machine.h"

// The object itself, from its first byte to its last: the linker knows.
extern "C" char __ehdr_start __attribute__((visibility("hidden"))), _end __attribute__((visibility("hidden")));

namespace mm_emulator {

constexpr size_t kLargestElement = 8;

static void touch(void *pointer, size_t bytes, bool writes) {
  Task *task = machine.task;
  if (!task) return;  // not in a kernel: the host's side of a launch
  const char *at = static_cast<char *>(pointer);
  if (at >= task->stack && at < task->stack + kStackBytes) return;
  const Space space = space_of(pointer);
  const Site site = {writes ? "scalar write" : "scalar read", task->last.file, task->last.line};
  switch (space) {
    case Space::kWram:
      violate(site, "WRAM can only be copied to and computed with (the line is the last instruction's)");
    case Space::kElsewhere:
      // Constants of the object itself may be read.
      if (!writes && bytes <= 16) {
        if (at >= &__ehdr_start && at < &_end) return;
      }
      violate(site, "the address is out of bounds of every memory of the device (the line is the last instruction's)");
    default: break;
  }
  if (task->memory_core && space == Space::kNram) violate(site, "a memory core has no NRAM");
  if (space == Space::kSram && !machine.union_clusters) violate(site, "tasks of a Block launch have no SRAM");
  const bool is_element = bytes <= kLargestElement && (bytes & (bytes - 1)) == 0;
  if (is_element) must_align(site, pointer, bytes, "the address");
  time_scalar(space);
  if (writes) {
    write(site, Actor::kScalar, space, pointer, bytes, "the address");
    written(Actor::kScalar, space, pointer, bytes);
  } else {
    read(site, Actor::kScalar, space, pointer, bytes, "the address");
  }
}

}  // namespace mm_emulator

using mm_emulator::touch;

extern "C" {
void __tsan_init() {}
void __tsan_func_entry(void *) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void **, void *) {}
void __tsan_vptr_read(void **) {}
// Also for elements that the compiler knows to be misaligned.
void __tsan_read_range(void *pointer, size_t bytes) { touch(pointer, bytes, false); }
void __tsan_write_range(void *pointer, size_t bytes) { touch(pointer, bytes, true); }

#define MM_HOOKS(bytes)                                                                 \
  void __tsan_read##bytes(void *pointer) { touch(pointer, bytes, false); }              \
  void __tsan_write##bytes(void *pointer) { touch(pointer, bytes, true); }              \
  void __tsan_unaligned_read##bytes(void *pointer) { touch(pointer, bytes, false); }    \
  void __tsan_unaligned_write##bytes(void *pointer) { touch(pointer, bytes, true); }
MM_HOOKS(1)
MM_HOOKS(2)
MM_HOOKS(4)
MM_HOOKS(8)
MM_HOOKS(16)
}
