// What a kernel does to each tile of its results before the tile is stored: the functor convention.
//
// Convolutions (depthwise ones too) and matrix products call an epilogue, a functor with three members, on tiles [rows][pitch] of the stored
// type T in NRAM:
//
//   load_channels(memory, tile)   Asynchronous copies of what varies along channels only (bias, scales), for the channels
//                                 of `tile`, into `memory`. Called once for each block of channels. Vectors lie one
//                                 behind the other, each `pitch` elements of its own type, 128-byte aligned; elements
//                                 from `tile.channels` to `tile.pitch` must be initialised: fill first.
//   load_tile(memory, tile)       Asynchronous copies of the tensors of the result's shape (residuals) for `tile`, into
//                                 `memory`, one [rows][pitch] tile behind the other, 128-byte aligned. Called in the load
//                                 stage, one step before it is used; lanes beyond `tile.channels` must be initialised.
//   apply(values, channels, tensors, scratch, tile)
//                                 Computes in place, on all `tile.count()` elements, padding lanes included.
//
// Its cost is stated when the kernel is chosen (lowering/tiling.py, EpilogueCost): vectors, tensors and scratch tiles in
// bytes for each element. What a kernel hands to `memory` and `scratch` is at least that much for its largest tile.
//
// Tensors have the result's own physical layout: row r, channel c lies at (r * row_pitch + c). Vectors over channels have
// `row_pitch` elements: constants are padded when the model is built.
#ifndef MM_KERNELS_EPILOGUE_H_
#define MM_KERNELS_EPILOGUE_H_

#include "common.h"

namespace mm {

// Where a tile of results lies in the whole result [rows][row_pitch]. Its rows are `blocks` groups of `rows` neighbours,
// the groups `block_step` rows apart: a rectangle of an image, or with one block a range of rows.
struct Tile {
  int64_t row;         // the first row
  int blocks;
  int rows;
  int64_t block_step;
  int channel;         // the first channel
  int channels;        // how many are stored
  int pitch;           // channels from row to row on chip, a multiple of 128 bytes; not less than `channels`
  int64_t row_pitch;   // channels from row to row in GDRAM

  __mlu_device__ int count() const { return blocks * rows * pitch; }
  __mlu_device__ Box box() const {
    Box box = {blocks, rows, channels, row_pitch, block_step * row_pitch, pitch, rows * pitch};
    return box;
  }
  __mlu_device__ int64_t offset() const { return row * row_pitch + channel; }
};

// Copies a tensor of the result's shape for a tile. Lanes that no channel fills are zeros.
template <typename T>
__mlu_func__ void load_tensor(T *nram, const T *tensor, const Tile &tile) {
  if (tile.channels < tile.pitch) fill(nram, tile.count(), (T)0);
  copy_box(nram, tensor + tile.offset(), tile.box(), GDRAM2NRAM);
}

// Copies a vector over channels for a tile. Lanes that no channel fills are zeros.
template <typename T>
__mlu_func__ void load_channel_vector(T *nram, const T *vector, const Tile &tile) {
  if (tile.channels < tile.pitch) fill(nram, tile.pitch, (T)0);
  load_rows(nram, vector + tile.channel, 1, tile.channels, tile.pitch, 0);
}

struct NoEpilogue {
  __mlu_device__ void load_channels(char *, const Tile &) const {}
  __mlu_device__ void load_tile(char *, const Tile &) const {}
  template <typename T>
  __mlu_device__ void apply(T *, char *, char *, char *, const Tile &) const {}
};

}  // namespace mm

#endif  // MM_KERNELS_EPILOGUE_H_
