// Matrix products: C[batch][M][N] = epilogue(A[batch][M][K] x B[batch][K][N]) on the tensor unit.
//
// Loop nest     for block of N, for block of M, for chunk of K; tiles of (batch, N, M) are dealt to the tasks in contiguous
//               ranges with M innermost, so a task keeps a block of B in WRAM while it walks over M.
// Tiles         A [tile_m][tile_k], C [tile_m][tile_n] in NRAM, B [tile_n][tile_k] in WRAM, each in two slots. tile_n is a
//               multiple of 64 lanes, tile_k of 64 bytes; M is free. Columns of A beyond K are zeros.
// B             `kPacked`: reordered when the model was built (lowering/filters.py), copied GDRAM -> WRAM as it is.
//               `kColumns`: rows of B are the columns of the product ([N][K]); `kRows`: [K][N]. Both are loaded into NRAM,
//               (transposed,) reordered by __bang_reshape_filter and moved to WRAM in the compute stage.
// Accumulation  one chunk of K: the tensor unit's own, float inside, rounded once. More: partial products in float, added
//               in float, rounded once after the last.
// Pipeline      load A, B and the epilogue's tensors of step i | product of step i - 1 | store of step i - 2.
#ifndef MM_KERNELS_MATMUL_H_
#define MM_KERNELS_MATMUL_H_

#include "common.h"
#include "epilogue.h"

namespace mm {

enum RightOperand { kPacked, kColumns, kRows };

struct MatmulShape {
  int m, n, k;
  int tile_m, tile_n, tile_k;
  int batch[3];               // sizes of the batch axes
  int64_t a_step[3];          // elements from one batch to the next, 0 where A is shared
  int64_t b_step[3];          // the same for B; of packed B one step is a whole packed matrix
  int64_t a_pitch;            // elements from row to row
  int64_t b_pitch;            // the same for B as it lies; not read when packed
  int64_t c_pitch;            // elements from row to row of C
  int stored_n;               // columns of C that are stored: n, or more where C's rows are padded
  int channel_bytes, tensor_bytes, scratch_bytes;  // what the epilogue wants for its largest tile
};

template <typename T, typename Epilogue>
struct Matmul {
  MatmulShape shape;
  RightOperand kind;
  const T *a;
  const T *b;
  T *c;
  Epilogue epilogue;

  int chunks, m_tiles, n_tiles, first_tile;
  T *a_tiles[2], *c_tiles[2], *b_wram[2], *b_raw[2], *b_rows, *b_ready;
  float *sum, *partial;
  char *channels[2], *tensors[2], *scratch;

  // Where a step is: which tile and which chunk of K.
  struct Place {
    int tile, chunk, n_block;
    int64_t batch_a, batch_b, batch;
    int row, rows, column, columns, lanes, depth_begin, depth;
  };

  __mlu_device__ void prepare(char *nram, char *wram) {
    chunks = divide_up(shape.k, shape.tile_k);
    m_tiles = divide_up(shape.m, shape.tile_m);
    n_tiles = divide_up(shape.stored_n, shape.tile_n);
    Carver on_chip = {nram}, weights = {wram};
    for (int slot = 0; slot < 2; ++slot) {
      a_tiles[slot] = on_chip.take<T>(shape.tile_m * shape.tile_k);
      c_tiles[slot] = on_chip.take<T>(shape.tile_m * shape.tile_n);
      b_wram[slot] = weights.take<T>(shape.tile_n * shape.tile_k);
      channels[slot] = on_chip.take<char>(shape.channel_bytes);
      tensors[slot] = on_chip.take<char>(shape.tensor_bytes);
      if (kind != kPacked) b_raw[slot] = on_chip.take<T>(shape.tile_n * shape.tile_k);
    }
    scratch = on_chip.take<char>(shape.scratch_bytes);
    if (kind == kRows) b_rows = on_chip.take<T>(shape.tile_n * shape.tile_k);
    if (kind != kPacked) b_ready = on_chip.take<T>(shape.tile_n * shape.tile_k);
    if (chunks > 1) {
      sum = on_chip.take<float>(shape.tile_m * shape.tile_n);
      partial = on_chip.take<float>(shape.tile_m * shape.tile_n);
    }
  }

  __mlu_device__ int tiles() const {
    return shape.batch[0] * shape.batch[1] * shape.batch[2] * n_tiles * m_tiles;
  }

  __mlu_device__ Place place(int step) const {
    Place at;
    at.tile = step / chunks;
    at.chunk = step % chunks;
    const int m_block = at.tile % m_tiles;
    at.n_block = at.tile / m_tiles % n_tiles;
    const int batch = at.tile / m_tiles / n_tiles;
    const int inner = batch % shape.batch[2], middle = batch / shape.batch[2] % shape.batch[1];
    const int outer = batch / shape.batch[2] / shape.batch[1];
    at.batch = batch;
    at.batch_a = outer * shape.a_step[0] + middle * shape.a_step[1] + inner * shape.a_step[2];
    at.batch_b = outer * shape.b_step[0] + middle * shape.b_step[1] + inner * shape.b_step[2];
    at.row = m_block * shape.tile_m;
    at.rows = minimum(shape.tile_m, shape.m - at.row);
    at.column = at.n_block * shape.tile_n;
    at.columns = minimum(shape.tile_n, shape.stored_n - at.column);
    at.lanes = minimum(shape.tile_n, round_up(shape.n - at.column, kLanes));
    at.depth_begin = at.chunk * shape.tile_k;
    at.depth = minimum(shape.tile_k, shape.k - at.depth_begin);
    return at;
  }

  __mlu_device__ Tile tile_of(const Place &at) const {
    Tile tile = {at.batch * shape.m + at.row, 1, at.rows, 0, at.column, at.columns, at.lanes, shape.c_pitch};
    return tile;
  }

  // The number of this step's block of B among those that the task loads: equal numbers are the same block.
  __mlu_device__ int block_number(int step) const {
    return chunks > 1 ? step - first_tile * chunks : step / m_tiles - first_tile / m_tiles;
  }

  __mlu_device__ bool is_new_block(int step) const {
    return step == first_tile * chunks || block_number(step) != block_number(step - 1);
  }

  __mlu_device__ void load(int step) {
    const Place at = place(step);
    T *a_tile = a_tiles[step % 2];
    if (at.depth < shape.tile_k) fill(a_tile, at.rows * shape.tile_k, (T)0);
    load_rows(a_tile, a + at.batch_a + at.row * shape.a_pitch + at.depth_begin, at.rows, at.depth, shape.tile_k,
              shape.a_pitch);
    if (is_new_block(step)) load_right(at, block_number(step) % 2);
    if (at.chunk == chunks - 1) {
      const Tile tile = tile_of(at);
      if (step < (first_tile + 1) * chunks || is_new_column(at)) epilogue.load_channels(channels[at.n_block % 2], tile);
      epilogue.load_tile(tensors[at.tile % 2], tile);
    }
  }

  __mlu_device__ bool is_new_column(const Place &at) const { return at.tile % m_tiles == 0; }

  __mlu_device__ void load_right(const Place &at, int slot) {
    if (kind == kPacked) {
      const int depth = round_up(shape.k, kTensorBytes / (int)sizeof(T));
      const int packed_depth = minimum(shape.tile_k, depth - at.depth_begin);
      const T *block = b + at.batch_b + (int64_t)at.column * depth + (int64_t)at.lanes * at.depth_begin;
      __memcpy_async(b_wram[slot], block, at.lanes * packed_depth * (int)sizeof(T), GDRAM2WRAM);
      return;
    }
    const int columns = minimum(at.lanes, shape.n - at.column);
    T *raw = b_raw[slot];
    const bool partial_block = columns < at.lanes || at.depth < shape.tile_k;
    if (partial_block) fill(raw, at.lanes * shape.tile_k, (T)0);
    if (kind == kColumns) {
      load_rows(raw, b + at.batch_b + at.column * shape.b_pitch + at.depth_begin, columns, at.depth, shape.tile_k,
                shape.b_pitch);
    } else {
      load_rows(raw, b + at.batch_b + at.depth_begin * shape.b_pitch + at.column, at.depth, columns, at.lanes,
                shape.b_pitch);
    }
  }

  // Brings a block of B that lies in NRAM into WRAM, reordered for the lanes.
  __mlu_device__ void arrange_right(const Place &at, int slot) {
    T *rows = b_raw[slot];
    if (kind == kRows) {
      __bang_transpose(b_rows, rows, shape.tile_k, at.lanes);
      rows = b_rows;
    }
    __bang_reshape_filter(b_ready, rows, at.lanes, 1, 1, shape.tile_k);
    __sync_compute();
    __memcpy_async(b_wram[slot], b_ready, at.lanes * shape.tile_k * (int)sizeof(T), NRAM2WRAM);
    __sync_move();
  }

  // How deep a chunk's operands lie on chip: packed blocks end with K, others are zeros up to tile_k.
  __mlu_device__ int depth_on_chip(const Place &at) const { return shape.tile_k; }

  __mlu_device__ void compute(int step) {
    const Place at = place(step);
    const int slot = block_number(step) % 2;
    if (kind != kPacked && is_new_block(step)) arrange_right(at, slot);
    T *a_tile = a_tiles[step % 2], *c_tile = c_tiles[at.tile % 2];
    if (chunks == 1) {
      __bang_matmul(c_tile, a_tile, b_wram[slot], at.rows, shape.tile_k, at.lanes);
    } else {
      float *product = at.chunk == 0 ? sum : partial;
      __bang_matmul(product, a_tile, b_wram[slot], at.rows, shape.tile_k, at.lanes);
      if (at.chunk > 0) __bang_add(sum, sum, partial, at.rows * at.lanes);
      if (at.chunk < chunks - 1) return;
      narrow(c_tile, sum, at.rows * at.lanes);
    }
    epilogue.apply(c_tile, channels[at.n_block % 2], tensors[at.tile % 2], scratch, tile_of(at));
  }

  __mlu_device__ void store(int step) {
    const Place at = place(step);
    if (at.chunk < chunks - 1) return;
    const Tile tile = tile_of(at);
    copy_box(c + tile.offset(), c_tiles[at.tile % 2], tile.box(), NRAM2GDRAM);
  }
};

template <typename T, typename Epilogue>
__mlu_func__ void matmul(const MatmulShape &shape, RightOperand kind, const T *a, const T *b, T *c,
                         const Epilogue &epilogue, char *nram, char *wram) {
  Matmul<T, Epilogue> kernel;
  kernel.shape = shape;
  kernel.kind = kind;
  kernel.a = a;
  kernel.b = b;
  kernel.c = c;
  kernel.epilogue = epilogue;
  kernel.prepare(nram, wram);
  const Share share = task_share(kernel.tiles());
  kernel.first_tile = share.begin;
  run_pipeline(kernel, share.begin * kernel.chunks, share.end * kernel.chunks);
}

}  // namespace mm

#endif  // MM_KERNELS_MATMUL_H_
