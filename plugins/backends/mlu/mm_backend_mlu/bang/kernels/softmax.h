// Softmax, and its logarithm, over the rows of a matrix [rows][columns].
//
// Loop nest     for tile of rows (dealt to the tasks)
// Memories      NRAM: rows in two slots as they are stored, results in two slots, rows and exponentials in float, statistics.
//               Rows have a pitch of whole 64 columns; those beyond the last hold minus infinity, whose exponential is 0.
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
  SoftmaxShape shape;
  const T *x;
  T *y;

  int pitch;
  T *inputs[2], *results[2];
  float *wide, *powers, *statistics, *room;

  __mlu_device__ void prepare(char *nram) {
    pitch = round_up(shape.columns, kFoldColumns);
    Carver on_chip = {nram};
    for (int slot = 0; slot < 2; ++slot) {
      inputs[slot] = on_chip.take<T>(shape.tile_r * pitch);
      results[slot] = on_chip.take<T>(shape.tile_r * pitch);
    }
    if (sizeof(T) < sizeof(float)) wide = on_chip.take<float>(shape.tile_r * pitch);
    powers = on_chip.take<float>(shape.tile_r * pitch);
    statistics = on_chip.take<float>(shape.tile_r);
    room = on_chip.take<float>(fold_room(shape.tile_r));
  }

  __mlu_device__ int rows(int step) const { return minimum(shape.tile_r, shape.rows - step * shape.tile_r); }

  __mlu_device__ void load(int step) {
    T *tile = inputs[step % 2];
    if (shape.columns < pitch) fill(tile, rows(step) * pitch, (T)(-INFINITY));
    load_rows(tile, x + (int64_t)step * shape.tile_r * shape.columns, rows(step), shape.columns, pitch, shape.columns);
  }

  __mlu_device__ void compute(int step) {
    const int count = rows(step);
    float *values = widen(inputs[step % 2], wide, count * pitch);
    fold_rows<MaximumOfRows>(statistics, values, count, pitch, room);
    __sync_compute();
    for (int row = 0; row < count; ++row) {
      __bang_sub_scalar(values + row * pitch, values + row * pitch, statistics[row], pitch);
    }
    __bang_active_exphp(powers, values, count * pitch);
    fold_rows<SumOfRows>(statistics, powers, count, pitch, room);
    __sync_compute();
    for (int row = 0; row < count; ++row) {
      if (shape.logarithm) {
        __bang_sub_scalar(powers + row * pitch, values + row * pitch, logf(statistics[row]), pitch);
      } else {
        __bang_mul_scalar(powers + row * pitch, powers + row * pitch, 1.0f / statistics[row], pitch);
      }
    }
    narrow(results[step % 2], powers, count * pitch);
  }

  __mlu_device__ void store(int step) {
    store_rows(y + (int64_t)step * shape.tile_r * shape.columns, results[step % 2], rows(step), shape.columns, pitch,
               shape.columns);
  }
};

template <typename T>
__mlu_func__ void softmax(const SoftmaxShape &shape, const T *x, T *y, char *nram) {
  Softmax<T> kernel;
  kernel.shape = shape;
  kernel.x = x;
  kernel.y = y;
  kernel.prepare(nram);
  const Share share = task_share(divide_up(shape.rows, shape.tile_r));
  run_pipeline(kernel, share.begin, share.end);
}

}  // namespace mm

#endif  // MM_KERNELS_SOFTMAX_H_
