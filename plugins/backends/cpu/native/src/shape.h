// Walking tensors: strides, broadcasting, and odometers over index spaces.
#pragma once

#include <algorithm>

#include "kernel.h"

namespace mm {

// Row-major strides, in elements.
inline void row_major(const mm_desc& a, int64_t* strides) {
  int64_t stride = 1;
  for (int32_t i = a.rank - 1; i >= 0; --i) {
    strides[i] = stride;
    stride *= a.dims[i];
  }
}

// Strides of `from` seen in the shape of `to` (NumPy broadcasting): 0 along stretched axes.
inline void broadcast_strides(const mm_desc& from, const mm_desc& to, int64_t* strides) {
  int64_t own[MM_MAX_RANK];
  row_major(from, own);
  const int32_t shift = to.rank - from.rank;
  for (int32_t i = 0; i < to.rank; ++i) strides[i] = i < shift || from.dims[i - shift] == 1 ? 0 : own[i - shift];
}

// Refuses operands that do not broadcast to `to`.
inline void expect_broadcast(const mm_desc& from, const mm_desc& to) {
  bool fits = from.rank <= to.rank;
  for (int32_t i = 0; fits && i < from.rank; ++i) {
    const int64_t dim = from.dims[from.rank - 1 - i];
    fits = dim == 1 || dim == to.dims[to.rank - 1 - i];
  }
  if (!fits) refuse("an operand does not broadcast to the shape of the result");
}

// An index space with `N` operands of given strides, walked in row-major order. Axes that lie next to each other in
// memory for all operands are merged, so that the innermost loop is long.
template <int N>
class Walk {
 public:
  int32_t rank = 0;
  int64_t dims[MM_MAX_RANK + 1];
  int64_t strides[N][MM_MAX_RANK + 1];

  void add_axis(int64_t dim, const int64_t (&stride)[N]) {
    if (dim == 1) return;
    if (rank > 0) {
      bool merge = true;
      for (int k = 0; k < N; ++k) merge = merge && strides[k][rank - 1] == stride[k] * dim;
      if (merge) {
        dims[rank - 1] *= dim;
        for (int k = 0; k < N; ++k) strides[k][rank - 1] = stride[k];
        return;
      }
    }
    dims[rank] = dim;
    for (int k = 0; k < N; ++k) strides[k][rank] = stride[k];
    ++rank;
  }

  // Visits positions [begin, end) as rows: visit(offsets, count), along the innermost axis, whose strides are
  // `inner`.
  template <class Visit>
  void rows(int64_t begin, int64_t end, Visit visit) {
    if (begin >= end) return;
    if (rank == 0) {
      dims[0] = 1;
      for (int k = 0; k < N; ++k) strides[k][0] = 0;
      rank = 1;
    }
    int64_t index[MM_MAX_RANK + 1], offsets[N] = {};
    int64_t rest = begin;
    for (int32_t i = rank - 1; i >= 0; --i) {
      index[i] = rest % dims[i];
      rest /= dims[i];
      for (int k = 0; k < N; ++k) offsets[k] += index[i] * strides[k][i];
    }
    const int32_t last = rank - 1;
    for (int64_t position = begin; position < end;) {
      const int64_t count = std::min(dims[last] - index[last], end - position);
      visit(static_cast<const int64_t*>(offsets), count);
      position += count;
      for (int k = 0; k < N; ++k) offsets[k] -= index[last] * strides[k][last];
      index[last] = 0;
      for (int32_t i = last - 1; i >= 0; --i) {
        for (int k = 0; k < N; ++k) offsets[k] += strides[k][i];
        if (++index[i] < dims[i]) break;
        for (int k = 0; k < N; ++k) offsets[k] -= index[i] * strides[k][i];
        index[i] = 0;
      }
    }
  }

  int64_t inner(int k) const { return rank == 0 ? 0 : strides[k][rank - 1]; }
};

// The walk over the output of an element-wise kernel: operand 0 is the output, the others are its inputs, broadcast.
template <int N>
Walk<N> broadcast_walk(const mm_call* call) {
  const mm_desc& to = output_desc(call, 0);
  int64_t strides[N][MM_MAX_RANK];
  row_major(to, strides[0]);
  for (int k = 1; k < N; ++k) broadcast_strides(input_desc(call, k - 1), to, strides[k]);
  Walk<N> walk;
  for (int32_t i = 0; i < to.rank; ++i) {
    int64_t stride[N];
    for (int k = 0; k < N; ++k) stride[k] = strides[k][i];
    walk.add_axis(to.dims[i], stride);
  }
  return walk;
}

// A tensor seen as [outer, axis, inner].
struct Lines {
  int64_t outer, length, inner;
  Lines(const mm_desc& a, int64_t axis)
      : outer(product(a, 0, axis)), length(a.dims[axis]), inner(product(a, axis + 1, a.rank)) {}
  int64_t count() const { return outer * inner; }
  // Offset of the first element of line `i`; its elements are `inner` apart.
  int64_t start(int64_t i) const { return i / inner * length * inner + i % inner; }
};

}  // namespace mm
