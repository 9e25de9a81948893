// Axes walked along by the scalar unit, for what the vector unit does not do: folds of whole numbers, positions of extremes,
// running sums. X[outer][k][inner] is seen as lines, one for each outer and inner index.
//
// Loop nest     for outer (rows: for tile of lines), for tile of inner (dealt to the tasks), for chunk of the axis, for line.
// Memories      NRAM: a tile [chunk][lines], or [lines][chunk] where inner = 1, and a state for each line
#ifndef MM_KERNELS_SCAN_H_
#define MM_KERNELS_SCAN_H_

#include "common.h"
#include "scalar.h"

namespace mm {

struct ScanShape {
  int outer, length, inner;
  int tile_lines, tile_length;
};

// A tile of lines: where it begins in X, how many lines it has, and the steps between lines and along them on chip.
template <typename T>
struct Lines {
  ScanShape shape;
  T *tile;
  int tiles;

  __mlu_device__ void prepare(char *nram) {
    tile = (T *)nram;
    tiles = by_rows() ? divide_up(shape.outer, shape.tile_lines)
                      : shape.outer * divide_up(shape.inner, shape.tile_lines);
  }
  __mlu_device__ bool by_rows() const { return shape.inner == 1; }
  __mlu_device__ int per_outer() const { return divide_up(shape.inner, shape.tile_lines); }
  __mlu_device__ int outer(int step) const { return by_rows() ? step * shape.tile_lines : step / per_outer(); }
  __mlu_device__ int column(int step) const { return by_rows() ? 0 : step % per_outer() * shape.tile_lines; }
  __mlu_device__ int count(int step) const {
    return by_rows() ? minimum(shape.tile_lines, shape.outer - outer(step))
                     : minimum(shape.tile_lines, shape.inner - column(step));
  }
  __mlu_device__ int chunk(int first) const { return minimum(shape.tile_length, shape.length - first); }
  // Element k of a chunk of `size` in line i.
  __mlu_device__ int at(int i, int k, int lines, int size) const { return by_rows() ? i * size + k : k * lines + i; }
  __mlu_device__ int64_t offset(int step, int first) const {
    return ((int64_t)outer(step) * shape.length + first) * shape.inner + column(step);
  }
  // The first line's place among the results of folds.
  __mlu_device__ int64_t result(int step) const { return (int64_t)outer(step) * shape.inner + column(step); }

  __mlu_device__ void load(const T *x, int step, int first) {
    const int lines = count(step), size = chunk(first);
    if (by_rows()) {
      load_rows(tile, x + offset(step, first), lines, size, size, shape.length);
    } else {
      load_rows(tile, x + offset(step, first), size, lines, lines, shape.inner);
    }
    __sync_io();
  }
  __mlu_device__ void store(T *y, int step, int first) {
    const int lines = count(step), size = chunk(first);
    if (by_rows()) {
      store_rows(y + offset(step, first), tile, lines, size, size, shape.length);
    } else {
      store_rows(y + offset(step, first), tile, size, lines, lines, shape.inner);
    }
    __sync_io();
  }
};

template <typename T>
struct IntegerSum {
  __mlu_device__ static T fold(T a, T b) { return (T)((typename Wrapping<T>::type)a + (typename Wrapping<T>::type)b); }
};
template <typename T>
struct IntegerProduct {
  __mlu_device__ static T fold(T a, T b) { return (T)((typename Wrapping<T>::type)a * (typename Wrapping<T>::type)b); }
};
template <typename T>
struct IntegerLargest {
  __mlu_device__ static T fold(T a, T b) { return a > b ? a : b; }
};
template <typename T>
struct IntegerSmallest {
  __mlu_device__ static T fold(T a, T b) { return a < b ? a : b; }
};

// Y[outer][inner] = fold of whole numbers along the axis, which is not empty.
template <typename T, typename Fold>
__mlu_func__ void fold_integers(const ScanShape &shape, const T *x, T *y, char *nram) {
  Lines<T> lines = {shape};
  lines.prepare(nram);
  T *state = lines.tile + round_up(shape.tile_lines * shape.tile_length, kVectorBytes);
  const Share share = task_share(lines.tiles);
  for (int step = share.begin; step < share.end; ++step) {
    const int count = lines.count(step);
    for (int first = 0; first < shape.length; first += shape.tile_length) {
      const int size = lines.chunk(first);
      lines.load(x, step, first);
      for (int i = 0; i < count; ++i) {
        T value = first == 0 ? lines.tile[lines.at(i, 0, count, size)] : state[i];
        for (int k = first == 0 ? 1 : 0; k < size; ++k) {
          value = Fold::fold(value, lines.tile[lines.at(i, k, count, size)]);
        }
        state[i] = value;
      }
    }
    store_rows(y + lines.result(step), state, 1, count, count, 0);
    __sync_io();
  }
}

// Whether a is a better extreme than b; no number is better than any number.
template <typename T>
__mlu_func__ bool is_better(T a, T b, bool largest, bool or_equal) {
  if (b != b) return or_equal && a != a;
  return a != a || (largest ? a > b : a < b) || (or_equal && a == b);
}

// Y[outer][inner] = the position of the extreme along the axis: its first, or its last.
template <typename T, typename Value>
__mlu_func__ void extreme_position(const ScanShape &shape, bool largest, bool last, const T *x, int64_t *y, char *nram) {
  Lines<T> lines = {shape};
  lines.prepare(nram);
  int64_t *position = (int64_t *)(lines.tile + round_up(shape.tile_lines * shape.tile_length, kVectorBytes));
  Value *best = (Value *)(position + round_up(shape.tile_lines, kVectorBytes));
  const Share share = task_share(lines.tiles);
  for (int step = share.begin; step < share.end; ++step) {
    const int count = lines.count(step);
    for (int first = 0; first < shape.length; first += shape.tile_length) {
      const int size = lines.chunk(first);
      lines.load(x, step, first);
      for (int i = 0; i < count; ++i) {
        Value extreme = first == 0 ? (Value)lines.tile[lines.at(i, 0, count, size)] : best[i];
        int64_t place = first == 0 ? 0 : position[i];
        for (int k = first == 0 ? 1 : 0; k < size; ++k) {
          const Value value = (Value)lines.tile[lines.at(i, k, count, size)];
          if (is_better(value, extreme, largest, last)) {
            extreme = value;
            place = first + k;
          }
        }
        best[i] = extreme;
        position[i] = place;
      }
    }
    store_rows(y + lines.result(step), position, 1, count, count, 0);
    __sync_io();
  }
}

// Y[outer][k][inner] = the sum of X up to k along the axis; `exclusive` without X[k], `reverse` from the end on. `Sum` is what
// sums are held in.
template <typename T, typename Sum>
__mlu_func__ void running_sum(const ScanShape &shape, bool exclusive, bool reverse, const T *x, T *y, char *nram) {
  Lines<T> lines = {shape};
  lines.prepare(nram);
  Sum *state = (Sum *)(lines.tile + round_up(shape.tile_lines * shape.tile_length, kVectorBytes));
  const int chunks = divide_up(shape.length, shape.tile_length);
  const Share share = task_share(lines.tiles);
  for (int step = share.begin; step < share.end; ++step) {
    const int count = lines.count(step);
    for (int i = 0; i < count; ++i) state[i] = (Sum)0;
    for (int chunk = 0; chunk < chunks; ++chunk) {
      const int first = (reverse ? chunks - 1 - chunk : chunk) * shape.tile_length, size = lines.chunk(first);
      lines.load(x, step, first);
      for (int i = 0; i < count; ++i) {
        Sum sum = state[i];
        for (int k = 0; k < size; ++k) {
          const int place = lines.at(i, reverse ? size - 1 - k : k, count, size);
          const Sum next = sum + (Sum)lines.tile[place];
          lines.tile[place] = (T)(exclusive ? sum : next);
          sum = next;
        }
        state[i] = sum;
      }
      lines.store(y, step, first);
    }
  }
}

}  // namespace mm

#endif  // MM_KERNELS_SCAN_H_
