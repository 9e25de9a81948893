// Rows of numbers in NRAM, one number for each of them, and what kernels share that work on the rows of a matrix.
//
// A tile of rows is [count][pitch] floats with pitch a multiple of 64. Its rows are folded to sums or maxima in three
// instructions for all of them: to 64 columns, turned round, and to one.
#ifndef MM_KERNELS_ROWS_H_
#define MM_KERNELS_ROWS_H_

#include "common.h"

namespace mm {

constexpr int kFoldColumns = 64;

struct SumOfRows {
  static __mlu_device__ void fold(float *out, float *in, int c, int h, int w, int kh, int kw) {
    __bang_sumpool(out, in, c, h, w, kh, kw, kw, kh);
  }
};
struct MaximumOfRows {
  static __mlu_device__ void fold(float *out, float *in, int c, int h, int w, int kh, int kw) {
    __bang_maxpool(out, in, c, h, w, kh, kw, kw, kh);
  }
};

// Room for `fold_rows` beside the tile, in floats.
__mlu_func__ int fold_room(int rows) { return 2 * rows * kFoldColumns; }

// out[row] = the sum, or the maximum, of a row.
template <typename Fold>
__mlu_func__ void fold_rows(float *out, float *tile, int rows, int pitch, float *room) {
  float *columns = room, *turned = room + rows * kFoldColumns;
  if (pitch > kFoldColumns) {
    Fold::fold(columns, tile, kFoldColumns, rows, pitch / kFoldColumns, 1, pitch / kFoldColumns);
  } else {
    columns = tile;
  }
  __bang_transpose(turned, columns, rows, kFoldColumns);
  Fold::fold(out, turned, rows, kFoldColumns, 1, kFoldColumns, 1);
}

// The rows of a matrix [rows][columns], tile by tile: loaded, worked on in float, and stored as they came. lowering/
// normalization.py computes the sum of what `prepare` takes.
template <typename T>
struct RowTiles {
  int rows, columns;
  int tile_r;
  const T *x;
  T *y;

  int pitch;
  T *inputs[2], *results[2];
  float *wide, *made, *statistics, *room;  // rows in float, what is made of them, a number for each row, room to fold

  __mlu_device__ void prepare(Carver &on_chip) {
    pitch = round_up(columns, kFoldColumns);
    for (int slot = 0; slot < 2; ++slot) {
      inputs[slot] = on_chip.take<T>(tile_r * pitch);
      results[slot] = on_chip.take<T>(tile_r * pitch);
    }
    if (sizeof(T) < sizeof(float)) wide = on_chip.take<float>(tile_r * pitch);
    made = on_chip.take<float>(tile_r * pitch);
    statistics = on_chip.take<float>(tile_r);
    room = on_chip.take<float>(fold_room(tile_r));
  }

  __mlu_device__ Share share() const { return task_share(divide_up(rows, tile_r)); }
  __mlu_device__ int count(int step) const { return minimum(tile_r, rows - step * tile_r); }

  // Columns beyond the last are `outside`.
  __mlu_device__ void load(int step, T outside) {
    T *tile = inputs[step % 2];
    if (columns < pitch) fill(tile, count(step) * pitch, outside);
    load_rows(tile, x + (int64_t)step * tile_r * columns, count(step), columns, pitch, columns);
  }

  // The rows of a step in float; they may be written over.
  __mlu_device__ float *values(int step) { return widen(inputs[step % 2], wide, count(step) * pitch); }

  // Sums or maxima of the rows of a tile, for the scalar unit to read.
  template <typename Fold>
  __mlu_device__ void fold(float *tile, int step) {
    fold_rows<Fold>(statistics, tile, count(step), pitch, room);
    __sync_compute();
  }

  // What the step stores.
  __mlu_device__ void finish(int step, float *tile) { narrow(results[step % 2], tile, count(step) * pitch); }

  __mlu_device__ void store(int step) {
    store_rows(y + (int64_t)step * tile_r * columns, results[step % 2], count(step), columns, pitch, columns);
  }
};

}  // namespace mm

#endif  // MM_KERNELS_ROWS_H_
