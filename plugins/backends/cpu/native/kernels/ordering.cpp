// Searching and accumulating along one axis.
//
//   kernel           inputs   outputs                params
//   argmax argmin    x        index (i64 or i32)     [axis, select_last]       NaN counts as the extreme, as in NumPy
//   cumsum           x        y                      [axis, exclusive, reverse]
//   topk             x        values, index (i64)    [axis, largest, sorted]   k is the outputs' size, NaN greatest;
//                                                                              of equal values the first comes first
#include <algorithm>

#include "dtypes.h"
#include "shape.h"

namespace mm {
namespace {

// A total order in which NaN is the greatest.
template <class C>
bool greater(C a, C b) {
  return a > b || (a != a && b == b);
}

template <class T, class I, bool Largest>
void run_arg(const mm_call* call, int64_t begin, int64_t end, void*) {
  const Lines lines(input_desc(call, 0), call->params[0]);
  const bool select_last = call->params[1] != 0;
  for (int64_t task = begin; task < end; ++task) {
    const T* x = input<T>(call, 0) + lines.start(task);
    auto best = load(x[0]);
    int64_t index = 0;
    for (int64_t i = 1; i < lines.length; ++i) {
      const auto value = load(x[i * lines.inner]);
      const bool better = Largest ? greater(value, best) : value < best || (value != value && best == best);
      const bool equal = value == best || (value != value && best != best);
      if (better || (select_last && equal)) {
        best = value;
        index = i;
      }
    }
    output<I>(call, 0)[task] = static_cast<I>(index);
  }
}

template <bool Largest>
Prepared arg(const Signature& s) {
  s.expect(1, 1, 1, 2);
  s.expect_index(s.output(0));
  const Lines lines(s.input(0), s.param(0, 0, s.input(0).rank - 1));
  s.param(1, 0, 1);
  s.expect_count(s.output(0), lines.count());
  if (lines.length == 0 && lines.count() > 0) refuse("the axis is empty");
  return for_scalar(s, s.input(0), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const bool wide = s.output(0).dtype == MM_I64;
    return Prepared{wide ? run_arg<T, int64_t, Largest> : run_arg<T, int32_t, Largest>, lines.count(),
                    2.0 * static_cast<double>(lines.length)};
  });
}

// Sums of up to `kMost` lines that lie beside each other: memory is walked in the order in which it lies.
template <class T, int64_t kMost>
void sum_lines(const T* x, T* y, const Lines& lines, int64_t count, bool exclusive, bool reversed) {
  using C = Compute<T>;
  C totals[kMost] = {};
  for (int64_t k = 0; k < lines.length; ++k) {
    const int64_t row = (reversed ? lines.length - 1 - k : k) * lines.inner;
    for (int64_t line = 0; line < (kMost == 1 ? 1 : count); ++line) {
      C& total = totals[line];
      const C before = total;
      if constexpr (std::is_integral_v<C>) {
        total = static_cast<C>(static_cast<uint64_t>(total) + static_cast<uint64_t>(load(x[row + line])));
      } else {
        total += load(x[row + line]);
      }
      y[row + line] = store<T>(exclusive ? before : total);
    }
  }
}

template <class T>
void run_cumsum(const mm_call* call, int64_t begin, int64_t end, void*) {
  constexpr int64_t kMost = 64;
  const Lines lines(input_desc(call, 0), call->params[0]);
  const bool exclusive = call->params[1] != 0, reversed = call->params[2] != 0;
  for (int64_t task = begin, count; task < end; task += count) {
    const T* x = input<T>(call, 0) + lines.start(task);
    T* y = output<T>(call, 0) + lines.start(task);
    count = std::min({end - task, lines.inner - task % lines.inner, kMost});
    if (count == 1) {
      sum_lines<T, 1>(x, y, lines, count, exclusive, reversed);
    } else {
      sum_lines<T, kMost>(x, y, lines, count, exclusive, reversed);
    }
  }
}

Prepared cumsum(const Signature& s) {
  s.expect(1, 1, 1, 3);
  s.expect_same_dtype(s.input(0), s.output(0));
  s.expect_same_shape(s.input(0), s.output(0));
  const Lines lines(s.input(0), s.param(0, 0, s.input(0).rank - 1));
  s.param(1, 0, 1);
  s.param(2, 0, 1);
  return for_number(s, s.input(0), [&](auto tag) {
    return Prepared{run_cumsum<typename decltype(tag)::type>, lines.count(), 2.0 * static_cast<double>(lines.length)};
  });
}

template <class T>
void run_topk(const mm_call* call, int64_t begin, int64_t end, void* scratch) {
  using C = Compute<T>;
  const mm_desc& from = input_desc(call, 0);
  const Lines lines(from, call->params[0]);
  const bool largest = call->params[1] != 0, sorted = call->params[2] != 0;
  const int64_t k = output_desc(call, 0).dims[call->params[0]];
  int64_t* order = static_cast<int64_t*>(scratch);
  T* values = output<T>(call, 0);
  int64_t* indices = call->n_outputs > 1 ? output<int64_t>(call, 1) : nullptr;
  for (int64_t task = begin; task < end; ++task) {
    const T* x = input<T>(call, 0) + lines.start(task);
    for (int64_t i = 0; i < lines.length; ++i) order[i] = i;
    const auto before = [&](int64_t a, int64_t b) {
      const C left = load(x[a * lines.inner]), right = load(x[b * lines.inner]);
      if (greater(left, right)) return largest;
      if (greater(right, left)) return !largest;
      return a < b;
    };
    if (sorted && k * 8 < lines.length) {
      std::partial_sort(order, order + k, order + lines.length, before);
    } else if (sorted) {
      std::sort(order, order + lines.length, before);
    } else if (k < lines.length) {
      std::nth_element(order, order + k, order + lines.length, before);
      std::sort(order, order + k);
    }
    const int64_t first = task / lines.inner * k * lines.inner + task % lines.inner;
    for (int64_t i = 0; i < k; ++i) {
      values[first + i * lines.inner] = x[order[i] * lines.inner];
      if (indices != nullptr) indices[first + i * lines.inner] = order[i];
    }
  }
}

Prepared topk(const Signature& s) {
  s.expect(1, 1, 2, 3);
  const mm_desc& x = s.input(0);
  const mm_desc& values = s.output(0);
  s.expect_same_dtype(x, values);
  const int64_t axis = s.param(0, 0, x.rank - 1);
  s.param(1, 0, 1);
  s.param(2, 0, 1);
  const Lines lines(x, axis);
  if (values.rank != x.rank || values.dims[axis] > lines.length)
    refuse("more elements are asked for than the axis has");
  s.expect_count(values, lines.count() * values.dims[axis]);
  if (s.has_output(1)) {
    s.expect_dtype(s.output(1), MM_I64);
    s.expect_same_shape(values, s.output(1));
  }
  return for_scalar(s, x, [&](auto tag) {
    return Prepared{run_topk<typename decltype(tag)::type>, lines.count(), 16.0 * static_cast<double>(lines.length),
                    lines.length * static_cast<int64_t>(sizeof(int64_t))};
  });
}

}  // namespace

extern const LibraryKernel kOrderingKernels[] = {
    {"argmax", arg<true>}, {"argmin", arg<false>}, {"cumsum", cumsum}, {"topk", topk}, {nullptr, nullptr},
};

}  // namespace mm
