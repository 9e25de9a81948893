// Layer and root-mean-square normalisation of the rows of a matrix [rows][columns], times a scale, plus a bias.
//
// Loop nest     for tile of rows (dealt to the tasks)
// Memories      NRAM: rows in two slots as they are stored, results in two slots, rows and their squares in float, scale and
//               bias in float, statistics. Rows have a pitch of whole 64 columns; those beyond the last are kept zero.
// Precision     all in float, rounded once. The variance is that of the differences from the mean.
// Pipeline      load | mean, differences, variance, quotients, scale and bias | store.
#ifndef MM_KERNELS_NORMALIZATION_H_
#define MM_KERNELS_NORMALIZATION_H_

#include "rows.h"

namespace mm {

struct NormalizationShape {
  int rows, columns;
  int tile_r;
  int centred;  // subtract the mean: layer normalisation
  float epsilon;
};

template <typename T>
struct Normalization {
  NormalizationShape shape;
  const T *x;
  const float *scale;  // [columns]; null: none
  const float *bias;
  T *y;

  int pitch;
  T *inputs[2], *results[2];
  float *wide, *squares, *statistics, *room, *scale_row, *bias_row, *real_columns;

  __mlu_device__ void prepare(char *nram) {
    pitch = round_up(shape.columns, kFoldColumns);
    Carver on_chip = {nram};
    for (int slot = 0; slot < 2; ++slot) {
      inputs[slot] = on_chip.take<T>(shape.tile_r * pitch);
      results[slot] = on_chip.take<T>(shape.tile_r * pitch);
    }
    if (sizeof(T) < sizeof(float)) wide = on_chip.take<float>(shape.tile_r * pitch);
    squares = on_chip.take<float>(shape.tile_r * pitch);
    statistics = on_chip.take<float>(shape.tile_r);
    room = on_chip.take<float>(fold_room(shape.tile_r));
    scale_row = load_row(on_chip.take<float>(pitch), scale);
    bias_row = load_row(on_chip.take<float>(pitch), bias);
    real_columns = on_chip.take<float>(pitch);
    fill(real_columns, pitch, 0.0f);
    fill(real_columns, shape.columns, 1.0f);
  }

  __mlu_device__ float *load_row(float *row, const float *vector) const {
    if (vector == nullptr) return nullptr;
    fill(row, pitch, 0.0f);
    load_rows(row, vector, 1, shape.columns, pitch, 0);
    return row;
  }

  __mlu_device__ int rows(int step) const { return minimum(shape.tile_r, shape.rows - step * shape.tile_r); }

  __mlu_device__ void load(int step) {
    T *tile = inputs[step % 2];
    if (shape.columns < pitch) fill(tile, rows(step) * pitch, (T)0);
    load_rows(tile, x + (int64_t)step * shape.tile_r * shape.columns, rows(step), shape.columns, pitch, shape.columns);
  }

  __mlu_device__ void compute(int step) {
    const int count = rows(step), size = count * pitch;
    float *values = widen(inputs[step % 2], wide, size);
    if (shape.centred) {
      fold_rows<SumOfRows>(statistics, values, count, pitch, room);
      __sync_compute();
      for (int row = 0; row < count; ++row) {
        const float mean = statistics[row] / (float)shape.columns;
        __bang_sub_scalar(values + row * pitch, values + row * pitch, mean, pitch);
      }
      if (shape.columns < pitch) __bang_cycle_mul(values, values, real_columns, size, pitch);
    }
    __bang_mul(squares, values, values, size);
    fold_rows<SumOfRows>(statistics, squares, count, pitch, room);
    __sync_compute();
    for (int row = 0; row < count; ++row) {
      const float deviation = sqrtf(statistics[row] / (float)shape.columns + shape.epsilon);
      __bang_mul_scalar(values + row * pitch, values + row * pitch, 1.0f / deviation, pitch);
    }
    if (scale_row != nullptr) __bang_cycle_mul(values, values, scale_row, size, pitch);
    if (bias_row != nullptr) __bang_cycle_add(values, values, bias_row, size, pitch);
    narrow(results[step % 2], values, size);
  }

  __mlu_device__ void store(int step) {
    store_rows(y + (int64_t)step * shape.tile_r * shape.columns, results[step % 2], rows(step), shape.columns, pitch,
               shape.columns);
  }
};

template <typename T>
__mlu_func__ void normalize(const NormalizationShape &shape, const T *x, const float *scale, const float *bias, T *y,
                            char *nram) {
  Normalization<T> kernel;
  kernel.shape = shape;
  kernel.x = x;
  kernel.scale = scale;
  kernel.bias = bias;
  kernel.y = y;
  const Share share = task_share(divide_up(shape.rows, shape.tile_r));
  if (share.begin == share.end) return;
  kernel.prepare(nram);
  run_pipeline(kernel, share.begin, share.end);
}

}  // namespace mm

#endif  // MM_KERNELS_NORMALIZATION_H_
