// Convolutions of channels-last images on the tensor unit: Y[n][oh][ow][o] = epilogue(X[n][h][w][c] * W), any pads,
// strides, dilations and groups, any numbers of channels.
//
// Loop nest     for group, for block of output channels, for image, for tile of rows, for tile of columns,
//               for chunk (see contraction.h)
// Chunks        of input channels (tile_c, a multiple of 64 bytes) where a patch or its weights would not fit; and, `by_tap`,
//               one for each tap of the window.
// Patch         Not by tap: what a tile of the result sees, [rows * sy + halo][columns * sx + halo][tile_c], one __bang_conv.
//               By tap: the pixels under one tap, read with the strides, [rows][columns][tile_c], one __bang_matmul. That
//               serves 1x1 windows, dilations, and strides larger than windows, and reads an image once for each tap.
//               Pixels outside the image and channels beyond c are zeros.
//               Planar: images of few channels are read as they come, channels first, and turned round on chip.
// Weights       reordered when the model was built (lowering/filters.py): [group][block][chunk][lane][..][taps][tile_c].
#ifndef MM_KERNELS_CONV_H_
#define MM_KERNELS_CONV_H_

#include "contraction.h"
#include "image.h"

namespace mm {

struct ConvShape {
  int n, h, w, c;       // c: input channels of a group
  int oh, ow, o;        // o: output channels of a group
  int groups;
  int kh, kw, sy, sx, dy, dx, top, left;
  int64_t x_pitch;      // channels from pixel to pixel of X
  int64_t y_pitch;      // the same of Y; lanes beyond groups * o are stored as well
  int by_tap;
  int planar;           // X is [n][c][h][w]; not by tap, one group, one chunk
  int tile_h, tile_w, tile_o, tile_c;
  EpilogueBytes epilogue;
};

template <typename T>
struct ConvOperands {
  struct Place {
    int chunk, lanes;
    int group, image, y, x, rows, columns, channel, channels;
    int depth_begin, depth, top, left, patch_h, patch_w;
  };

  ConvShape shape;
  const T *x;
  const T *w;
  int chunks, column_tiles, tiles, left_count, right_count, result_count;
  T *planes[2];
  int plane_count;      // elements of a plane of a patch on chip
  int depth_chunks, x_tiles, y_tiles, blocks, stored_o, taps, step_y, step_x;

  __mlu_device__ void plan() {
    depth_chunks = divide_up(shape.c, shape.tile_c);
    chunks = depth_chunks * (shape.by_tap ? shape.kh * shape.kw : 1);
    taps = shape.by_tap ? 1 : shape.kh * shape.kw;
    step_y = shape.by_tap ? shape.sy : 1;
    step_x = shape.by_tap ? shape.sx : 1;
    stored_o = (int)shape.y_pitch - (shape.groups - 1) * shape.o;
    blocks = divide_up(stored_o, shape.tile_o);
    y_tiles = divide_up(shape.oh, shape.tile_h);
    x_tiles = divide_up(shape.ow, shape.tile_w);
    column_tiles = shape.n * y_tiles * x_tiles;
    tiles = shape.groups * blocks * column_tiles;
    left_count = patch_extent(shape.tile_h, shape.kh, shape.sy) * patch_extent(shape.tile_w, shape.kw, shape.sx) *
                 shape.tile_c;
    plane_count = round_up(left_count / shape.tile_c, kVectorBytes / (int)sizeof(T));
    if (shape.planar) left_count = plane_count * shape.tile_c;
    right_count = shape.tile_o * taps * shape.tile_c;
    result_count = shape.tile_h * shape.tile_w * shape.tile_o;
  }

  __mlu_device__ int patch_extent(int results, int window, int stride) const {
    return shape.by_tap ? results : (results - 1) * stride + window;
  }

  __mlu_device__ void prepare(Carver &on_chip) {
    if (!shape.planar) return;
    planes[0] = on_chip.take<T>(left_count);
    planes[1] = on_chip.take<T>(left_count);
  }

  __mlu_device__ Place place(int tile, int chunk) const {
    Place at;
    at.chunk = chunk;
    const int tap = chunk / depth_chunks;
    at.x = tile % x_tiles * shape.tile_w;
    at.y = tile / x_tiles % y_tiles * shape.tile_h;
    at.image = tile / x_tiles / y_tiles % shape.n;
    const int column = tile / column_tiles;
    at.channel = column % blocks * shape.tile_o;
    at.group = column / blocks;
    at.rows = minimum(shape.tile_h, shape.oh - at.y);
    at.columns = minimum(shape.tile_w, shape.ow - at.x);
    at.lanes = minimum(shape.tile_o, round_up(stored_o - at.channel, kLanes));
    const int last = at.group == shape.groups - 1 ? stored_o : shape.o;
    at.channels = maximum(0, minimum(at.lanes, last - at.channel));
    at.depth_begin = at.chunk % depth_chunks * shape.tile_c;
    at.depth = minimum(shape.tile_c, shape.c - at.depth_begin);
    at.top = at.y * shape.sy - shape.top + (shape.by_tap ? tap / shape.kw * shape.dy : 0);
    at.left = at.x * shape.sx - shape.left + (shape.by_tap ? tap % shape.kw * shape.dx : 0);
    at.patch_h = patch_extent(at.rows, shape.kh, shape.sy);
    at.patch_w = patch_extent(at.columns, shape.kw, shape.sx);
    return at;
  }

  __mlu_device__ Tile tile_of(const Place &at) const {
    const int64_t row = ((int64_t)at.image * shape.oh + at.y) * shape.ow + at.x;
    const bool whole_rows = at.columns == shape.ow;
    Tile tile = {row, whole_rows ? 1 : at.rows, whole_rows ? at.rows * at.columns : at.columns, shape.ow,
                 at.group * shape.o + at.channel, at.channels, at.lanes, shape.y_pitch};
    return tile;
  }

  __mlu_device__ void load_left(const Place &at, T *patch, int slot) const {
    if (shape.planar) {
      load_planes(at, planes[slot]);
      return;
    }
    Patch where = {at.top, at.left, step_y, step_x, at.patch_h, at.patch_w, at.depth, shape.tile_c};
    const T *image = x + (int64_t)at.image * shape.h * shape.w * shape.x_pitch + at.group * shape.c + at.depth_begin;
    load_patch(patch, image, shape.h, shape.w, shape.x_pitch, where, (T)0);
  }

  __mlu_device__ void load_planes(const Place &at, T *chip) const {
    fill(chip, left_count, (T)0);
    Patch where = {at.top, at.left, 1, 1, at.patch_h, at.patch_w, 1, 1};
    for (int channel = 0; channel < shape.c; ++channel) {
      const T *plane = x + ((int64_t)at.image * shape.c + channel) * shape.h * shape.w;
      copy_patch(chip + channel * plane_count, plane, shape.h, shape.w, 1, where);
    }
  }

  __mlu_device__ void arrange_left(const Place &, T *patch, int slot) const {
    if (shape.planar) __bang_transpose(patch, planes[slot], shape.tile_c, plane_count);
  }

  __mlu_device__ Packed<T> packed_right(const Place &at) const {
    const int depth = taps * shape.tile_c;
    const int64_t lane = (int64_t)at.group * round_up(stored_o, kLanes) + at.channel;
    Packed<T> packed = {w + (lane * chunks + (int64_t)at.lanes * at.chunk) * depth, at.lanes * depth * (int)sizeof(T)};
    return packed;
  }

  __mlu_device__ void load_right(const Place &at, T *wram, int) const {
    const Packed<T> packed = packed_right(at);
    __memcpy_async(wram, packed.source, packed.bytes, GDRAM2WRAM);
  }

  __mlu_device__ void arrange_right(const Place &, T *, int) const {}

  template <typename Result>
  __mlu_device__ void multiply(const Place &at, Result *product, T *patch, T *weights) const {
    if (shape.by_tap) {
      __bang_matmul(product, patch, weights, at.rows * at.columns, shape.tile_c, at.lanes);
    } else {
      __bang_conv(product, patch, weights, shape.tile_c, at.patch_h, at.patch_w, shape.kh, shape.kw, shape.sx, shape.sy,
                  at.lanes);
    }
  }
};

template <typename T>
__mlu_func__ ConvOperands<T> conv_operands(const ConvShape &shape, const T *x, const T *w) {
  ConvOperands<T> operands;
  operands.shape = shape;
  operands.x = x;
  operands.w = w;
  operands.plan();
  return operands;
}

template <typename T, typename Epilogue>
__mlu_func__ void conv(const ConvShape &shape, const T *x, const T *w, const float *bias, T *y,
                       const Epilogue &epilogue, char *nram, char *wram) {
  const Bias added = {bias, shape.tile_o};
  contract(conv_operands(shape, x, w), added, shape.epilogue, epilogue, y, nram, wram);
}

// With weights that the cores of a cluster share.
template <typename T, typename Epilogue>
__mlu_func__ void conv_together(const ConvShape &shape, const T *x, const T *w, const float *bias, T *y,
                                const Epilogue &epilogue, char *nram, char *wram, char *sram) {
  const Bias added = {bias, shape.tile_o};
  contract_together(conv_operands(shape, x, w), added, shape.epilogue, epilogue, y, nram, wram, sram);
}

}  // namespace mm

#endif  // MM_KERNELS_CONV_H_
