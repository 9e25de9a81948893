// Reductions over any set of axes. Input x; output of x's shape without the axes, or with size 1 in their place.
//
//   reduce_sum reduce_prod reduce_max reduce_min    params: for each axis 1 if it is reduced, else 0
//
// Types: numbers; max and min also i1. Nothing to reduce gives the neutral element (-inf or the lowest number for
// max). Sums of f32, f16 and bf16 are accumulated so that long axes stay accurate.
#include "dtypes.h"
#include "shape.h"

namespace mm {
namespace {

constexpr int kLanes = 16;

// What is accumulated: halves in float, integers without sign (they wrap), single precision in float within short
// runs and in double across them.
template <class C>
using Accumulator =
    std::conditional_t<std::is_same_v<C, float>, double,
                       std::conditional_t<std::is_integral_v<C> && !std::is_same_v<C, bool>, uint64_t, C>>;

struct Sum {
  template <class C>
  using Acc = Accumulator<C>;
  template <class C>
  static C first() {
    return C(0);
  }
  template <class A>
  static A combine(A a, A b) {
    return a + b;
  }
};
struct Prod {
  template <class C>
  using Acc = Accumulator<C>;
  template <class C>
  static C first() {
    return C(1);
  }
  template <class A>
  static A combine(A a, A b) {
    return a * b;
  }
};
struct Max {
  template <class C>
  using Acc = C;
  template <class C>
  static C first() {
    if constexpr (std::is_floating_point_v<C>) return -std::numeric_limits<C>::infinity();
    else return std::numeric_limits<C>::lowest();
  }
  template <class A>
  static A combine(A a, A b) {
    return a > b || a != a ? a : b;
  }
};
struct Min {
  template <class C>
  using Acc = C;
  template <class C>
  static C first() {
    if constexpr (std::is_floating_point_v<C>) return std::numeric_limits<C>::infinity();
    else return std::numeric_limits<C>::max();
  }
  template <class A>
  static A combine(A a, A b) {
    return a < b || a != a ? a : b;
  }
};

// A run along memory, in lanes that are combined at the end in a fixed order.
template <class F, class C, class T>
inline C reduce_run(const T* x, int64_t count) {
  C lanes[kLanes];
  for (C& lane : lanes) lane = F::template first<C>();
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int k = 0; k < kLanes; ++k) lanes[k] = F::combine(lanes[k], static_cast<C>(load(x[i + k])));
  }
  for (int k = 0; i < count; ++i, ++k) lanes[k] = F::combine(lanes[k], static_cast<C>(load(x[i])));
  for (int width = kLanes / 2; width > 0; width /= 2) {
    for (int k = 0; k < width; ++k) lanes[k] = F::combine(lanes[k], lanes[k + width]);
  }
  return lanes[0];
}

template <class F>
MM_CLONES float reduce_float_run(const float* x, int64_t count) {
  return reduce_run<F, float>(x, count);
}

template <class F, class A, class T>
A reduce_along(const T* x, int64_t count, int64_t step) {
  A total = F::template first<A>();
  if (step != 1) {
    for (int64_t i = 0; i < count; ++i) total = F::combine(total, static_cast<A>(load(x[i * step])));
  } else if constexpr (std::is_same_v<T, float>) {
    constexpr int64_t kRun = 2048;  // short enough that single precision loses little
    for (int64_t i = 0; i < count; i += kRun) {
      total = F::combine(total, static_cast<A>(reduce_float_run<F>(x + i, std::min(kRun, count - i))));
    }
  } else {
    total = reduce_run<F, A>(x, count);
  }
  return total;
}

// Adds one row of x to a row of accumulators.
template <class F, class A, class T>
inline void accumulate(A* totals, const T* x, int64_t count) {
  for (int64_t i = 0; i < count; ++i) totals[i] = F::combine(totals[i], static_cast<A>(load(x[i])));
}

template <class F, class A>
MM_CLONES void accumulate_float(A* totals, const float* x, int64_t count) {
  accumulate<F>(totals, x, count);
}

constexpr int64_t kRowBlock = 256;

template <class F, class T>
void run(const mm_call* call, int64_t begin, int64_t end, void*) {
  using C = Compute<T>;
  using A = typename F::template Acc<C>;
  const mm_desc& from = input_desc(call, 0);
  int64_t strides[MM_MAX_RANK];
  row_major(from, strides);
  Walk<1> kept, reduced;
  int64_t n_reduced = 1;
  for (int32_t i = 0; i < from.rank; ++i) {
    if (call->params[i] != 0) {
      n_reduced *= from.dims[i];
      reduced.add_axis(from.dims[i], {strides[i]});
    } else {
      kept.add_axis(from.dims[i], {strides[i]});
    }
  }
  const T* x = input<T>(call, 0);
  T* y = output<T>(call, 0) + begin;
  const int64_t kept_step = kept.inner(0), reduced_step = reduced.inner(0);
  kept.rows(begin, end, [&](const int64_t* at, int64_t count) {
    const T* row = x + at[0];
    if (kept_step == 1) {
      // The outputs lie side by side: go through x row by row.
      for (int64_t block = 0; block < count; block += kRowBlock) {
        A totals[kRowBlock];
        const int64_t width = std::min(kRowBlock, count - block);
        std::fill_n(totals, width, F::template first<A>());
        reduced.rows(0, n_reduced, [&](const int64_t* start, int64_t length) {
          for (int64_t k = 0; k < length; ++k) {
            const T* source = row + block + start[0] + k * reduced_step;
            if constexpr (std::is_same_v<T, float>) accumulate_float<F>(totals, source, width);
            else accumulate<F>(totals, source, width);
          }
        });
        for (int64_t i = 0; i < width; ++i) y[i] = Store<T>::from(static_cast<C>(totals[i]));
        y += width;
      }
      return;
    }
    for (int64_t i = 0; i < count; ++i) {
      A total = F::template first<A>();
      reduced.rows(0, n_reduced, [&](const int64_t* start, int64_t length) {
        total = F::combine(total, reduce_along<F, A>(row + i * kept_step + start[0], length, reduced_step));
      });
      *y++ = Store<T>::from(static_cast<C>(total));
    }
  });
}

Prepared checked(const Signature& s, mm_kernel kernel) {
  const mm_desc& x = s.input(0);
  int64_t outputs = 1, reduced = 1;
  for (int32_t i = 0; i < x.rank; ++i) (s.param(i, 0, 1) != 0 ? reduced : outputs) *= x.dims[i];
  s.expect_count(s.output(0), outputs);
  return {kernel, outputs, 1.0 + static_cast<double>(reduced)};
}

void expect(const Signature& s) {
  s.expect(1, 1, 1, s.n_params);
  s.expect_params(s.input(0).rank);
  s.expect_same_dtype(s.input(0), s.output(0));
}

template <class F>
Prepared numbers(const Signature& s) {
  expect(s);
  return for_number(s, s.input(0), [&](auto tag) { return checked(s, run<F, typename decltype(tag)::type>); });
}

template <class F>
Prepared scalars(const Signature& s) {
  expect(s);
  return for_scalar(s, s.input(0), [&](auto tag) { return checked(s, run<F, typename decltype(tag)::type>); });
}

}  // namespace

extern const LibraryKernel kReduceKernels[] = {
    {"reduce_sum", numbers<Sum>}, {"reduce_prod", numbers<Prod>},
    {"reduce_max", scalars<Max>}, {"reduce_min", scalars<Min>},
    {nullptr, nullptr},
};

}  // namespace mm
