// What matrix products and convolutions share: the walk over tiles and chunks, accumulation, epilogue and pipeline.
//
// A contraction multiplies tiles of a left operand in NRAM (rows of a matrix, or a patch of an image) with blocks of a
// right operand in WRAM (weights). Its results form tiles, and the sum over the inner axis is cut into chunks where
// operands would not fit otherwise: step = tile * chunks + chunk. Tiles that need the same block of the right operand are
// neighbours (a "column"), and tasks take contiguous ranges of tiles, so with one chunk a block is loaded once for a column.
//
// Memories      NRAM  left operand and result, two slots each; epilogue's operands, two slots each; with several chunks
//                     a sum and a partial product in float
//               WRAM  two blocks of the right operand
// Accumulation  one chunk: the tensor unit's own, float inside, rounded once. More: products in float, added in float,
//               rounded once after the last.
// Pipeline      load operands of step i | multiply step i - 1 | store the tile that step i - 2 finished.
//
// `Operands` says what is multiplied (see matmul.h, conv.h): the struct `Place` with `tile`, `chunk`, `lanes` and what it
// needs itself; `place(step)`, `tile_of(place)`, `load_left`, `load_right`, `arrange_right`, `multiply`; the counts
// `chunks`, `column_tiles` (tiles in a column) and `tiles`; and the largest numbers of elements of a tile of each operand.
#ifndef MM_KERNELS_CONTRACTION_H_
#define MM_KERNELS_CONTRACTION_H_

#include "common.h"
#include "epilogue.h"

namespace mm {

// What the epilogue wants for the largest tile, in bytes.
struct EpilogueBytes {
  int channels, tensors, scratch;
};

template <typename T, typename Operands, typename Epilogue>
struct Contraction {
  typedef typename Operands::Place Place;

  Operands operands;
  Epilogue epilogue;
  T *result;
  int first_tile;

  T *left[2], *results[2], *weights[2];
  char *channels[2], *tensors[2], *scratch;
  float *sum, *partial;

  __mlu_device__ void prepare(const EpilogueBytes &bytes, char *nram, char *wram) {
    Carver on_chip = {nram}, in_wram = {wram};
    for (int slot = 0; slot < 2; ++slot) {
      left[slot] = on_chip.take<T>(operands.left_count);
      results[slot] = on_chip.take<T>(operands.result_count);
      channels[slot] = on_chip.take<char>(bytes.channels);
      tensors[slot] = on_chip.take<char>(bytes.tensors);
      weights[slot] = in_wram.take<T>(operands.right_count);
    }
    scratch = on_chip.take<char>(bytes.scratch);
    if (operands.chunks > 1) {
      sum = on_chip.take<float>(operands.result_count);
      partial = on_chip.take<float>(operands.result_count);
    }
    operands.prepare(on_chip);
  }

  // Which of the columns that this task walks through a tile is in.
  __mlu_device__ int column(int tile) const {
    return tile / operands.column_tiles - first_tile / operands.column_tiles;
  }
  // Which of the blocks of the right operand that this task loads a step uses.
  __mlu_device__ int block(const Place &at) const {
    return operands.chunks > 1 ? (at.tile - first_tile) * operands.chunks + at.chunk : column(at.tile);
  }
  __mlu_device__ bool begins_column(const Place &at) const {
    return at.tile == first_tile || at.tile % operands.column_tiles == 0;
  }
  __mlu_device__ bool begins_block(const Place &at) const { return operands.chunks > 1 || begins_column(at); }
  __mlu_device__ bool is_last(const Place &at) const { return at.chunk == operands.chunks - 1; }

  __mlu_device__ void load(int step) {
    const Place at = operands.place(step);
    operands.load_left(at, left[step % 2]);
    if (begins_block(at)) operands.load_right(at, weights[block(at) % 2], block(at) % 2);
    if (!is_last(at)) return;
    const Tile tile = operands.tile_of(at);
    if (begins_column(at)) epilogue.load_channels(channels[column(at.tile) % 2], tile);
    epilogue.load_tile(tensors[at.tile % 2], tile);
  }

  __mlu_device__ void compute(int step) {
    const Place at = operands.place(step);
    const Tile tile = operands.tile_of(at);
    T *right = weights[block(at) % 2];
    if (begins_block(at)) operands.arrange_right(at, right, block(at) % 2);
    T *values = results[at.tile % 2];
    if (operands.chunks == 1) {
      operands.multiply(at, values, left[step % 2], right);
    } else {
      operands.multiply(at, at.chunk == 0 ? sum : partial, left[step % 2], right);
      if (at.chunk > 0) __bang_add(sum, sum, partial, tile.count());
      if (!is_last(at)) return;
      narrow(values, sum, tile.count());
    }
    epilogue.apply(values, channels[column(at.tile) % 2], tensors[at.tile % 2], scratch, tile);
  }

  __mlu_device__ void store(int step) {
    const Place at = operands.place(step);
    if (!is_last(at)) return;
    const Tile tile = operands.tile_of(at);
    copy_box(result + tile.offset(), results[at.tile % 2], tile.box(), NRAM2GDRAM);
  }
};

template <typename T, typename Operands, typename Epilogue>
__mlu_func__ void contract(const Operands &operands, const EpilogueBytes &bytes, const Epilogue &epilogue, T *result,
                           char *nram, char *wram) {
  Contraction<T, Operands, Epilogue> kernel;
  kernel.operands = operands;
  kernel.epilogue = epilogue;
  kernel.result = result;
  kernel.prepare(bytes, nram, wram);
  const Share share = task_share(operands.tiles);
  kernel.first_tile = share.begin;
  run_pipeline(kernel, share.begin * operands.chunks, share.end * operands.chunks);
}

}  // namespace mm

#endif  // MM_KERNELS_CONTRACTION_H_
