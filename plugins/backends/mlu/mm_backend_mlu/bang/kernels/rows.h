// Rows of numbers in NRAM and what one number for each row is made of: sums and maxima.
//
// A tile of rows is [count][pitch] floats with pitch a multiple of 64. Its rows are folded in three instructions for all of
// them: to 64 columns, turned round, and to one.
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

}  // namespace mm

#endif  // MM_KERNELS_ROWS_H_
