// Runs of neighbouring elements fetched from, or put at, places that integers name.
//
// Places        A functor, generated for the shapes: from the number of a run and its tuple of indices to the element where the
//               run begins. Negative indices count from the end. The operators have no result for an index that is out of
//               range; here it picks the nearest element, so that no foreign memory is touched.
// Gathering     for tile of runs (dealt to the tasks): its indices are loaded, each run is copied, the tile is stored.
// Scattering    one task, since runs may meet at one place: for each run in order, the element there is combined with it.
// Memories      NRAM: the indices and runs of a tile; for combinations also what lies at the place
#ifndef MM_KERNELS_INDEXING_H_
#define MM_KERNELS_INDEXING_H_

#include "common.h"
#include "scalar.h"

namespace mm {

struct RunShape {
  int count;       // runs
  int depth;       // indices of a run
  int length;      // elements of a run
  int tile_runs;
  int tile_length; // elements of a run that are moved at once
};

template <typename Index>
__mlu_func__ int64_t index_within(Index given, int size) {
  int64_t index = (int64_t)given;
  if (index < 0) index += size;
  return index < 0 ? 0 : index >= size ? size - 1 : index;
}

template <typename T, typename Index, typename Place>
__mlu_func__ void gather_runs(const RunShape &shape, const Place &place, const T *x, const Index *indices, T *y,
                              char *nram) {
  Carver on_chip = {nram};
  Index *tuples = on_chip.take<Index>(shape.tile_runs * shape.depth);
  T *runs = on_chip.take<T>(shape.tile_runs * shape.tile_length);
  const Share share = task_share(divide_up(shape.count, shape.tile_runs));
  for (int step = share.begin; step < share.end; ++step) {
    const int first = step * shape.tile_runs, count = minimum(shape.tile_runs, shape.count - first);
    load_rows(tuples, indices + (int64_t)first * shape.depth, 1, count * shape.depth, count * shape.depth, 0);
    __sync_io();
    for (int begin = 0; begin < shape.length; begin += shape.tile_length) {
      const int length = minimum(shape.tile_length, shape.length - begin);
      for (int i = 0; i < count; ++i) {
        const int64_t from = place(first + i, tuples + i * shape.depth) + begin;
        load_rows(runs + i * length, x + from, 1, length, length, 0);
      }
      __sync_io();
      store_rows(y + (int64_t)first * shape.length + begin, runs, count, length, length, shape.length);
      __sync_io();
    }
  }
}

template <typename T>
struct Replace {
  __mlu_device__ static T combine(T, T update) { return update; }
};
template <typename T>
struct CombineAdd {
  __mlu_device__ static T combine(T a, T b) { return (T)(a + b); }
};
template <typename T>
struct CombineMultiply {
  __mlu_device__ static T combine(T a, T b) { return (T)(a * b); }
};
template <typename T>
struct CombineLargest {
  __mlu_device__ static T combine(T a, T b) { return a >= b || a != a ? a : b; }
};
template <typename T>
struct CombineSmallest {
  __mlu_device__ static T combine(T a, T b) { return a <= b || a != a ? a : b; }
};

template <typename T, typename Combine, typename Index, typename Place>
__mlu_func__ void scatter_runs(const RunShape &shape, const Place &place, const Index *indices, const T *updates, T *y,
                               char *nram) {
  if (taskId != 0) return;
  Carver on_chip = {nram};
  Index *tuples = on_chip.take<Index>(shape.tile_runs * shape.depth);
  T *runs = on_chip.take<T>(shape.tile_runs * shape.tile_length);
  T *there = on_chip.take<T>(shape.tile_length);
  for (int first = 0; first < shape.count; first += shape.tile_runs) {
    const int count = minimum(shape.tile_runs, shape.count - first);
    load_rows(tuples, indices + (int64_t)first * shape.depth, 1, count * shape.depth, count * shape.depth, 0);
    for (int begin = 0; begin < shape.length; begin += shape.tile_length) {
      const int length = minimum(shape.tile_length, shape.length - begin);
      load_rows(runs, updates + (int64_t)first * shape.length + begin, count, length, length, shape.length);
      __sync_io();
      for (int i = 0; i < count; ++i) {
        T *at = y + place(first + i, tuples + i * shape.depth) + begin;
        __memcpy(there, at, length * (int)sizeof(T), GDRAM2NRAM);
        for (int k = 0; k < length; ++k) there[k] = Combine::combine(there[k], runs[i * length + k]);
        __memcpy(at, there, length * (int)sizeof(T), NRAM2GDRAM);
      }
    }
  }
}

// Whether element a of index i comes before element b of index j among the best: no number is larger than any.
template <typename T>
__mlu_func__ bool comes_before(T a, int64_t i, T b, int64_t j, bool largest) {
  const bool a_missing = a != a, b_missing = b != b;
  if (a_missing != b_missing) return largest ? a_missing : b_missing;
  if (!a_missing && a != b) return largest ? a > b : a < b;
  return i < j;
}

// Puts element `k` at the root of a heap whose root comes last, down to where it belongs.
template <typename T, typename Value>
__mlu_func__ void sink(const T *line, int64_t *heap, int size, int64_t k, bool largest) {
  int hole = 0;
  for (;;) {
    int child = 2 * hole + 1;
    if (child >= size) break;
    const int other = child + 1;
    if (other < size &&
        comes_before<Value>(line[heap[child]], heap[child], line[heap[other]], heap[other], largest)) {
      child = other;
    }
    if (!comes_before<Value>(line[k], k, line[heap[child]], heap[child], largest)) break;
    heap[hole] = heap[child];
    hole = child;
  }
  heap[hole] = k;
}

struct TopShape {
  int outer, length, inner, kept;
};

// The first `kept` of each line [outer][k][inner] in order, and their indices. A line is held on chip; its best are a heap whose
// root is the last of them, and are taken out from the last to the first.
template <typename T, typename Value>
__mlu_func__ void top(const TopShape &shape, bool largest, const T *x, T *values, int64_t *indices, char *nram) {
  Carver on_chip = {nram};
  T *line = on_chip.take<T>(shape.length);
  int64_t *heap = on_chip.take<int64_t>(shape.kept);
  T *best = on_chip.take<T>(shape.kept);
  const Share share = task_share(shape.outer * shape.inner);
  for (int step = share.begin; step < share.end; ++step) {
    const int outer = step / shape.inner, column = step % shape.inner;
    load_rows(line, x + (int64_t)outer * shape.length * shape.inner + column, shape.length, 1, 1, shape.inner);
    __sync_io();
    int size = 0;
    for (int k = 0; k < shape.length; ++k) {
      int hole;
      if (size < shape.kept) {  // up from the end
        hole = size++;
        while (hole > 0) {
          const int parent = (hole - 1) / 2;
          if (!comes_before<Value>(line[heap[parent]], heap[parent], line[k], k, largest)) break;
          heap[hole] = heap[parent];
          hole = parent;
        }
        heap[hole] = k;
      } else if (comes_before<Value>(line[k], k, line[heap[0]], heap[0], largest)) {
        sink<T, Value>(line, heap, size, k, largest);
      }
    }
    for (int place = size - 1; place > 0; --place) {
      const int64_t last = heap[0];
      sink<T, Value>(line, heap, place, heap[place], largest);
      heap[place] = last;
    }
    for (int i = 0; i < size; ++i) best[i] = line[heap[i]];
    const int64_t result = (int64_t)outer * shape.kept * shape.inner + column;
    store_rows(values + result, best, shape.kept, 1, 1, shape.inner);
    store_rows(indices + result, heap, shape.kept, 1, 1, shape.inner);
    __sync_io();
  }
}

}  // namespace mm

#endif  // MM_KERNELS_INDEXING_H_
