// What matrix products and convolutions share: the walk over tiles and chunks, accumulation, epilogue and pipeline.
//
// A contraction multiplies tiles of a left operand in NRAM (rows of a matrix, or a patch of an image) with blocks of a
// right operand in WRAM (weights). Its results form tiles, and the sum over the inner axis is cut into chunks where
// operands would not fit otherwise. Tiles that need the same block of the right operand are neighbours (a "column").
//
// Loop nest     for turn, for chunk. In each turn a core works on one tile. By itself (`contract`), a core takes a
//               contiguous range of tiles. With its cluster (`contract_together`), the cores take neighbouring tiles of a
//               column, and clusters take ranges of turns. With one chunk, a block is loaded once for a column.
// Memories      NRAM  left operand and result, two slots each; epilogue's operands, two slots each; with several chunks
//                     a sum and a partial product in float
//               WRAM  two blocks of the right operand
//               SRAM  together: two blocks of the right operand, which the memory core loads once for the cluster
// Accumulation  one chunk: the tensor unit's own, float inside, rounded once. More: products in float, added in float,
//               rounded once after the last. A bias is added before that rounding, in float.
// Pipeline      (memory core: block of step i + 1 to SRAM |) load operands of step i | multiply step i - 1 | store the tile
//               that step i - 2 finished; step = turn * chunks + chunk.
//
// `Operands` says what is multiplied (see matmul.h, conv.h): the struct `Place` with `lanes` and what it needs itself;
// `place(tile, chunk)`, `tile_of(place)`, `load_left`, `arrange_left`, `packed_right`, `load_right`, `arrange_right`,
// `multiply`; the counts `chunks`, `column_tiles` (tiles in a column) and `tiles`; and the largest numbers of elements of a tile of each operand.
#ifndef MM_KERNELS_CONTRACTION_H_
#define MM_KERNELS_CONTRACTION_H_

#include "common.h"
#include "epilogue.h"

namespace mm {

// What the epilogue wants for the largest tile, in bytes.
struct EpilogueBytes {
  int channels, tensors, scratch;
};

// One float for each channel that is stored, null: none; and how many a tile has at most.
struct Bias {
  const float *values;
  int count;
};

// A block of the right operand as it lies in device memory, in the order of WRAM.
template <typename T>
struct Packed {
  const T *source;
  int bytes;
};

template <typename T, typename Operands, typename Epilogue>
struct Contraction {
  Operands operands;
  Bias bias;
  Epilogue epilogue;
  T *result;
  int cores;         // how many work on a column together
  int core;          // which of them this is
  int column_turns;  // turns that a column takes
  int first_turn;

  T *left[2], *results[2], *weights[2], *shared[2];
  char *channels[2], *tensors[2], *scratch;
  float *biases[2], *sum, *partial;
  bool is_wide;  // results are computed in float and then rounded, not rounded by the tensor unit

  struct Place {
    int turn, chunk;
    bool exists;  // in the last turn of a column there may be fewer tiles than cores
    typename Operands::Place at;
  };

  __mlu_device__ void prepare(const EpilogueBytes &bytes, char *nram, char *wram, char *sram) {
    Carver on_chip = {nram}, in_wram = {wram}, in_sram = {sram};
    for (int slot = 0; slot < 2; ++slot) {
      left[slot] = on_chip.take<T>(operands.left_count);
      results[slot] = on_chip.take<T>(operands.result_count);
      channels[slot] = on_chip.take<char>(bytes.channels);
      tensors[slot] = on_chip.take<char>(bytes.tensors);
      weights[slot] = in_wram.take<T>(operands.right_count);
      shared[slot] = in_sram.take<T>(operands.right_count);
      if (bias.values != nullptr) biases[slot] = on_chip.take<float>(bias.count);
    }
    scratch = on_chip.take<char>(bytes.scratch);
    is_wide = operands.chunks > 1 || (sizeof(T) < sizeof(float) && bias.values != nullptr);
    if (is_wide) sum = on_chip.take<float>(operands.result_count);
    if (operands.chunks > 1) partial = on_chip.take<float>(operands.result_count);
    operands.prepare(on_chip);
  }

  __mlu_device__ Place place(int step) const {
    Place place;
    place.turn = step / operands.chunks;
    place.chunk = step % operands.chunks;
    const int in_column = place.turn % column_turns * cores + core;
    place.exists = in_column < operands.column_tiles;
    place.at = operands.place(place.turn / column_turns * operands.column_tiles + in_column, place.chunk);
    return place;
  }

  // Which of the columns that are walked through a turn is in, and which of the blocks that are loaded a step uses.
  __mlu_device__ int column(int turn) const { return turn / column_turns - first_turn / column_turns; }
  __mlu_device__ int block(const Place &place) const {
    return operands.chunks > 1 ? (place.turn - first_turn) * operands.chunks + place.chunk : column(place.turn);
  }
  __mlu_device__ bool begins_column(const Place &place) const {
    return place.turn == first_turn || place.turn % column_turns == 0;
  }
  __mlu_device__ bool begins_block(const Place &place) const { return operands.chunks > 1 || begins_column(place); }
  __mlu_device__ bool is_last(const Place &place) const { return place.chunk == operands.chunks - 1; }

  // The memory core's stage.
  __mlu_device__ void fetch(int step) {
    const Place here = place(step);
    if (!begins_block(here)) return;
    const Packed<T> packed = operands.packed_right(here.at);
    __memcpy_async(shared[block(here) % 2], packed.source, packed.bytes, GDRAM2SRAM);
  }

  __mlu_device__ void load(int step) {
    const Place here = place(step);
    if (!here.exists) return;
    operands.load_left(here.at, left[step % 2], step % 2);
    if (begins_block(here)) {
      const int slot = block(here) % 2;
      if (cores > 1) {
        __memcpy_async(weights[slot], shared[slot], operands.packed_right(here.at).bytes, SRAM2WRAM);
      } else {
        operands.load_right(here.at, weights[slot], slot);
      }
    }
    if (!is_last(here)) return;
    const Tile tile = operands.tile_of(here.at);
    if (begins_column(here)) {
      if (bias.values != nullptr) load_channel_vector(biases[column(here.turn) % 2], bias.values, tile);
      epilogue.load_channels(channels[column(here.turn) % 2], tile);
    }
    epilogue.load_tile(tensors[here.turn % 2], tile);
  }

  __mlu_device__ void compute(int step) {
    const Place here = place(step);
    if (!here.exists) return;
    const Tile tile = operands.tile_of(here.at);
    T *right = weights[block(here) % 2];
    if (begins_block(here)) operands.arrange_right(here.at, right, block(here) % 2);
    operands.arrange_left(here.at, left[step % 2], step % 2);
    T *values = results[here.turn % 2];
    if (is_wide) {
      operands.multiply(here.at, here.chunk == 0 ? sum : partial, left[step % 2], right);
      if (here.chunk > 0) __bang_add(sum, sum, partial, tile.count());
      if (!is_last(here)) return;
      add_bias(sum, here.turn, tile);
      narrow(values, sum, tile.count());
    } else {
      operands.multiply(here.at, values, left[step % 2], right);
      add_bias(values, here.turn, tile);
    }
    epilogue.apply(values, channels[column(here.turn) % 2], tensors[here.turn % 2], scratch, tile);
  }

  __mlu_device__ void add_bias(float *values, int turn, const Tile &tile) const {
    if (bias.values == nullptr) return;
    __bang_cycle_add(values, values, biases[column(turn) % 2], tile.count(), tile.pitch);
  }
  __mlu_device__ void add_bias(half *, int, const Tile &) const {}  // halves with a bias are computed in float

  __mlu_device__ void store(int step) {
    const Place here = place(step);
    if (!here.exists || !is_last(here)) return;
    const Tile tile = operands.tile_of(here.at);
    copy_box(result + tile.offset(), results[here.turn % 2], tile.box(), NRAM2GDRAM);
  }
};

// Each core by itself.
template <typename T, typename Operands, typename Epilogue>
__mlu_func__ void contract(const Operands &operands, const Bias &bias, const EpilogueBytes &bytes,
                           const Epilogue &epilogue, T *result, char *nram, char *wram) {
  Contraction<T, Operands, Epilogue> kernel;
  kernel.operands = operands;
  kernel.bias = bias;
  kernel.epilogue = epilogue;
  kernel.result = result;
  kernel.cores = 1;
  kernel.core = 0;
  kernel.column_turns = operands.column_tiles;
  kernel.prepare(bytes, nram, wram, nullptr);
  const Share share = task_share(operands.tiles);
  kernel.first_turn = share.begin;
  run_pipeline(kernel, share.begin * operands.chunks, share.end * operands.chunks);
}

// The cores of a cluster together: a launch of kind Union1. Every round ends with a barrier of the cluster, after which the
// block that the memory core loaded is there, and the slot that the cores have read is free.
template <typename T, typename Operands, typename Epilogue>
__mlu_func__ void contract_together(const Operands &operands, const Bias &bias, const EpilogueBytes &bytes,
                                    const Epilogue &epilogue, T *result, char *nram, char *wram, char *sram) {
  Contraction<T, Operands, Epilogue> kernel;
  kernel.operands = operands;
  kernel.bias = bias;
  kernel.epilogue = epilogue;
  kernel.result = result;
  kernel.cores = coreDim;
  kernel.core = __is_mpu() ? 0 : coreId;
  kernel.column_turns = divide_up(operands.column_tiles, coreDim);
  kernel.prepare(bytes, nram, wram, sram);
  const int turns = operands.tiles / operands.column_tiles * kernel.column_turns;
  const Share share = share_of(turns, taskId / coreDim, taskDim / coreDim);
  kernel.first_turn = share.begin;
  const int begin = share.begin * operands.chunks, end = share.end * operands.chunks;
  for (int round = begin; round < end + 3 && begin < end; ++round) {
    if (__is_mpu()) {
      if (round < end) kernel.fetch(round);
      __sync_io();
    } else {
      if (round - 1 >= begin && round - 1 < end) kernel.load(round - 1);
      if (round - 2 >= begin && round - 2 < end) kernel.compute(round - 2);
      if (round - 3 >= begin) kernel.store(round - 3);
      __sync();
    }
    __sync_cluster();
  }
}

}  // namespace mm

#endif  // MM_KERNELS_CONTRACTION_H_
