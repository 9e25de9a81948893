// Pooling of channels-last images on the vector unit: windows (max, average) and whole images (max, average).
//
// Windows       walk, patches and pipeline: window.h; one maximum or sum of neighbouring pixels for each tap. Averages are
//               summed up in float, multiplied by one over the number of elements that count, and rounded once: that number
//               differs where a window overhangs, so rows are multiplied run by run of equal numbers.
// Whole images  loop nest: for image and block of channels (dealt to the tasks), for chunk of pixels; a chunk [pixels]
//               [channels] is folded by one pooling instruction, in float for averages, and joined to the result so far.
//               NRAM: two chunks, for averages of half one in float, results. Pipeline: load chunk | fold | store.
#ifndef MM_KERNELS_POOLING_H_
#define MM_KERNELS_POOLING_H_

#include "window.h"

namespace mm {

// The largest element; padding never is.
template <typename T>
struct MaxPooling {
  typedef T Sum;

  __mlu_device__ T outside() const { return (T)(-INFINITY); }
  __mlu_device__ T *summands(T *values, T *, int) const { return values; }
  __mlu_device__ void join(T *out, T *a, T *b, int n) const { __bang_maxequal(out, a, b, n); }
  __mlu_device__ void fold(T *out, T *pixels, int channels, int count) const {
    __bang_maxpool(out, pixels, channels, count, 1, count, 1, 1, 1);
  }
  __mlu_device__ void finish(T *values, T *row, const WindowShape &, const WindowTile &at, int) const {
    __bang_maxequal(values, row, row, at.columns * at.channels);
  }
  __mlu_device__ void finish(T *values, T *joined, int channels, int) const {
    __bang_maxequal(values, joined, joined, channels);
  }
};

// The mean of the elements under a window, of padding too with `include_pad`, never of what overhangs the padding.
template <typename T>
struct AveragePooling {
  typedef float Sum;
  bool include_pad;

  __mlu_device__ T outside() const { return (T)0; }
  __mlu_device__ float *summands(T *values, float *wide, int count) const { return widen(values, wide, count); }
  __mlu_device__ void join(float *out, float *a, float *b, int n) const { __bang_add(out, a, b, n); }
  __mlu_device__ void fold(float *out, float *pixels, int channels, int count) const {
    __bang_sumpool(out, pixels, channels, count, 1, count, 1, 1, 1);
  }

  // How many taps of a window whose first is at `first` count, along one axis.
  __mlu_device__ int counted(int first, int window, int dilation, int size, int before, int after) const {
    const int low = include_pad ? -before : 0, high = include_pad ? size + after : size;
    int count = 0;
    for (int tap = 0; tap < window; ++tap) {
      const int at = first + tap * dilation;
      count += at >= low && at < high;
    }
    return count;
  }
  __mlu_device__ int counted_in_column(const WindowShape &shape, int column) const {
    return counted(column * shape.sx - shape.left, shape.kw, shape.dx, shape.w, shape.left, shape.right);
  }

  // A row of sums becomes averages, run by run of windows with as many elements.
  __mlu_device__ void finish(T *values, float *row, const WindowShape &shape, const WindowTile &at, int r) const {
    const int first_row = (at.y + r) * shape.sy - shape.top;
    const int rows = counted(first_row, shape.kh, shape.dy, shape.h, shape.top, shape.bottom);
    for (int begin = 0, end; begin < at.columns; begin = end) {
      const int columns = counted_in_column(shape, at.x + begin);
      for (end = begin + 1; end < at.columns && counted_in_column(shape, at.x + end) == columns;) ++end;
      float *run = row + begin * at.channels;
      __bang_mul_scalar(run, run, 1.0f / (float)(rows * columns), (end - begin) * at.channels);
    }
    narrow(values, row, at.columns * at.channels);
  }
  __mlu_device__ void finish(T *values, float *joined, int channels, int pixels) const {
    __bang_mul_scalar(joined, joined, 1.0f / (float)pixels, channels);
    narrow(values, joined, channels);
  }
};

template <typename T, typename Pooling>
struct WindowPool {
  typedef typename Pooling::Sum Sum;

  WindowWalk walk;
  Pooling pooling;
  const T *x;
  T *y;

  T *patches[2], *results[2];
  Sum *wide, *joined;

  __mlu_device__ void prepare(char *nram) {
    Carver on_chip = {nram};
    for (int slot = 0; slot < 2; ++slot) {
      patches[slot] = on_chip.take<T>(walk.patch_count());
      results[slot] = on_chip.take<T>(walk.result_count());
    }
    if (sizeof(T) < sizeof(Sum)) wide = on_chip.take<Sum>(walk.patch_count());
    joined = on_chip.take<Sum>(walk.phase_count());
  }

  __mlu_device__ void load(int step) { walk.load(walk.place(step), patches[step % 2], x, pooling.outside()); }

  __mlu_device__ void compute(int step) {
    const WindowShape &shape = walk.shape;
    const WindowTile at = walk.place(step);
    Sum *patch = pooling.summands(patches[step % 2], wide, shape.sy * shape.sx * walk.phase_size(at));
    Sum *so_far = patch + walk.tap_offset(at, 0, 0);
    for (int tap = 1; tap < shape.kh * shape.kw; ++tap) {
      pooling.join(joined, so_far, patch + walk.tap_offset(at, tap / shape.kw, tap % shape.kw), walk.span(at));
      so_far = joined;
    }
    for (int r = 0; r < at.rows; ++r) {
      T *values = results[step % 2] + r * at.columns * at.channels;
      pooling.finish(values, so_far + r * at.phase_columns * at.channels, shape, at, r);
    }
  }

  __mlu_device__ void store(int step) {
    const Tile tile = walk.tile_of(walk.place(step));
    copy_box(y + tile.offset(), results[step % 2], tile.box(), NRAM2GDRAM);
  }
};

template <typename T, typename Pooling>
__mlu_func__ void window_pool(const WindowShape &shape, const Pooling &pooling, const T *x, T *y, char *nram) {
  WindowPool<T, Pooling> kernel;
  kernel.walk.shape = shape;
  kernel.walk.plan();
  kernel.pooling = pooling;
  kernel.x = x;
  kernel.y = y;
  kernel.prepare(nram);
  const Share share = task_share(kernel.walk.tiles);
  run_pipeline(kernel, share.begin, share.end);
}

struct GlobalPoolShape {
  int n, pixels;
  int64_t pitch;  // channels from pixel to pixel, padding included; all of them are computed
  int tile_p, tile_c;
};

template <typename T, typename Pooling>
struct GlobalPool {
  typedef typename Pooling::Sum Sum;

  GlobalPoolShape shape;
  Pooling pooling;
  const T *x;
  T *y;

  int chunks, blocks;
  T *pixels[2], *results[2];
  Sum *wide, *joined, *folded;

  __mlu_device__ void prepare(char *nram) {
    chunks = divide_up(shape.pixels, shape.tile_p);
    blocks = divide_up((int)shape.pitch, shape.tile_c);
    Carver on_chip = {nram};
    for (int slot = 0; slot < 2; ++slot) {
      pixels[slot] = on_chip.take<T>(shape.tile_p * shape.tile_c);
      results[slot] = on_chip.take<T>(shape.tile_c);
    }
    if (sizeof(T) < sizeof(Sum)) wide = on_chip.take<Sum>(shape.tile_p * shape.tile_c);
    joined = on_chip.take<Sum>(shape.tile_c);
    folded = on_chip.take<Sum>(shape.tile_c);
  }

  __mlu_device__ int tile_number(int step) const { return step / chunks; }
  __mlu_device__ int channel(int step) const { return tile_number(step) % blocks * shape.tile_c; }
  __mlu_device__ int channels(int step) const { return minimum(shape.tile_c, (int)shape.pitch - channel(step)); }
  __mlu_device__ int first_pixel(int step) const { return step % chunks * shape.tile_p; }
  __mlu_device__ int count(int step) const { return minimum(shape.tile_p, shape.pixels - first_pixel(step)); }

  __mlu_device__ void load(int step) {
    const int64_t pixel = (int64_t)(tile_number(step) / blocks) * shape.pixels + first_pixel(step);
    load_rows(pixels[step % 2], x + pixel * shape.pitch + channel(step), count(step), channels(step), channels(step),
              shape.pitch);
  }

  __mlu_device__ void compute(int step) {
    Sum *values = pooling.summands(pixels[step % 2], wide, count(step) * channels(step));
    const bool is_first = step % chunks == 0;
    pooling.fold(is_first ? joined : folded, values, channels(step), count(step));
    if (!is_first) pooling.join(joined, joined, folded, channels(step));
    if (step % chunks == chunks - 1) {
      pooling.finish(results[tile_number(step) % 2], joined, channels(step), shape.pixels);
    }
  }

  __mlu_device__ void store(int step) {
    if (step % chunks < chunks - 1) return;
    T *place = y + (int64_t)(tile_number(step) / blocks) * shape.pitch + channel(step);
    store_rows(place, results[tile_number(step) % 2], 1, channels(step), channels(step), shape.pitch);
  }
};

template <typename T, typename Pooling>
__mlu_func__ void global_pool(const GlobalPoolShape &shape, const Pooling &pooling, const T *x, T *y, char *nram) {
  GlobalPool<T, Pooling> kernel;
  kernel.shape = shape;
  kernel.pooling = pooling;
  kernel.x = x;
  kernel.y = y;
  kernel.prepare(nram);
  const Share share = task_share(shape.n * kernel.blocks);
  run_pipeline(kernel, share.begin * kernel.chunks, share.end * kernel.chunks);
}

}  // namespace mm

#endif  // MM_KERNELS_POOLING_H_
