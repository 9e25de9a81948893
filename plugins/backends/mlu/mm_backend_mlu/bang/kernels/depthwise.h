// Depthwise convolutions of channels-last images on the vector unit: each channel has a window of weights of its own.
//
// Walk, patches and pipeline: window.h. For each tap: products of a phase of the patch with the tap's weights, which
// repeat every `channels` elements, added up in float with the bias, if there is one; rounded once. Weights are float [kh * kw][pitch] whatever the
// images are, zero in padding channels, and stay in NRAM for a block of channels.
#ifndef MM_KERNELS_DEPTHWISE_H_
#define MM_KERNELS_DEPTHWISE_H_

#include "window.h"

namespace mm {

template <typename T, typename Epilogue>
struct Depthwise {
  WindowWalk walk;
  const T *x;
  const float *w;
  const float *bias;  // [pitch]; null: none
  T *y;
  Epilogue epilogue;
  int first_tile;

  T *patches[2], *results[2];
  float *wide, *sum, *product, *weights[2], *biases[2];
  char *channels[2], *tensors[2], *scratch;

  __mlu_device__ void prepare(char *nram) {
    const WindowShape &shape = walk.shape;
    Carver on_chip = {nram};
    for (int slot = 0; slot < 2; ++slot) {
      patches[slot] = on_chip.take<T>(walk.patch_count());
      results[slot] = on_chip.take<T>(walk.result_count());
      weights[slot] = on_chip.take<float>(shape.kh * shape.kw * shape.tile_c);
      if (bias != nullptr) biases[slot] = on_chip.take<float>(shape.tile_c);
      channels[slot] = on_chip.take<char>(shape.epilogue.channels);
      tensors[slot] = on_chip.take<char>(shape.epilogue.tensors);
    }
    scratch = on_chip.take<char>(shape.epilogue.scratch);
    if (sizeof(T) < sizeof(float)) wide = on_chip.take<float>(walk.patch_count());
    sum = on_chip.take<float>(walk.phase_count());
    product = on_chip.take<float>(walk.phase_count());
  }

  __mlu_device__ int column(int tile) const { return tile / walk.column_tiles - first_tile / walk.column_tiles; }

  __mlu_device__ void load(int step) {
    const WindowShape &shape = walk.shape;
    const WindowTile at = walk.place(step);
    const Tile tile = walk.tile_of(at);
    walk.load(at, patches[step % 2], x, (T)0);
    if (step == first_tile || step % walk.column_tiles == 0) {
      const int slot = column(step) % 2;
      load_rows(weights[slot], w + at.channel, shape.kh * shape.kw, at.channels, at.channels, shape.pitch);
      if (bias != nullptr) load_channel_vector(biases[slot], bias, tile);
      epilogue.load_channels(channels[slot], tile);
    }
    epilogue.load_tile(tensors[step % 2], tile);
  }

  __mlu_device__ void compute(int step) {
    const WindowShape &shape = walk.shape;
    const WindowTile at = walk.place(step);
    const int slot = column(step) % 2, span = walk.span(at);
    float *patch = widen(patches[step % 2], wide, shape.sy * shape.sx * walk.phase_size(at));
    for (int ky = 0; ky < shape.kh; ++ky) {
      for (int kx = 0; kx < shape.kw; ++kx) {
        const int tap = ky * shape.kw + kx;
        float *destination = tap == 0 ? sum : product;
        __bang_cycle_mul(destination, patch + walk.tap_offset(at, ky, kx), weights[slot] + tap * at.channels, span,
                         at.channels);
        if (tap > 0) __bang_add(sum, sum, product, span);
      }
    }
    if (bias != nullptr) __bang_cycle_add(sum, sum, biases[slot], span, at.channels);
    T *values = results[step % 2];
    const int row = at.columns * at.channels, pitch = at.phase_columns * at.channels;
    for (int r = 0; r < at.rows; ++r) narrow(values + r * row, sum + r * pitch, row);
    epilogue.apply(values, channels[slot], tensors[step % 2], scratch, walk.tile_of(at));
  }

  __mlu_device__ void store(int step) {
    const Tile tile = walk.tile_of(walk.place(step));
    copy_box(y + tile.offset(), results[step % 2], tile.box(), NRAM2GDRAM);
  }
};

template <typename T, typename Epilogue>
__mlu_func__ void depthwise(const WindowShape &shape, const T *x, const float *w, const float *bias, T *y,
                            const Epilogue &epilogue, char *nram) {
  Depthwise<T, Epilogue> kernel;
  kernel.walk.shape = shape;
  kernel.walk.plan();
  kernel.x = x;
  kernel.w = w;
  kernel.bias = bias;
  kernel.y = y;
  kernel.epilogue = epilogue;
  kernel.prepare(nram);
  const Share share = task_share(kernel.walk.tiles);
  kernel.first_tile = share.begin;
  run_pipeline(kernel, share.begin, share.end);
}

}  // namespace mm

#endif  // MM_KERNELS_DEPTHWISE_H_
