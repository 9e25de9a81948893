// Layer and root-mean-square normalisation of the rows of a matrix [rows][columns], times a scale, plus a bias.
//
// Loop nest     for tile of rows (dealt to the tasks)
// Memories      NRAM: tiles of rows and their squares (rows.h), scale and bias in float. Rows have a pitch of whole 64
//               columns; those beyond the last are kept zero.
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
  RowTiles<T> tiles;
  int centred;
  float epsilon;

  float *scale_row, *bias_row, *real_columns;

  __mlu_device__ void prepare(char *nram, const float *scale, const float *bias) {
    Carver on_chip = {nram};
    tiles.prepare(on_chip);
    scale_row = load_row(on_chip.take<float>(tiles.pitch), scale);
    bias_row = load_row(on_chip.take<float>(tiles.pitch), bias);
    real_columns = on_chip.take<float>(tiles.pitch);
    fill(real_columns, tiles.pitch, 0.0f);
    fill(real_columns, tiles.columns, 1.0f);
  }

  __mlu_device__ float *load_row(float *row, const float *vector) const {
    if (vector == nullptr) return nullptr;
    fill(row, tiles.pitch, 0.0f);
    load_rows(row, vector, 1, tiles.columns, tiles.pitch, 0);
    return row;
  }

  __mlu_device__ void load(int step) { tiles.load(step, (T)0); }

  __mlu_device__ void compute(int step) {
    const int count = tiles.count(step), pitch = tiles.pitch, size = count * pitch;
    const float columns = (float)tiles.columns;
    float *values = tiles.values(step), *squares = tiles.made;
    if (centred) {
      tiles.template fold<SumOfRows>(values, step);
      for (int row = 0; row < count; ++row) {
        __bang_sub_scalar(values + row * pitch, values + row * pitch, tiles.statistics[row] / columns, pitch);
      }
      if (tiles.columns < pitch) __bang_cycle_mul(values, values, real_columns, size, pitch);
    }
    __bang_mul(squares, values, values, size);
    tiles.template fold<SumOfRows>(squares, step);
    for (int row = 0; row < count; ++row) {
      const float deviation = sqrtf(tiles.statistics[row] / columns + epsilon);
      __bang_mul_scalar(values + row * pitch, values + row * pitch, 1.0f / deviation, pitch);
    }
    if (scale_row != nullptr) __bang_cycle_mul(values, values, scale_row, size, pitch);
    if (bias_row != nullptr) __bang_cycle_add(values, values, bias_row, size, pitch);
    tiles.finish(step, values);
  }

  __mlu_device__ void store(int step) { tiles.store(step); }
};

template <typename T>
__mlu_func__ void normalize(const NormalizationShape &shape, const T *x, const float *scale, const float *bias, T *y,
                            char *nram) {
  Normalization<T> kernel = {{shape.rows, shape.columns, shape.tile_r, x, y}, shape.centred, shape.epsilon};
  const Share share = kernel.tiles.share();
  if (share.begin == share.end) return;
  kernel.prepare(nram, scale, bias);
  run_pipeline(kernel, share.begin, share.end);
}

}  // namespace mm

#endif  // MM_KERNELS_NORMALIZATION_H_
