// Copies between memories, and waiting for them. An asynchronous copy happens as late as is allowed: when waited for.
#include <algorithm>
#include <cstring>

#include "bang.h"
#include "machine.h"

namespace mm_emulator {

namespace {

struct Direction {
  Space dst, src;
  const char *name;
};

Direction direction_of(const Site &site, mluMemcpyDirection_t direction) {
  constexpr Space N = Space::kNram, W = Space::kWram, S = Space::kSram, G = Space::kGdram;
  switch (direction) {
    case GDRAM2NRAM: return {N, G, "GDRAM2NRAM"};
    case GDRAM2WRAM: return {W, G, "GDRAM2WRAM"};
    case GDRAM2SRAM: return {S, G, "GDRAM2SRAM"};
    case GDRAM2GDRAM: return {G, G, "GDRAM2GDRAM"};
    case NRAM2GDRAM: return {G, N, "NRAM2GDRAM"};
    case NRAM2NRAM: return {N, N, "NRAM2NRAM"};
    case NRAM2WRAM: return {W, N, "NRAM2WRAM"};
    case NRAM2SRAM: return {S, N, "NRAM2SRAM"};
    case WRAM2GDRAM: return {G, W, "WRAM2GDRAM"};
    case WRAM2NRAM: return {N, W, "WRAM2NRAM"};
    case WRAM2SRAM: return {S, W, "WRAM2SRAM"};
    case SRAM2GDRAM: return {G, S, "SRAM2GDRAM"};
    case SRAM2NRAM: return {N, S, "SRAM2NRAM"};
    case SRAM2WRAM: return {W, S, "SRAM2WRAM"};
  }
  violate(site, "%d is not a direction of a copy", int(direction));
}

Interval bounds_of(const Segments &side, int64_t size, int64_t count) {
  Interval bounds = interval_of(side.base, size);
  // Offsets grow or shrink evenly along both axes, so the corners bound them.
  for (const int64_t index : {std::min(side.inner, count) - 1, count - 1, (count - 1) / side.inner * side.inner}) {
    const Interval corner = interval_of(side.at(index), size);
    bounds = {std::min(bounds.begin, corner.begin), std::max(bounds.end, corner.end)};
  }
  return bounds;
}

void make_dense(Copy &copy) {
  if (!copy.dst.is_dense(copy.size, copy.count) || !copy.src.is_dense(copy.size, copy.count)) return;
  copy.size *= copy.count;
  copy.count = copy.dst.inner = copy.src.inner = 1;
}

// Segments along one axis are apart, and so are whole rows of them along the other.
bool are_nested(int64_t size, int64_t stride, int64_t count, int64_t row_stride, int64_t rows) {
  const int64_t row = std::abs(stride) * (count - 1) + size;
  return (count == 1 || std::abs(stride) >= size) && (rows == 1 || std::abs(row_stride) >= row);
}

bool are_apart(const Segments &side, const Interval &bounds, int64_t size, int64_t count) {
  const int64_t inner = side.inner, outer = count / inner;
  if (are_nested(size, side.inner_stride, inner, side.outer_stride, outer) ||
      are_nested(size, side.outer_stride, outer, side.inner_stride, inner))
    return true;
  if (uint64_t(size) * count > bounds.end - bounds.begin) return false;  // more bytes than there is room for
  static std::vector<char *> starts;
  starts.clear();
  for (int64_t index = 0; index < count; ++index) starts.push_back(side.at(index));
  std::sort(starts.begin(), starts.end());
  return std::adjacent_find(starts.begin(), starts.end(),
                            [&](char *left, char *right) { return right - left < size; }) == starts.end();
}

void must_not_overlap(const Copy &copy) {
  if (copy.dst_space == copy.src_space && copy.dst_bounds.overlaps(copy.src_bounds) && copy.count == 1)
    violate(copy.site, "source and destination overlap");
  if (!are_apart(copy.dst, copy.dst_bounds, copy.size, copy.count)) violate(copy.site, "segments of the destination overlap");
}

template <typename Check>
void for_each_segment(const Segments &side, const Copy &copy, Check check) {
  if (side.is_dense(copy.size, copy.count)) return check(side.base, copy.size * copy.count);
  for (int64_t index = 0; index < copy.count; ++index) check(side.at(index), copy.size);
}

void must_fit_wram(const Copy &copy) {
  const uint32_t alignment = machine.target().wram_alignment;
  for (const bool writes : {true, false}) {
    if ((writes ? copy.dst_space : copy.src_space) != Space::kWram) continue;
    const Segments &side = writes ? copy.dst : copy.src;
    must_align(copy.site, side.base, alignment, writes ? "the destination" : "the source");
    if (copy.size % alignment)
      violate(copy.site, "%lld bytes go to or from WRAM, which takes multiples of %u", (long long)copy.size, alignment);
    for (int64_t stride : {side.inner_stride, side.outer_stride})
      if (copy.count > 1 && stride % alignment)
        violate(copy.site, "a stride of %lld bytes in WRAM is no multiple of %u", (long long)stride, alignment);
  }
}

void apply(const Copy &copy) {
  for (int64_t index = 0; index < copy.count; ++index) memcpy(copy.dst.at(index), copy.src.at(index), copy.size);
  for_each_segment(copy.dst, copy,
                   [&](char *at, int64_t bytes) { written(Actor::kCopy, copy.dst_space, at, bytes); });
}

void issue(Copy copy, mluMemcpyDirection_t code, bool asynchronous) {
  const Site &site = copy.site;
  Task &task = *machine.task;
  task.last = site;
  const Direction direction = direction_of(site, code);
  copy.dst_space = direction.dst;
  copy.src_space = direction.src;
  must_count(site, copy.size, "the size in bytes");
  const bool private_memory = direction.dst == Space::kNram || direction.dst == Space::kWram ||
                              direction.src == Space::kNram || direction.src == Space::kWram;
  if (task.memory_core && private_memory) violate(site, "a memory core has no NRAM or WRAM: %s", direction.name);
  if (!machine.union_clusters && (direction.dst == Space::kSram || direction.src == Space::kSram))
    violate(site, "tasks of a Block launch have no SRAM: %s", direction.name);
  make_dense(copy);
  copy.dst_bounds = bounds_of(copy.dst, copy.size, copy.count);
  copy.src_bounds = bounds_of(copy.src, copy.size, copy.count);
  must_not_overlap(copy);
  must_fit_wram(copy);
  const Actor actor = asynchronous ? Actor::kAsynchronousCopy : Actor::kCopy;
  for_each_segment(copy.src, copy,
                   [&](char *at, int64_t bytes) { read(site, actor, copy.src_space, at, bytes, "the source"); });
  for_each_segment(copy.dst, copy,
                   [&](char *at, int64_t bytes) { write(site, actor, copy.dst_space, at, bytes, "the destination"); });
  machine.counters().descriptors++;
  time_copy(copy, asynchronous);
  if (asynchronous)
    task.pending.push_back(copy);
  else
    apply(copy);
}

Copy describe(const Site &site, void *dst, const void *src, int64_t size, int64_t dst_stride0, int64_t dst_segnum1,
              int64_t dst_stride1, int64_t dst_segnum2, int64_t src_stride0, int64_t src_segnum1, int64_t src_stride1,
              int64_t src_segnum2) {
  for (int64_t segnum : {dst_segnum1, dst_segnum2, src_segnum1, src_segnum2})
    if (segnum < 0) violate(site, "a count of segments less one is %lld", (long long)segnum);
  const int64_t count = (dst_segnum1 + 1) * (dst_segnum2 + 1);
  if (count != (src_segnum1 + 1) * (src_segnum2 + 1))
    violate(site, "%lld segments are written and %lld are read", (long long)count,
            (long long)((src_segnum1 + 1) * (src_segnum2 + 1)));
  Copy copy = {};
  copy.dst = {static_cast<char *>(dst), dst_stride0, dst_stride1, dst_segnum1 + 1};
  copy.src = {const_cast<char *>(static_cast<const char *>(src)), src_stride0, src_stride1, src_segnum1 + 1};
  copy.size = size;
  copy.count = count;
  copy.site = site;
  return copy;
}

}  // namespace

void finish_copies(Task &task, bool io, bool move) {
  size_t kept = 0;
  std::vector<Copy> &pending = task.pending;
  for (size_t index = 0; index < pending.size(); ++index) {
    if (pending[index].is_io() ? io : move)
      apply(pending[index]);
    else
      pending[kept++] = pending[index];
  }
  pending.resize(kept);
}

void end_computations(Task &task) {
  task.computation_reads.clear();
  if (!task.computing) return;
  task.computing = false;
  if (++task.epoch) return;
  // Epochs are bytes. When they run out, all computations so far become "some time ago".
  Memory &nram = task.memory->nram.memory;
  for (size_t i = 0; i < nram.high; ++i) nram.written[i] = nram.written[i] != 0;
  task.epoch = 2;
}

static void wait(const Site &site, bool io, bool move, bool compute) {
  Task &task = *machine.task;
  task.last = site;
  finish_copies(task, io, move);
  if (compute) end_computations(task);
  time_wait(io, move, compute);
}

}  // namespace mm_emulator

using namespace mm_emulator;

#define MM_DEFINE_COPY(name, asynchronous)                                                                             \
  void name(void *dst, const void *src, int64_t size, mluMemcpyDirection_t direction, const char *file, int line) {    \
    issue(describe({#name, file, line}, dst, src, size, 0, 0, 0, 0, 0, 0, 0, 0), direction, asynchronous);             \
  }                                                                                                                    \
  void name(void *dst, const void *src, int64_t size, mluMemcpyDirection_t direction, int64_t dst_stride,              \
            int64_t src_stride, int segnum, const char *file, int line) {                                              \
    issue(describe({#name, file, line}, dst, src, size, dst_stride, segnum, 0, 0, src_stride, segnum, 0, 0),           \
          direction, asynchronous);                                                                                    \
  }                                                                                                                    \
  void name(void *dst, const void *src, int64_t size, mluMemcpyDirection_t direction, int64_t dst_stride0,             \
            int dst_segnum1, int64_t dst_stride1, int dst_segnum2, int64_t src_stride0, int src_segnum1,               \
            int64_t src_stride1, int src_segnum2, const char *file, int line) {                                        \
    issue(describe({#name, file, line}, dst, src, size, dst_stride0, dst_segnum1, dst_stride1, dst_segnum2,            \
                   src_stride0, src_segnum1, src_stride1, src_segnum2),                                                \
          direction, asynchronous);                                                                                    \
  }
MM_DEFINE_COPY(__memcpy, false)
MM_DEFINE_COPY(__memcpy_async, true)

void __sync(const char *file, int line) { wait({"__sync", file, line}, true, true, true); }
void __sync_io(const char *file, int line) { wait({"__sync_io", file, line}, true, false, false); }
void __sync_move(const char *file, int line) { wait({"__sync_move", file, line}, false, true, false); }
void __sync_compute(const char *file, int line) { wait({"__sync_compute", file, line}, false, false, true); }
void __sync_io_move_compute(const char *file, int line) {
  wait({"__sync_io_move_compute", file, line}, true, true, true);
}
