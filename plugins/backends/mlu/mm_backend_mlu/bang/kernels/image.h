// Patches of channels-last images: what a window sees, copied on chip with everything outside of the image filled in.
#ifndef MM_KERNELS_IMAGE_H_
#define MM_KERNELS_IMAGE_H_

#include "common.h"

namespace mm {

// Pixels (top + i * step_y, left + j * step_x) for i < rows, j < columns, which may lie outside of the image, of `depth`
// channels each, `chip_depth` channels from pixel to pixel on chip.
struct Patch {
  int top, left;
  int step_y, step_x;
  int rows, columns;
  int depth, chip_depth;
};

// Which of `count` places first, first + step, ... lie in [0, size).
__mlu_func__ Share inside(int first, int step, int count, int size) {
  Share range;
  range.begin = first < 0 ? divide_up(-first, step) : 0;
  range.end = minimum(count, divide_up(maximum(0, size - first), step));
  return range;
}

// Copies what a patch has of the image. `image` points at the first of the patch's channels in pixel (0, 0).
template <typename T>
__mlu_func__ void copy_patch(T *chip, const T *image, int height, int width, int64_t pitch, const Patch &patch) {
  const Share rows = inside(patch.top, patch.step_y, patch.rows, height);
  const Share columns = inside(patch.left, patch.step_x, patch.columns, width);
  const int row_count = rows.end - rows.begin, column_count = columns.end - columns.begin;
  if (row_count <= 0 || column_count <= 0) return;
  const int64_t row = patch.top + rows.begin * patch.step_y, column = patch.left + columns.begin * patch.step_x;
  Box box = {row_count, column_count, patch.depth, patch.step_x * pitch, (int64_t)patch.step_y * width * pitch,
             patch.chip_depth, patch.columns * patch.chip_depth};
  T *first = chip + (rows.begin * patch.columns + columns.begin) * patch.chip_depth;
  copy_box(first, image + (row * width + column) * pitch, box, GDRAM2NRAM);
}

// Copies a patch. What lies outside of the image, and channels beyond `depth`, are `outside`.
template <typename T>
__mlu_func__ void load_patch(T *chip, const T *image, int height, int width, int64_t pitch, const Patch &patch, T outside) {
  const Share rows = inside(patch.top, patch.step_y, patch.rows, height);
  const Share columns = inside(patch.left, patch.step_x, patch.columns, width);
  const bool is_inside = rows.end - rows.begin == patch.rows && columns.end - columns.begin == patch.columns;
  if (!is_inside || patch.depth < patch.chip_depth) fill(chip, patch.rows * patch.columns * patch.chip_depth, outside);
  copy_patch(chip, image, height, width, pitch, patch);
}

}  // namespace mm

#endif  // MM_KERNELS_IMAGE_H_
