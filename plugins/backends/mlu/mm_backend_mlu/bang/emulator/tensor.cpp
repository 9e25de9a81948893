// The tensor unit: products of matrices and convolutions, accumulated in float and rounded once.
//
// Both are one product: rows of taps times a filter of [taps][columns]. The filter is unpacked from its lanes once and
// kept for as long as nobody writes that stretch of WRAM.
#include <algorithm>
#include <memory>
#include <vector>

#include "instruction.h"

namespace mm_emulator {

namespace {

constexpr int kRows = 6, kWidth = 8, kColumns = 2 * kWidth;  // a block of results that stays in registers
typedef float Vector __attribute__((vector_size(kWidth * sizeof(float)), aligned(4)));

// A filter as float panels of kColumns columns: [panel][tap][column].
struct Panels {
  const CoreMemory *owner;
  Interval place;
  int64_t columns, taps;
  size_t itemsize;
  std::vector<float> values;
};
constexpr size_t kKept = 8;
std::vector<std::unique_ptr<Panels>> kept;

template <typename T>
const float *unpack(const T *filter, int64_t columns, int64_t taps) {
  const Interval place = interval_of(filter, columns * taps * sizeof(T));
  for (auto &panels : kept)
    if (panels->owner == machine.task->memory && panels->place.begin == place.begin && panels->columns == columns &&
        panels->taps == taps && panels->itemsize == sizeof(T))
      return panels->values.data();
  std::unique_ptr<Panels> panels;
  if (kept.size() < kKept) {
    panels = std::make_unique<Panels>();
  } else {
    panels = std::move(kept.front());
    kept.erase(kept.begin());
  }
  panels->owner = machine.task->memory;
  panels->place = place;
  panels->columns = columns;
  panels->taps = taps;
  panels->itemsize = sizeof(T);
  panels->values.resize(columns * taps);
  const int64_t lanes = machine.target().lanes, rows = columns / lanes;
  static std::vector<float> row;
  row.resize(taps);
  for (int64_t column = 0; column < columns; ++column) {
    load(row.data(), filter + (column % lanes * rows + column / lanes) * taps, taps);
    float *panel = panels->values.data() + column / kColumns * kColumns * taps + column % kColumns;
    for (int64_t tap = 0; tap < taps; ++tap) panel[tap * kColumns] = row[tap];
  }
  kept.push_back(std::move(panels));
  return kept.back()->values.data();
}

// Rows of taps: `runs` stretches of `length` floats each, `run_stride` apart, for the row that starts at `start`.
struct Taps {
  int64_t runs, length, run_stride;
};

template <int rows>
void multiply_block(float *results, int64_t pitch, const float *const *starts, const Taps &taps, const float *panel) {
  Vector sums[rows][2] = {};
  for (int64_t run = 0; run < taps.runs; ++run) {
    const int64_t offset = run * taps.run_stride;
    for (int64_t tap = 0; tap < taps.length; ++tap, panel += kColumns) {
      const Vector low = *reinterpret_cast<const Vector *>(panel);
      const Vector high = *reinterpret_cast<const Vector *>(panel + kWidth);
      for (int row = 0; row < rows; ++row) {
        const float value = starts[row][offset + tap];
        sums[row][0] += value * low;
        sums[row][1] += value * high;
      }
    }
  }
  for (int row = 0; row < rows; ++row) {
    *reinterpret_cast<Vector *>(results + row * pitch) = sums[row][0];
    *reinterpret_cast<Vector *>(results + row * pitch + kWidth) = sums[row][1];
  }
}

void multiply(float *results, int64_t pitch, const float *const *starts, int64_t rows, const Taps &taps,
              const float *panel) {
  switch (rows) {
    case 1: return multiply_block<1>(results, pitch, starts, taps, panel);
    case 2: return multiply_block<2>(results, pitch, starts, taps, panel);
    case 3: return multiply_block<3>(results, pitch, starts, taps, panel);
    case 4: return multiply_block<4>(results, pitch, starts, taps, panel);
    case 5: return multiply_block<5>(results, pitch, starts, taps, panel);
    default: return multiply_block<kRows>(results, pitch, starts, taps, panel);
  }
}

// dst[row][column] for rows that start at `start_of(row)` in `source`.
template <typename Out, typename StartOf>
void product(Out *dst, const float *source, int64_t rows, StartOf start_of, const Taps &taps, const float *filter,
             int64_t columns) {
  static std::vector<float> block;
  block.resize(kRows * columns);
  const int64_t panel_size = taps.runs * taps.length * kColumns;
  for (int64_t row = 0; row < rows; row += kRows) {
    const int64_t count = std::min<int64_t>(kRows, rows - row);
    const float *starts[kRows];
    for (int64_t index = 0; index < count; ++index) starts[index] = source + start_of(row + index);
    for (int64_t column = 0; column < columns; column += kColumns)
      multiply(block.data() + column, columns, starts, count, taps, filter + column / kColumns * panel_size);
    store(dst + row * columns, block.data(), count * columns);
  }
}

// Operands as float: where they are float already, where they lie.
const float *as_floats(const float *values, int64_t) { return values; }
const float *as_floats(const half *values, int64_t n) {
  static std::vector<float> converted;
  converted.resize(n);
  load(converted.data(), values, n);
  return converted.data();
}

void count_macs(double macs, size_t itemsize) {
  const mm_emulated_target &target = machine.target();
  (itemsize == 2 ? machine.counters().tensor_macs_half : machine.counters().tensor_macs_float) += uint64_t(macs);
  time_tensor(2 * macs, itemsize == 2 ? target.tensor_half_half : target.tensor_float_float);
}

void must_fit_lanes(const Instruction &instruction, int columns, int channels, size_t itemsize) {
  const mm_emulated_target &target = machine.target();
  if (columns % target.lanes)
    violate(instruction.site(), "%d columns of the result are no multiple of %u lanes", columns, target.lanes);
  if (channels * itemsize % target.wram_alignment)
    violate(instruction.site(), "an inner axis of %zu bytes is no multiple of %u", channels * itemsize,
            target.wram_alignment);
}

template <typename Out, typename In>
void matmul(Out *dst, const In *left, const In *right, int m, int k, int n, const char *file, int line) {
  const Instruction instruction("__bang_matmul", file, line);
  for (int size : {m, k, n}) instruction.count(size, "a size");
  must_fit_lanes(instruction, n, k, sizeof(In));
  const size_t bytes = size_t(m) * n * sizeof(Out), left_bytes = size_t(m) * k * sizeof(In);
  instruction.source(left, left_bytes, "the left operand");
  instruction.filter(right, size_t(n) * k * sizeof(In));
  instruction.apart(dst, bytes, left, left_bytes);
  instruction.result(dst, bytes);
  product(dst, as_floats(left, int64_t(m) * k), m, [&](int64_t row) { return row * k; }, {1, k, 0},
          unpack(right, n, k), n);
  instruction.done(dst, bytes);
  count_macs(double(m) * k * n, sizeof(In));
}

template <typename Out, typename In>
void conv(Out *dst, const In *src, const In *filter, int ci, int hi, int wi, int hk, int wk, int sx, int sy, int co,
          const char *file, int line) {
  const Instruction instruction("__bang_conv", file, line);
  for (int size : {ci, hi, wi, hk, wk, sx, sy, co}) instruction.count(size, "a size");
  if (hk > hi || wk > wi) violate(instruction.site(), "a filter of %dx%d does not fit %dx%d", hk, wk, hi, wi);
  must_fit_lanes(instruction, co, ci, sizeof(In));
  const int64_t ho = (hi - hk) / sy + 1, wo = (wi - wk) / sx + 1, taps = int64_t(hk) * wk * ci;
  const int64_t elements = int64_t(hi) * wi * ci;
  const size_t bytes = ho * wo * co * sizeof(Out);
  instruction.source(src, elements * sizeof(In), "the operand");
  instruction.filter(filter, taps * co * sizeof(In));
  instruction.apart(dst, bytes, src, elements * sizeof(In));
  instruction.result(dst, bytes);
  const int64_t row_stride = int64_t(wi) * ci;
  product(dst, as_floats(src, elements), ho * wo,
          [&](int64_t row) { return row / wo * sy * row_stride + row % wo * sx * ci; },
          {hk, int64_t(wk) * ci, row_stride}, unpack(filter, co, taps), co);
  instruction.done(dst, bytes);
  count_macs(double(ho) * wo * taps * co, sizeof(In));
}

}  // namespace

void forget_filters(const Interval &changed) {
  kept.erase(std::remove_if(kept.begin(), kept.end(),
                            [&](const std::unique_ptr<Panels> &panels) {
                              return (panels->owner == machine.task->memory || changed.begin == 0) &&
                                     panels->place.overlaps(changed);
                            }),
             kept.end());
}

}  // namespace mm_emulator

using namespace mm_emulator;

#define MM_TENSOR(Out, In)                                                                                           \
  void __bang_matmul(Out *dst, const In *left, const In *right, int m, int k, int n, const char *file, int line) {   \
    matmul(dst, left, right, m, k, n, file, line);                                                                   \
  }                                                                                                                  \
  void __bang_conv(Out *dst, const In *src, const In *filter, int ci, int hi, int wi, int hk, int wk, int sx, int sy, \
                   int co, const char *file, int line) {                                                             \
    conv(dst, src, filter, ci, hi, wi, hk, wk, sx, sy, co, file, line);                                              \
  }
MM_TENSOR(float, float)
MM_TENSOR(float, half)
MM_TENSOR(half, half)
