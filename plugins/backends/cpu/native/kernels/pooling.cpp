// Pools over any number of spatial axes of x [N, C, ...].
//
//   kernel         outputs                   params (`each`: one value for each spatial axis)
//   max_pool       y, indices? (i64)         storage_order, then each: kernel, stride, pad before, dilation
//   average_pool   y                         count_include_pad, the same four, then pads after each
//
// Indices are positions in the whole x, counted row-major, or with column-major planes if storage_order
// is 1. ceil_mode follows from the output's shape: what lies beyond the padding counts for nothing.
#include <algorithm>

#include "dtypes.h"
#include "window.h"

namespace mm {
namespace {

// Position of an input element when the spatial axes are counted column-major.
int64_t column_major(const Window& window, int64_t offset) {
  int64_t coordinates[MM_MAX_RANK], position = 0;
  window.split(offset, window.input, coordinates);
  for (int32_t i = window.rank - 1; i >= 0; --i) position = position * window.input[i] + coordinates[i];
  return position;
}

template <class T>
void run_max(const mm_call* call, int64_t begin, int64_t end, void*) {
  const mm_desc& x_desc = input_desc(call, 0);
  const Window window(x_desc, output_desc(call, 0), call->params + 1, call->params + 1 + (x_desc.rank - 2));
  const bool by_columns = call->params[0] != 0;
  using C = Compute<T>;
  int64_t* indices = call->n_outputs > 1 ? output<int64_t>(call, 1) : nullptr;
  int64_t out[MM_MAX_RANK], tap[MM_MAX_RANK];
  for (int64_t task = begin; task < end; ++task) {
    const int64_t plane = task / window.output_count;
    const T* x = input<T>(call, 0) + plane * window.input_count;
    window.split(task % window.output_count, window.output, out);
    C best = std::numeric_limits<C>::lowest();
    if constexpr (std::is_floating_point_v<C>) best = -std::numeric_limits<C>::infinity();
    int64_t best_at = -1;
    std::fill_n(tap, window.rank, 0);
    for (int64_t k = 0; k < window.kernel_count; ++k, window.advance(tap, window.kernel)) {
      const int64_t at = window.source(out, tap);
      if (at < 0) continue;
      const C value = load(x[at]);
      if (best_at < 0 || value > best || (value != value && best == best)) {
        best = value;
        best_at = at;
      }
    }
    output<T>(call, 0)[task] = store<T>(best);
    if (indices != nullptr) {
      const int64_t at = best_at < 0 ? 0 : by_columns ? column_major(window, best_at) : best_at;
      indices[task] = plane * window.input_count + at;
    }
  }
}

template <class T>
void run_average(const mm_call* call, int64_t begin, int64_t end, void*) {
  const mm_desc& x_desc = input_desc(call, 0);
  const int32_t rank = x_desc.rank - 2;
  const Window window(x_desc, output_desc(call, 0), call->params + 1, call->params + 1 + rank);
  const int64_t* pads_after = call->params + 1 + 4 * rank;
  const bool include_pad = call->params[0] != 0;
  using C = Compute<T>;
  int64_t out[MM_MAX_RANK], tap[MM_MAX_RANK];
  for (int64_t task = begin; task < end; ++task) {
    const T* x = input<T>(call, 0) + task / window.output_count * window.input_count;
    window.split(task % window.output_count, window.output, out);
    C sum = 0;
    int64_t count = 0;
    std::fill_n(tap, window.rank, 0);
    for (int64_t k = 0; k < window.kernel_count; ++k, window.advance(tap, window.kernel)) {
      const int64_t at = window.source(out, tap);
      if (at >= 0) {
        sum += load(x[at]);
        ++count;
      }
    }
    if (include_pad) {
      count = 1;
      for (int32_t i = 0; i < rank; ++i) {
        int64_t within = 0;  // taps of this axis that lie in the padded input
        for (int64_t k = 0; k < window.kernel[i]; ++k) {
          const int64_t at = out[i] * window.strides[i] - window.pads[i] + k * window.dilations[i];
          within += at >= -window.pads[i] && at < window.input[i] + pads_after[i];
        }
        count *= within;
      }
    }
    output<T>(call, 0)[task] = store<T>(sum / static_cast<C>(std::max<int64_t>(count, 1)));
  }
}

double checked(const Signature& s, int64_t groups_of_params) {
  const mm_desc& x = s.input(0);
  const mm_desc& y = s.output(0);
  s.expect_same_dtype(x, y);
  if (x.rank < 2 || y.rank != x.rank || x.dims[0] != y.dims[0] || x.dims[1] != y.dims[1]) {
    refuse("input and output must have one rank, batch and channels");
  }
  const int64_t rank = x.rank - 2;
  s.expect_params(1 + groups_of_params * rank);
  s.param(0, 0, 1);
  double taps = 1;
  for (int64_t i = 0; i < rank; ++i) taps *= static_cast<double>(s.param(1 + i, 1, 1 << 20));
  if (taps > 1e15) refuse("the window is too large");
  expect_window(s, 1 + rank, rank);
  return 4 * taps;
}

Prepared max_pool(const Signature& s) {
  s.expect(1, 1, 2, s.n_params);
  const double cost = checked(s, 4);
  if (s.has_output(1)) {
    s.expect_dtype(s.output(1), MM_I64);
    s.expect_same_shape(s.output(0), s.output(1));
  }
  return for_number(s, s.input(0), [&](auto tag) {
    return Prepared{run_max<typename decltype(tag)::type>, s.output(0).count, cost};
  });
}

Prepared average_pool(const Signature& s) {
  s.expect(1, 1, 1, s.n_params);
  const double cost = checked(s, 5);
  for (int64_t i = s.n_params - (s.input(0).rank - 2); i < s.n_params; ++i)
    s.param(i, -(int64_t{1} << 40), int64_t{1} << 40);
  return for_float(s, s.input(0), [&](auto tag) {
    return Prepared{run_average<typename decltype(tag)::type>, s.output(0).count, cost};
  });
}

}  // namespace

extern const LibraryKernel kPoolingKernels[] = {
    {"max_pool", max_pool}, {"average_pool", average_pool}, {nullptr, nullptr}};

}  // namespace mm
