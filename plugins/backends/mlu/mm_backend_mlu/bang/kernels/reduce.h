// Axes folded by the vector unit: Y[outer][inner] = fold over k of X[outer][k][inner], in float.
//
// Loop nest     for outer, for tile of inner (dealt to the tasks), for chunk of the folded axis.
// Columns       inner > 1: a tile [chunk][tile_inner] is folded by halves: its lower rows with its upper ones, until one is
//               left, which is folded into the sum.
// Rows          inner = 1: a tile [rows][chunk] is folded by halves along its rows down to 64 columns; what is left of all
//               chunks is turned round and folded by halves again, 64 rows of results at once.
// Memories      NRAM: loaded tiles, two slots; the tile in float, the sum, the results
// Padding       lanes that no element fills hold the fold's neutral element.
#ifndef MM_KERNELS_REDUCE_H_
#define MM_KERNELS_REDUCE_H_

#include "common.h"

namespace mm {

struct FoldSum {
  __mlu_device__ static float neutral() { return 0.0f; }
  __mlu_device__ static void fold(float *dst, float *a, float *b, int n) { __bang_add(dst, a, b, n); }
};
struct FoldProduct {
  __mlu_device__ static float neutral() { return 1.0f; }
  __mlu_device__ static void fold(float *dst, float *a, float *b, int n) { __bang_mul(dst, a, b, n); }
};
struct FoldLargest {
  __mlu_device__ static float neutral() { return -INFINITY; }
  __mlu_device__ static void fold(float *dst, float *a, float *b, int n) { __bang_maxequal(dst, a, b, n); }
};
struct FoldSmallest {
  __mlu_device__ static float neutral() { return INFINITY; }
  __mlu_device__ static void fold(float *dst, float *a, float *b, int n) { __bang_minequal(dst, a, b, n); }
};

struct ReduceShape {
  int outer, length, inner;
  int64_t x_outer;         // elements of X from one outer index to the next
  int64_t x_pitch;         // elements of X from one folded element to the next
  int64_t y_outer;         // elements of Y from one outer index to the next
  int tile_length;         // folded elements in a tile; rows: a multiple of 64
  int tile_inner;          // columns: results of a tile, a multiple of 64; rows: 64 rows of X
  float scale;             // what results are multiplied by
};

// Rows of a tile folded until one is left, in the first row.
template <typename Fold>
__mlu_func__ void fold_by_halves(float *tile, int rows, int pitch) {
  while (rows > 1) {
    const int half = rows / 2;
    Fold::fold(tile, tile, tile + (rows - half) * pitch, half * pitch);
    rows -= half;
  }
}

template <typename T>
struct ReduceTiles {
  ReduceShape shape;
  T *loaded[2], *stored;
  float *wide, *sum;

  __mlu_device__ void carve(char *nram, int tile_elements, int sums) {
    Carver on_chip = {nram};
    for (int slot = 0; slot < 2; ++slot) loaded[slot] = on_chip.take<T>(tile_elements);
    wide = on_chip.take<float>(tile_elements);
    sum = on_chip.take<float>(sums);
    stored = on_chip.take<T>(shape.tile_inner);
  }

  // Results as they are stored, from the sum on.
  __mlu_device__ void finish(float *values) {
    if (shape.scale != 1.0f) __bang_mul_scalar(values, values, shape.scale, shape.tile_inner);
    narrow(stored, values, shape.tile_inner);
    __sync_compute();
  }

  // A loaded tile in float that may be written over.
  __mlu_device__ float *widened(int slot, int count) { return widen(loaded[slot], wide, count); }
};

template <typename T, typename Fold>
__mlu_func__ void reduce_columns(const ReduceShape &shape, const T *x, T *y, char *nram) {
  ReduceTiles<T> tiles = {shape};
  tiles.carve(nram, shape.tile_length * shape.tile_inner, shape.tile_inner);
  const int inner_tiles = divide_up(shape.inner, shape.tile_inner), chunks = divide_up(shape.length, shape.tile_length);
  const Share share = task_share(shape.outer * inner_tiles);
  const int pitch = shape.tile_inner;
  for (int step = share.begin; step < share.end; ++step) {
    const int outer = step / inner_tiles, column = step % inner_tiles * pitch;
    const int columns = minimum(pitch, shape.inner - column);
    const T *from = x + outer * shape.x_outer + column;
    if (columns < pitch) fill((char *)tiles.loaded[0], 2 * shape.tile_length * pitch * (int)sizeof(T), (char)0);
    __bang_write_value(tiles.sum, pitch, Fold::neutral());
    for (int chunk = 0; chunk <= chunks; ++chunk) {
      if (chunk < chunks) {
        const int first = chunk * shape.tile_length, rows = minimum(shape.tile_length, shape.length - first);
        load_rows(tiles.loaded[chunk % 2], from + first * shape.x_pitch, rows, columns, pitch, shape.x_pitch);
      }
      if (chunk > 0) {
        const int rows = minimum(shape.tile_length, shape.length - (chunk - 1) * shape.tile_length);
        float *tile = tiles.widened((chunk - 1) % 2, rows * pitch);
        fold_by_halves<Fold>(tile, rows, pitch);
        Fold::fold(tiles.sum, tiles.sum, tile, pitch);
      }
      __sync();
    }
    tiles.finish(tiles.sum);
    store_rows(y + outer * shape.y_outer + column, tiles.stored, 1, columns, columns, 0);
    __sync_io();
  }
}

template <typename T, typename Fold>
__mlu_func__ void reduce_rows(const ReduceShape &shape, const T *x, T *y, char *nram) {
  ReduceTiles<T> tiles = {shape};
  const int lines = shape.tile_inner, pitch = shape.tile_length;
  tiles.carve(nram, lines * pitch, 2 * lines * kLanes);
  float *turned = tiles.sum + lines * kLanes;
  const int chunks = divide_up(shape.length, pitch);
  const Share share = task_share(divide_up(shape.outer, lines));
  for (int step = share.begin; step < share.end; ++step) {
    const int line = step * lines, rows = minimum(lines, shape.outer - line);
    __bang_write_value(tiles.sum, lines * kLanes, Fold::neutral());
    for (int chunk = 0; chunk <= chunks; ++chunk) {
      if (chunk < chunks) {
        const int first = chunk * pitch, columns = minimum(pitch, shape.length - first);
        if (columns < pitch) fill(tiles.loaded[chunk % 2], rows * pitch, (T)Fold::neutral());
        load_rows(tiles.loaded[chunk % 2], x + line * shape.x_outer + first, rows, columns, pitch, shape.x_outer);
      }
      if (chunk > 0) {
        float *tile = tiles.widened((chunk - 1) % 2, rows * pitch);
        for (int row = 0; row < rows; ++row) {
          fold_by_halves<Fold>(tile + row * pitch, pitch / kLanes, kLanes);
          Fold::fold(tiles.sum + row * kLanes, tiles.sum + row * kLanes, tile + row * pitch, kLanes);
        }
      }
      __sync();
    }
    __bang_transpose(turned, tiles.sum, lines, kLanes);
    fold_by_halves<Fold>(turned, kLanes, lines);
    tiles.finish(turned);
    store_rows(y + line * shape.y_outer, tiles.stored, shape.y_outer == 1 ? 1 : rows, shape.y_outer == 1 ? rows : 1,
               shape.y_outer == 1 ? rows : 1, shape.y_outer);
    __sync_io();
  }
}

}  // namespace mm

#endif  // MM_KERNELS_REDUCE_H_
