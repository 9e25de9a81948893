// What all library kernels share: integer helpers, the share of a task, row copies and the three-stage pipeline.
//
// Conventions of the library:
//   - A kernel is a struct with its shapes and pointers as members. `load(step)`, `compute(step)` and `store(step)` are
//     its three stages; `run_pipeline` overlaps them, so a step's tiles lie in one of two slots, `step % 2`.
//   - NRAM and WRAM come as plain pointers into the translation unit's arrays, 128-byte aligned; a kernel lays its tiles
//     out in them one behind the other (`Carver`). The tilings in lowering/ compute the same sums.
//   - Sizes on chip are `int`; offsets into GDRAM are `int64_t`.
#ifndef MM_KERNELS_COMMON_H_
#define MM_KERNELS_COMMON_H_

#include <bang.h>

namespace mm {

constexpr int kVectorBytes = 128;  // what the vector unit takes in a cycle; every tile starts at a multiple
constexpr int kLanes = 64;         // output lanes of the tensor unit
constexpr int kTensorBytes = 64;   // the inner axis of the tensor unit's operands is a multiple of it

__mlu_func__ int minimum(int a, int b) { return a < b ? a : b; }
__mlu_func__ int maximum(int a, int b) { return a > b ? a : b; }
__mlu_func__ int divide_up(int a, int b) { return (a + b - 1) / b; }
__mlu_func__ int round_up(int a, int b) { return divide_up(a, b) * b; }

// [begin, end): this task's contiguous share of `count` units of work, shares differ by one at most.
struct Share {
  int begin;
  int end;
};

__mlu_func__ Share share_of(int count, int part, int parts) {
  Share share;
  share.begin = (int)((int64_t)count * part / parts);
  share.end = (int)((int64_t)count * (part + 1) / parts);
  return share;
}

__mlu_func__ Share task_share(int count) { return share_of(count, taskId, taskDim); }

// Hands out pieces of an on-chip memory, one behind the other.
struct Carver {
  char *next;

  template <typename T>
  __mlu_device__ T *take(int count) {
    T *piece = (T *)next;
    next += round_up(count * (int)sizeof(T), kVectorBytes);
    return piece;
  }
};

// A box of elements in GDRAM and its place on chip: `blocks` times `rows` runs of `columns` neighbouring elements.
// Pitches are in elements: from run to run and from block to block.
struct Box {
  int blocks;
  int rows;
  int columns;
  int64_t row_pitch;         // in GDRAM
  int64_t block_pitch;       // in GDRAM
  int chip_row_pitch;
  int chip_block_pitch;
};

// One asynchronous copy of a box between GDRAM and NRAM, in the cheapest form that its pitches allow.
template <typename T>
__mlu_func__ void copy_box(T *destination, const T *source, const Box &box, mluMemcpyDirection_t direction) {
  if (box.blocks <= 0 || box.rows <= 0 || box.columns <= 0) return;
  const bool to_chip = direction == GDRAM2NRAM;
  const int size = (int)sizeof(T);
  const bool row_dense =
      box.rows == 1 || (box.row_pitch == box.columns && box.chip_row_pitch == box.columns);
  const bool block_dense = box.blocks == 1 || (box.block_pitch == box.rows * box.row_pitch &&
                                               box.chip_block_pitch == box.rows * box.chip_row_pitch);
  if (row_dense && block_dense) {
    __memcpy_async(destination, source, box.blocks * box.rows * box.columns * size, direction);
  } else if (block_dense || row_dense) {
    const int segments = row_dense ? box.blocks : box.blocks * box.rows;
    const int bytes = (row_dense ? box.rows : 1) * box.columns * size;
    const int64_t far = (row_dense ? box.block_pitch : box.row_pitch) * size;
    const int64_t near = (row_dense ? box.chip_block_pitch : box.chip_row_pitch) * size;
    __memcpy_async(destination, source, bytes, direction, to_chip ? near : far, to_chip ? far : near, segments - 1);
  } else {
    const int64_t far0 = box.row_pitch * size, far1 = box.block_pitch * size;
    const int64_t near0 = (int64_t)box.chip_row_pitch * size, near1 = (int64_t)box.chip_block_pitch * size;
    __memcpy_async(destination, source, box.columns * size, direction, to_chip ? near0 : far0, box.rows - 1,
                   to_chip ? near1 : far1, box.blocks - 1, to_chip ? far0 : near0, box.rows - 1,
                   to_chip ? far1 : near1, box.blocks - 1);
  }
}

// Rows of a matrix, from GDRAM to NRAM or back.
template <typename T>
__mlu_func__ void load_rows(T *nram, const T *gdram, int rows, int columns, int nram_pitch, int64_t gdram_pitch) {
  Box box = {1, rows, columns, gdram_pitch, 0, nram_pitch, 0};
  copy_box(nram, gdram, box, GDRAM2NRAM);
}

template <typename T>
__mlu_func__ void store_rows(T *gdram, const T *nram, int rows, int columns, int nram_pitch, int64_t gdram_pitch) {
  Box box = {1, rows, columns, gdram_pitch, 0, nram_pitch, 0};
  copy_box(gdram, nram, box, NRAM2GDRAM);
}

// Zeros in a tile, there before the copies that follow.
template <typename T>
__mlu_func__ void fill(T *tile, int count, T value) {
  __bang_write_value(tile, count, value);
  __sync_compute();
}

// Steps [begin, end) of a kernel in three overlapping stages: while step i is loaded, step i - 1 is computed and step
// i - 2 is stored. The fence at the end of each round is what makes the slots change hands.
template <typename Kernel>
__mlu_func__ void run_pipeline(Kernel &kernel, int begin, int end) {
  for (int round = begin; round < end + 2 && begin < end; ++round) {
    if (round < end) kernel.load(round);
    if (round - 1 >= begin && round - 1 < end) kernel.compute(round - 1);
    if (round - 2 >= begin) kernel.store(round - 2);
    __sync();
  }
}

// Results of float arithmetic as the stored type.
__mlu_func__ void narrow(float *destination, float *source, int count) {
  if (destination != source) __bang_add_scalar(destination, source, 0.0f, count);
}
__mlu_func__ void narrow(half *destination, float *source, int count) {
  __bang_float2half_rn(destination, source, count);
}

// Stored values for float arithmetic; float values are used where they lie.
__mlu_func__ float *widen(float *values, float *, int) { return values; }
__mlu_func__ float *widen(half *values, float *wide, int count) {
  __bang_half2float(wide, values, count);
  return wide;
}

}  // namespace mm

#endif  // MM_KERNELS_COMMON_H_
