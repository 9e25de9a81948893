// Matrices turned round: Y[batch][column][row] = X[batch][row][column]. With rows = channels and columns = pixels this
// brings images from channels first to channels last, where Y's rows are padded with zeros, and the other way back.
//
// Loop nest     for batch, for tile of rows, for tile of columns (dealt to the tasks)
// Memories      NRAM: a tile and its transpose, two slots each
// Pipeline      load (runs of tile_c elements) | __bang_transpose | store (runs of tile_r elements).
#ifndef MM_KERNELS_TRANSPOSE_H_
#define MM_KERNELS_TRANSPOSE_H_

#include "common.h"

namespace mm {

struct TransposeShape {
  int batch, rows, columns;
  int64_t x_pitch;  // elements from row to row of X
  int64_t y_pitch;  // elements from row to row of Y; those beyond `rows` are stored as zeros
  int tile_r, tile_c;
};

template <typename T>
struct Transpose {
  TransposeShape shape;
  const T *x;
  T *y;

  int row_tiles, column_tiles;
  T *inputs[2], *results[2];

  // A tile: rows of X that exist, rows that are stored, columns.
  struct Place {
    int batch, row, rows, stored, column, columns;
  };

  __mlu_device__ void prepare(char *nram) {
    row_tiles = divide_up((int)shape.y_pitch, shape.tile_r);
    column_tiles = divide_up(shape.columns, shape.tile_c);
    Carver on_chip = {nram};
    for (int slot = 0; slot < 2; ++slot) {
      inputs[slot] = on_chip.take<T>(shape.tile_r * shape.tile_c);
      results[slot] = on_chip.take<T>(shape.tile_r * shape.tile_c);
    }
  }

  __mlu_device__ Place place(int step) const {
    Place at;
    at.column = step % column_tiles * shape.tile_c;
    at.row = step / column_tiles % row_tiles * shape.tile_r;
    at.batch = step / column_tiles / row_tiles;
    at.columns = minimum(shape.tile_c, shape.columns - at.column);
    at.stored = minimum(shape.tile_r, (int)shape.y_pitch - at.row);
    at.rows = maximum(0, minimum(at.stored, shape.rows - at.row));
    return at;
  }

  __mlu_device__ void load(int step) {
    const Place at = place(step);
    T *tile = inputs[step % 2];
    if (at.rows < at.stored) fill(tile, at.stored * at.columns, (T)0);
    const int64_t row = (int64_t)at.batch * shape.rows + at.row;
    load_rows(tile, x + row * shape.x_pitch + at.column, at.rows, at.columns, at.columns, shape.x_pitch);
  }

  __mlu_device__ void compute(int step) {
    const Place at = place(step);
    __bang_transpose(results[step % 2], inputs[step % 2], at.stored, at.columns);
  }

  __mlu_device__ void store(int step) {
    const Place at = place(step);
    const int64_t row = (int64_t)at.batch * shape.columns + at.column;
    store_rows(y + row * shape.y_pitch + at.row, results[step % 2], at.columns, at.stored, at.stored, shape.y_pitch);
  }
};

template <typename T>
__mlu_func__ void transpose(const TransposeShape &shape, const T *x, T *y, char *nram) {
  Transpose<T> kernel;
  kernel.shape = shape;
  kernel.x = x;
  kernel.y = y;
  kernel.prepare(nram);
  const Share share = task_share(shape.batch * kernel.row_tiles * kernel.column_tiles);
  run_pipeline(kernel, share.begin, share.end);
}

}  // namespace mm

#endif  // MM_KERNELS_TRANSPOSE_H_
