// Instructions of the vector unit that move elements or take them in windows: pooling, transposition, padding, filters.
#include <algorithm>
#include <vector>

#include "instruction.h"

namespace mm_emulator {

namespace {

enum class Pool { kSum, kAverage, kMax, kMin };

float better(Pool pool, float a, float b) {
  if (a != a || b != b) return a != a ? a : b;
  return pool == Pool::kMax ? std::max(a, b) : std::min(a, b);
}

template <typename T>
void pool(const char *name, Pool kind, T *dst, const T *src, int c, int h, int w, int kh, int kw, int sx, int sy,
          const char *file, int line) {
  const Instruction instruction(name, file, line);
  for (int size : {c, h, w, kh, kw, sx, sy}) instruction.count(size, "a size");
  if (kh > h || kw > w) violate(instruction.site(), "a window of %dx%d does not fit %dx%d", kh, kw, h, w);
  const int64_t ho = (h - kh) / sy + 1, wo = (w - kw) / sx + 1;
  const size_t bytes = ho * wo * c * sizeof(T), source_bytes = size_t(h) * w * c * sizeof(T);
  instruction.vector_count(c, sizeof(T));
  instruction.source(src, source_bytes, "the operand");
  instruction.apart(dst, bytes, src, source_bytes);
  instruction.result(dst, bytes);
  static std::vector<float> window, row;
  window.resize(c);
  row.resize(c);
  for (int64_t y = 0; y < ho; ++y)
    for (int64_t x = 0; x < wo; ++x) {
      for (int64_t tap = 0; tap < int64_t(kh) * kw; ++tap) {
        const T *at = src + ((y * sy + tap / kw) * w + x * sx + tap % kw) * c;
        load(tap ? row.data() : window.data(), at, c);
        if (!tap) continue;
        if (kind == Pool::kSum || kind == Pool::kAverage)
          for (int channel = 0; channel < c; ++channel) window[channel] += row[channel];
        else
          for (int channel = 0; channel < c; ++channel) window[channel] = better(kind, window[channel], row[channel]);
      }
      if (kind == Pool::kAverage)
        for (int channel = 0; channel < c; ++channel) window[channel] /= float(kh * kw);
      store(dst + (y * wo + x) * c, window.data(), c);
    }
  instruction.done(dst, bytes);
  time_vector(double(bytes) * kh * kw, 1);
}

template <typename T>
void transpose_elements(void *to, const void *from, int64_t height, int64_t width) {
  T *dst = static_cast<T *>(to);
  const T *src = static_cast<const T *>(from);
  constexpr int64_t kBlock = 16;
  for (int64_t top = 0; top < height; top += kBlock)
    for (int64_t left = 0; left < width; left += kBlock)
      for (int64_t y = top; y < std::min(top + kBlock, height); ++y)
        for (int64_t x = left; x < std::min(left + kBlock, width); ++x) dst[x * height + y] = src[y * width + x];
}

void must_be_movable(const Instruction &instruction, int itemsize) {
  if (itemsize != 1 && itemsize != 2 && itemsize != 4)
    violate(instruction.site(), "elements of %d bytes: it moves those of 1, 2 and 4", itemsize);
}

}  // namespace

void transpose(void *dst, const void *src, int height, int width, int itemsize, const char *file, int line) {
  const Instruction instruction("__bang_transpose", file, line);
  instruction.count(height, "the height");
  instruction.count(width, "the width");
  must_be_movable(instruction, itemsize);
  const size_t bytes = size_t(height) * width * itemsize;
  instruction.vector_count(int64_t(height) * width, itemsize);
  instruction.source(src, bytes, "the operand");
  instruction.apart(dst, bytes, src, bytes);
  instruction.result(dst, bytes);
  if (itemsize == 1) transpose_elements<uint8_t>(dst, src, height, width);
  if (itemsize == 2) transpose_elements<uint16_t>(dst, src, height, width);
  if (itemsize == 4) transpose_elements<uint32_t>(dst, src, height, width);
  instruction.done(dst, bytes);
  time_vector(bytes, 1);
}

void pad(void *dst, const void *src, int c, int h, int w, int top, int bottom, int left, int right, int itemsize,
         const char *file, int line) {
  const Instruction instruction("__bang_pad", file, line);
  for (int size : {c, h, w}) instruction.count(size, "a size");
  for (int margin : {top, bottom, left, right})
    if (margin < 0) violate(instruction.site(), "a margin is %d", margin);
  must_be_movable(instruction, itemsize);
  const size_t row = size_t(w) * c * itemsize, wide = size_t(left + w + right) * c * itemsize;
  const size_t bytes = wide * (top + h + bottom);
  instruction.source(src, row * h, "the operand");
  instruction.apart(dst, bytes, src, row * h);
  instruction.result(dst, bytes);
  memset(dst, 0, bytes);
  for (int y = 0; y < h; ++y)
    memcpy(static_cast<char *>(dst) + (top + y) * wide + size_t(left) * c * itemsize,
           static_cast<const char *>(src) + y * row, row);
  instruction.done(dst, bytes);
  time_vector(bytes, 1);
}

void reshape_filter(void *dst, const void *src, int n, int h, int w, int c, int itemsize, const char *file, int line) {
  const Instruction instruction("__bang_reshape_filter", file, line);
  for (int size : {n, h, w, c}) instruction.count(size, "a size");
  must_be_movable(instruction, itemsize);
  const int64_t lanes = machine.target().lanes, rows = n / lanes;
  const size_t row = size_t(h) * w * c * itemsize, bytes = row * n;
  if (n % lanes) violate(instruction.site(), "%d rows are no multiple of %lld lanes", n, (long long)lanes);
  if (row % machine.target().wram_alignment)
    violate(instruction.site(), "rows of %zu bytes are no multiple of %u", row, machine.target().wram_alignment);
  instruction.source(src, bytes, "the operand");
  instruction.apart(dst, bytes, src, bytes);
  instruction.result(dst, bytes);
  for (int64_t index = 0; index < n; ++index)
    memcpy(static_cast<char *>(dst) + (index % lanes * rows + index / lanes) * row,
           static_cast<const char *>(src) + index * row, row);
  instruction.done(dst, bytes);
  time_vector(bytes, 1);
}

}  // namespace mm_emulator

using namespace mm_emulator;

#define MM_POOL(name, T, kind)                                                                                   \
  void name(T *dst, const T *src, int c, int h, int w, int kh, int kw, int stride_x, int stride_y, const char *file, \
            int line) {                                                                                          \
    pool(#name, kind, dst, src, c, h, w, kh, kw, stride_x, stride_y, file, line);                                \
  }
MM_POOL(__bang_sumpool, float, Pool::kSum)
MM_POOL(__bang_sumpool, half, Pool::kSum)
MM_POOL(__bang_avgpool, float, Pool::kAverage)
MM_POOL(__bang_avgpool, half, Pool::kAverage)
MM_POOL(__bang_maxpool, float, Pool::kMax)
MM_POOL(__bang_maxpool, half, Pool::kMax)
MM_POOL(__bang_minpool, float, Pool::kMin)
MM_POOL(__bang_minpool, half, Pool::kMin)
