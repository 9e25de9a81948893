// Rows picked by index: Y[outer][i] = X[outer][indices[i]], rows of any number of bytes.
//
// Loop nest     for outer, for tile of indices, for piece of the rows (dealt to the tasks), for index
// Indices       negative ones count from the end. The operator has no result for one that is out of range; here it picks the
//               nearest row, so that no foreign memory is read.
// Memories      NRAM: indices and picked rows, two slots each
// Pipeline      load the tile's indices | read them and copy the rows | store. The copies of the middle stage are waited for
//               at the end of its round, like those of the first.
#ifndef MM_KERNELS_GATHER_H_
#define MM_KERNELS_GATHER_H_

#include "common.h"

namespace mm {

struct GatherShape {
  int outer, size, count;  // size: rows of X for each outer index
  int row_bytes;
  int tile_i;              // indices in a tile
  int tile_bytes;          // bytes of a row in a tile
};

template <typename Index>
struct Gather {
  GatherShape shape;
  const char *x;
  const Index *indices;
  char *y;

  int pieces, index_tiles;
  Index *picked[2];
  char *rows[2];

  struct Place {
    int outer, index, count, byte, bytes;
  };

  __mlu_device__ void prepare(char *nram) {
    pieces = divide_up(shape.row_bytes, shape.tile_bytes);
    index_tiles = divide_up(shape.count, shape.tile_i);
    Carver on_chip = {nram};
    for (int slot = 0; slot < 2; ++slot) {
      picked[slot] = on_chip.take<Index>(shape.tile_i);
      rows[slot] = on_chip.take<char>(shape.tile_i * shape.tile_bytes);
    }
  }

  __mlu_device__ Place place(int step) const {
    Place at;
    at.byte = step % pieces * shape.tile_bytes;
    at.bytes = minimum(shape.tile_bytes, shape.row_bytes - at.byte);
    at.index = step / pieces % index_tiles * shape.tile_i;
    at.count = minimum(shape.tile_i, shape.count - at.index);
    at.outer = step / pieces / index_tiles;
    return at;
  }

  __mlu_device__ void load(int step) {
    const Place at = place(step);
    load_rows(picked[step % 2], indices + at.index, 1, at.count, at.count, 0);
  }

  __mlu_device__ void compute(int step) {
    const Place at = place(step);
    for (int i = 0; i < at.count; ++i) {
      int64_t index = (int64_t)picked[step % 2][i];
      if (index < 0) index += shape.size;
      index = index < 0 ? 0 : index >= shape.size ? shape.size - 1 : index;
      const int64_t row = (int64_t)at.outer * shape.size + index;
      load_rows(rows[step % 2] + i * at.bytes, x + row * shape.row_bytes + at.byte, 1, at.bytes, at.bytes, 0);
    }
  }

  __mlu_device__ void store(int step) {
    const Place at = place(step);
    const int64_t row = (int64_t)at.outer * shape.count + at.index;
    store_rows(y + row * shape.row_bytes + at.byte, rows[step % 2], at.count, at.bytes, at.bytes, shape.row_bytes);
  }
};

template <typename Index>
__mlu_func__ void gather(const GatherShape &shape, const void *x, const Index *indices, void *y, char *nram) {
  Gather<Index> kernel;
  kernel.shape = shape;
  kernel.x = (const char *)x;
  kernel.indices = indices;
  kernel.y = (char *)y;
  kernel.prepare(nram);
  const Share share = task_share(shape.outer * kernel.index_tiles * kernel.pieces);
  run_pipeline(kernel, share.begin, share.end);
}

}  // namespace mm

#endif  // MM_KERNELS_GATHER_H_
