// Windows that slide over each channel of channels-last images by itself: what depthwise convolution and pooling share.
//
// Loop nest     for block of channels, for image, for tile of rows, for tile of columns; tiles are dealt to the tasks in
//               contiguous ranges.
// Patch         what a tile of the result sees, split into sy * sx phases: phase (p, q) holds rows p, p + sy, .. and columns
//               q, q + sx, .. Under one tap of the window, neighbouring results then see neighbouring pixels of one phase,
//               whatever the strides and dilations, and one instruction serves all results of the tile. All phases have
//               the same size, `phase_rows` x `phase_columns`; results are computed with that pitch, and lose it when
//               they are stored into the result tile.
// Memories      NRAM: patch and result in two slots each, the epilogue's operands, and what a kernel needs to compute.
// Pipeline      load patch and the epilogue's tensors | compute, epilogue | store.
#ifndef MM_KERNELS_WINDOW_H_
#define MM_KERNELS_WINDOW_H_

#include "contraction.h"
#include "image.h"

namespace mm {

struct WindowShape {
  int n, h, w;
  int64_t pitch;        // channels from pixel to pixel of X and Y, padding included; all of them are computed
  int oh, ow;
  int kh, kw, sy, sx, dy, dx, top, left, bottom, right;
  int tile_h, tile_w, tile_c;
  EpilogueBytes epilogue;
};

struct WindowTile {
  int channel, channels, image, y, x, rows, columns;
  int phase_rows, phase_columns;
};

struct WindowWalk {
  WindowShape shape;
  int x_tiles, y_tiles, column_tiles, tiles;

  __mlu_device__ void plan() {
    y_tiles = divide_up(shape.oh, shape.tile_h);
    x_tiles = divide_up(shape.ow, shape.tile_w);
    column_tiles = shape.n * y_tiles * x_tiles;
    tiles = divide_up((int)shape.pitch, shape.tile_c) * column_tiles;
  }

  __mlu_device__ int phase_extent(int results, int window, int stride, int dilation) const {
    return divide_up((results - 1) * stride + (window - 1) * dilation + 1, stride);
  }

  __mlu_device__ WindowTile place(int number) const {
    WindowTile at;
    at.x = number % x_tiles * shape.tile_w;
    at.y = number / x_tiles % y_tiles * shape.tile_h;
    at.image = number / x_tiles / y_tiles % shape.n;
    at.channel = number / column_tiles * shape.tile_c;
    at.channels = minimum(shape.tile_c, (int)shape.pitch - at.channel);
    at.rows = minimum(shape.tile_h, shape.oh - at.y);
    at.columns = minimum(shape.tile_w, shape.ow - at.x);
    at.phase_rows = phase_extent(at.rows, shape.kh, shape.sy, shape.dy);
    at.phase_columns = phase_extent(at.columns, shape.kw, shape.sx, shape.dx);
    return at;
  }

  // The largest numbers of elements of a patch, and of results with the pitch of a phase.
  __mlu_device__ int patch_count() const { return shape.sy * shape.sx * phase_count(); }
  __mlu_device__ int phase_count() const {
    return phase_extent(shape.tile_h, shape.kh, shape.sy, shape.dy) *
           phase_extent(shape.tile_w, shape.kw, shape.sx, shape.dx) * shape.tile_c;
  }
  __mlu_device__ int result_count() const { return shape.tile_h * shape.tile_w * shape.tile_c; }

  __mlu_device__ int phase_size(const WindowTile &at) const { return at.phase_rows * at.phase_columns * at.channels; }

  // Elements that one instruction works on: from the first result of a tile to its last, with the pitch of a phase.
  __mlu_device__ int span(const WindowTile &at) const {
    return ((at.rows - 1) * at.phase_columns + at.columns) * at.channels;
  }

  // Where, in a patch, the first result of the tile finds its element under a tap.
  __mlu_device__ int tap_offset(const WindowTile &at, int ky, int kx) const {
    const int y = ky * shape.dy, x = kx * shape.dx;
    const int phase = y % shape.sy * shape.sx + x % shape.sx;
    return phase * phase_size(at) + (y / shape.sy * at.phase_columns + x / shape.sx) * at.channels;
  }

  template <typename T>
  __mlu_device__ void load(const WindowTile &at, T *chip, const T *x, T outside) const {
    const T *image = x + (int64_t)at.image * shape.h * shape.w * shape.pitch + at.channel;
    for (int py = 0; py < shape.sy; ++py) {
      for (int px = 0; px < shape.sx; ++px) {
        Patch patch = {at.y * shape.sy - shape.top + py, at.x * shape.sx - shape.left + px, shape.sy, shape.sx,
                       at.phase_rows, at.phase_columns, at.channels, at.channels};
        load_patch(chip + (py * shape.sx + px) * phase_size(at), image, shape.h, shape.w, shape.pitch, patch, outside);
      }
    }
  }

  __mlu_device__ Tile tile_of(const WindowTile &at) const {
    const int64_t row = ((int64_t)at.image * shape.oh + at.y) * shape.ow + at.x;
    const bool whole_rows = at.columns == shape.ow;
    Tile tile = {row, whole_rows ? 1 : at.rows, whole_rows ? at.rows * at.columns : at.columns, shape.ow,
                 at.channel, at.channels, at.channels, shape.pitch};
    return tile;
  }
};

}  // namespace mm

#endif  // MM_KERNELS_WINDOW_H_
