// Matrix products on the tensor unit: C[batch][M][N] = epilogue(A[batch][M][K] x B[batch][K][N]).
//
// Loop nest     for batch, for block of N, for block of M, for chunk of K (see contraction.h)
// Tiles         A [tile_m][tile_k], C [tile_m][tile_n] in NRAM, B [tile_n][tile_k] in WRAM. tile_n is a multiple of 64 lanes,
//               tile_k of 64 bytes; M is free. Columns of A and rows of B beyond K are zeros.
// B             `kPacked`   reordered when the model was built (lowering/filters.py), copied GDRAM -> WRAM as it is
//               `kColumns`  [N][K], the columns of the product in rows
//               `kRows`     [K][N]
//               The last two are loaded into NRAM, (transposed,) reordered by __bang_reshape_filter and moved to WRAM when
//               the step is computed; that costs two raw and one or two arranged blocks of NRAM.
#ifndef MM_KERNELS_MATMUL_H_
#define MM_KERNELS_MATMUL_H_

#include "contraction.h"

namespace mm {

enum RightOperand { kPacked, kColumns, kRows };

struct MatmulShape {
  int m, n, k;
  int tile_m, tile_n, tile_k;
  int batch[3];       // sizes of the batch axes
  int64_t a_step[3];  // elements from one batch to the next, 0 where A is shared
  int64_t b_step[3];  // the same for B
  int64_t a_pitch;    // elements from row to row
  int64_t b_pitch;    // the same for B; not read when it is packed
  int64_t c_pitch;    // elements from row to row of C
  int stored_n;       // columns of C that are stored: n, or more where C's rows are padded
  EpilogueBytes epilogue;
};

template <typename T>
struct MatmulOperands {
  struct Place {
    int chunk, lanes;
    int batch, row, rows, column, columns, depth_begin, depth;
  };

  MatmulShape shape;
  RightOperand kind;
  const T *a;
  const T *b;
  int chunks, column_tiles, column_blocks, tiles, left_count, right_count, result_count;
  T *raw[2], *transposed, *arranged;

  __mlu_device__ void plan() {
    chunks = divide_up(shape.k, shape.tile_k);
    column_tiles = divide_up(shape.m, shape.tile_m);
    column_blocks = divide_up(shape.stored_n, shape.tile_n);
    tiles = shape.batch[0] * shape.batch[1] * shape.batch[2] * column_blocks * column_tiles;
    left_count = shape.tile_m * shape.tile_k;
    right_count = shape.tile_n * shape.tile_k;
    result_count = shape.tile_m * shape.tile_n;
  }

  __mlu_device__ void prepare(Carver &on_chip) {
    if (kind == kPacked) return;
    raw[0] = on_chip.take<T>(right_count);
    raw[1] = on_chip.take<T>(right_count);
    arranged = on_chip.take<T>(right_count);
    if (kind == kRows) transposed = on_chip.take<T>(right_count);
  }

  __mlu_device__ Place place(int tile, int chunk) const {
    Place at;
    at.chunk = chunk;
    at.batch = tile / column_tiles / column_blocks;
    at.row = tile % column_tiles * shape.tile_m;
    at.rows = minimum(shape.tile_m, shape.m - at.row);
    at.column = tile / column_tiles % column_blocks * shape.tile_n;
    at.columns = minimum(shape.tile_n, shape.stored_n - at.column);
    at.lanes = round_up(at.columns, kLanes);
    at.depth_begin = at.chunk * shape.tile_k;
    at.depth = minimum(shape.tile_k, shape.k - at.depth_begin);
    return at;
  }

  __mlu_device__ int64_t batch_offset(int batch, const int64_t *step) const {
    const int inner = batch % shape.batch[2], middle = batch / shape.batch[2] % shape.batch[1];
    return batch / shape.batch[2] / shape.batch[1] * step[0] + middle * step[1] + inner * step[2];
  }

  __mlu_device__ Tile tile_of(const Place &at) const {
    Tile tile = {(int64_t)at.batch * shape.m + at.row, 1, at.rows, 0, at.column, at.columns, at.lanes, shape.c_pitch};
    return tile;
  }

  __mlu_device__ void arrange_left(const Place &, T *, int) const {}

  __mlu_device__ void load_left(const Place &at, T *tile, int) const {
    if (at.depth < shape.tile_k) fill(tile, at.rows * shape.tile_k, (T)0);
    const T *source = a + batch_offset(at.batch, shape.a_step) + at.row * shape.a_pitch + at.depth_begin;
    load_rows(tile, source, at.rows, at.depth, shape.tile_k, shape.a_pitch);
  }

  __mlu_device__ Packed<T> packed_right(const Place &at) const {
    const int64_t offset = ((int64_t)at.column * chunks + (int64_t)at.lanes * at.chunk) * shape.tile_k;
    Packed<T> packed = {b + batch_offset(at.batch, shape.b_step) + offset, at.lanes * shape.tile_k * (int)sizeof(T)};
    return packed;
  }

  __mlu_device__ void load_right(const Place &at, T *wram, int slot) const {
    if (kind == kPacked) {
      const Packed<T> packed = packed_right(at);
      __memcpy_async(wram, packed.source, packed.bytes, GDRAM2WRAM);
      return;
    }
    const T *source = b + batch_offset(at.batch, shape.b_step);
    const int columns = minimum(at.lanes, shape.n - at.column);
    if (columns < at.lanes || at.depth < shape.tile_k) fill(raw[slot], at.lanes * shape.tile_k, (T)0);
    if (kind == kColumns) {
      source += at.column * shape.b_pitch + at.depth_begin;
      load_rows(raw[slot], source, columns, at.depth, shape.tile_k, shape.b_pitch);
    } else {
      source += at.depth_begin * shape.b_pitch + at.column;
      load_rows(raw[slot], source, at.depth, columns, at.lanes, shape.b_pitch);
    }
  }

  // Brings a block that load_right left in NRAM into WRAM, in the order of the lanes.
  __mlu_device__ void arrange_right(const Place &at, T *wram, int slot) const {
    if (kind == kPacked) return;
    T *rows = raw[slot];
    if (kind == kRows) {
      __bang_transpose(transposed, rows, shape.tile_k, at.lanes);
      rows = transposed;
    }
    __bang_reshape_filter(arranged, rows, at.lanes, 1, 1, shape.tile_k);
    __sync_compute();
    __memcpy_async(wram, arranged, at.lanes * shape.tile_k * (int)sizeof(T), NRAM2WRAM);
    __sync_move();
  }

  template <typename Result>
  __mlu_device__ void multiply(const Place &at, Result *product, T *left, T *right) const {
    __bang_matmul(product, left, right, at.rows, shape.tile_k, at.lanes);
  }
};

template <typename T>
__mlu_func__ MatmulOperands<T> matmul_operands(const MatmulShape &shape, RightOperand kind, const T *a, const T *b) {
  MatmulOperands<T> operands;
  operands.shape = shape;
  operands.kind = kind;
  operands.a = a;
  operands.b = b;
  operands.plan();
  return operands;
}

template <typename T, typename Epilogue>
__mlu_func__ void matmul(const MatmulShape &shape, RightOperand kind, const T *a, const T *b, const float *bias,
                         T *c, const Epilogue &epilogue, char *nram, char *wram) {
  const Bias added = {bias, shape.tile_n};
  contract(matmul_operands(shape, kind, a, b), added, shape.epilogue, epilogue, c, nram, wram);
}

// With weights that the cores of a cluster share; they are packed.
template <typename T, typename Epilogue>
__mlu_func__ void matmul_together(const MatmulShape &shape, const T *a, const T *b, const float *bias, T *c,
                                  const Epilogue &epilogue, char *nram, char *wram, char *sram) {
  const Bias added = {bias, shape.tile_n};
  contract_together(matmul_operands(shape, kPacked, a, b), added, shape.epilogue, epilogue, c, nram, wram, sram);
}

}  // namespace mm

#endif  // MM_KERNELS_MATMUL_H_
