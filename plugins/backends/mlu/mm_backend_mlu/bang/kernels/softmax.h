// Softmax, and its logarithm, over the rows of a matrix [rows][columns].
//
// Loop nest     for tile of rows (dealt to the tasks)
// Memories      NRAM: tiles of rows and their exponentials (rows.h). Rows have a pitch of whole 64 columns; those beyond the
//               last hold minus infinity, whose exponential is 0.
// Precision     all in float, rounded once.
// Pipeline      load | maxima, differences, exponentials, sums, quotients | store.
#ifndef MM_KERNELS_SOFTMAX_H_
#define MM_KERNELS_SOFTMAX_H_

#include "rows.h"

namespace mm {

struct SoftmaxShape {
  int rows, columns;
  int tile_r;
  int logarithm;  // the logarithm of the softmax
};

template <typename T>
struct Softmax {
  RowTiles<T> tiles;
  int logarithm;

  __mlu_device__ void load(int step) { tiles.load(step, (T)(-INFINITY)); }

  __mlu_device__ void compute(int step) {
    const int count = tiles.count(step), pitch = tiles.pitch;
    float *values = tiles.values(step), *powers = tiles.made;
    tiles.template fold<MaximumOfRows>(values, step);
    for (int row = 0; row < count; ++row) {
      __bang_sub_scalar(values + row * pitch, values + row * pitch, tiles.statistics[row], pitch);
    }
    __bang_active_exphp(powers, values, count * pitch);
    tiles.template fold<SumOfRows>(powers, step);
    for (int row = 0; row < count; ++row) {
      const float sum = tiles.statistics[row];
      if (logarithm) {
        __bang_sub_scalar(powers + row * pitch, values + row * pitch, logf(sum), pitch);
      } else {
        __bang_mul_scalar(powers + row * pitch, powers + row * pitch, 1.0f / sum, pitch);
      }
    }
    tiles.finish(step, powers);
  }

  __mlu_device__ void store(int step) { tiles.store(step); }
};

template <typename T>
__mlu_func__ void softmax(const SoftmaxShape &shape, const T *x, T *y, char *nram) {
  Softmax<T> kernel = {{shape.rows, shape.columns, shape.tile_r, x, y}, shape.logarithm};
  Carver on_chip = {nram};
  kernel.tiles.prepare(on_chip);
  const Share share = kernel.tiles.share();
  run_pipeline(kernel, share.begin, share.end);
}

}  // namespace mm

#endif  // MM_KERNELS_SOFTMAX_H_
