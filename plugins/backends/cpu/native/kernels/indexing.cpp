// Gathering and scattering by index: any element type; indices i32 or i64, negative ones count from the end. An index
// outside its axis fails the run with MM_INDEX_OUT_OF_RANGE.
//
//   kernel            inputs                    params
//   gather            x, indices                [axis]
//   gather_elements   x, indices                [axis]
//   gather_nd         x, indices                [batch_dims]
//   scatter_elements  x, indices, updates       [axis, reduction]
//   scatter_nd        x, indices, updates       [reduction]
//   reduction: 0 none (the last update wins), 1 add, 2 mul, 3 maximum, 4 minimum (numbers and i1)
#include "dtypes.h"
#include "shape.h"

namespace mm {
namespace {

// Indices of either width, checked against the axis they point into.
class Indices {
 public:
  Indices(const mm_call* call, int32_t operand)
      : call_(call), data_(call->data[operand]), wide_(call->desc[operand].dtype == MM_I64) {}

  // The index at `position`, or -1 after reporting that it is outside [-length, length).
  int64_t at(int64_t position, int64_t length) const {
    const int64_t index =
        wide_ ? static_cast<const int64_t*>(data_)[position] : static_cast<const int32_t*>(data_)[position];
    const int64_t wrapped = index < 0 ? index + length : index;
    if (wrapped >= 0 && wrapped < length) return wrapped;
    report(call_, MM_INDEX_OUT_OF_RANGE);
    return -1;
  }

  // Offset of the slice that `depth` indices from `position` on point to in the axes of `x` from `first` on, or -1.
  int64_t offset(int64_t position, int64_t depth, const mm_desc& x, int64_t first) const {
    int64_t offset = 0;
    for (int64_t k = 0; k < depth; ++k) {
      const int64_t index = at(position + k, x.dims[first + k]);
      if (index < 0) return -1;
      offset = offset * x.dims[first + k] + index;
    }
    return offset;
  }

 private:
  const mm_call* call_;
  const void* data_;
  bool wide_;
};

// A task is one index of one outer slab: it copies `inner` elements.
template <class T>
void run_gather(const mm_call* call, int64_t begin, int64_t end, void*) {
  const Lines lines(input_desc(call, 0), call->params[0]);
  const int64_t n_indices = input_desc(call, 1).count;
  const Indices indices(call, 1);
  for (int64_t task = begin; task < end; ++task) {
    const int64_t index = indices.at(task % n_indices, lines.length);
    if (index < 0) return;
    const T* x = input<T>(call, 0) + (task / n_indices * lines.length + index) * lines.inner;
    std::copy_n(x, lines.inner, output<T>(call, 0) + task * lines.inner);
  }
}

template <class T>
void run_gather_elements(const mm_call* call, int64_t begin, int64_t end, void*) {
  const mm_desc& x_desc = input_desc(call, 0);
  const mm_desc& to = output_desc(call, 0);
  const int64_t axis = call->params[0];
  int64_t strides[MM_MAX_RANK];
  row_major(x_desc, strides);
  const Indices indices(call, 1);
  for (int64_t task = begin; task < end; ++task) {
    const int64_t index = indices.at(task, x_desc.dims[axis]);
    if (index < 0) return;
    int64_t rest = task, offset = index * strides[axis];
    for (int32_t i = to.rank - 1; i >= 0; --i) {
      if (i != axis) offset += rest % to.dims[i] * strides[i];
      rest /= to.dims[i];
    }
    output<T>(call, 0)[task] = input<T>(call, 0)[offset];
  }
}

// A task is one index tuple.
template <class T>
void run_gather_nd(const mm_call* call, int64_t begin, int64_t end, void*) {
  const mm_desc& x_desc = input_desc(call, 0);
  const mm_desc& i_desc = input_desc(call, 1);
  const int64_t batch_dims = call->params[0], depth = i_desc.dims[i_desc.rank - 1];
  const int64_t per_batch = product(i_desc, batch_dims, i_desc.rank - 1);
  const int64_t batch_size = product(x_desc, batch_dims, x_desc.rank);
  const int64_t inner = product(x_desc, batch_dims + depth, x_desc.rank);
  const Indices indices(call, 1);
  for (int64_t task = begin; task < end; ++task) {
    const int64_t offset = indices.offset(task * depth, depth, x_desc, batch_dims);
    if (offset < 0) return;
    const T* x = input<T>(call, 0) + task / per_batch * batch_size + offset * inner;
    std::copy_n(x, inner, output<T>(call, 0) + task * inner);
  }
}

enum Reduction : int64_t { kNone = 0, kAdd = 1, kMul = 2, kMaximum = 3, kMinimum = 4 };

struct Replace {
  template <class T>
  static T apply(T, T update) {
    return update;
  }
};

template <int64_t R>
struct Combine {
  template <class T>
  static T apply(T old, T update) {
    const auto a = load(old), b = load(update);
    using C = Compute<T>;
    if constexpr (R == kMaximum) return store<T>(a > b || a != a ? a : b);
    else if constexpr (R == kMinimum) return store<T>(a < b || a != a ? a : b);
    else if constexpr (std::is_same_v<C, bool>) return store<T>(R == kAdd ? a || b : a && b);
    else if constexpr (std::is_integral_v<C>) {
      const uint64_t left = static_cast<uint64_t>(a), right = static_cast<uint64_t>(b);
      return store<T>(static_cast<C>(R == kAdd ? left + right : left * right));
    } else return store<T>(R == kAdd ? a + b : a * b);
  }
};

// A task is one line of x along the axis: it is copied, then takes its updates in order.
template <class T, class F>
void run_scatter_elements(const mm_call* call, int64_t begin, int64_t end, void*) {
  const mm_desc& x_desc = input_desc(call, 0);
  const mm_desc& i_desc = input_desc(call, 1);
  const int64_t axis = call->params[0];
  const Lines lines(x_desc, axis);
  int64_t strides[MM_MAX_RANK];
  row_major(i_desc, strides);
  const Indices indices(call, 1);
  const T* updates = input<T>(call, 2);
  for (int64_t task = begin; task < end; ++task) {
    const T* x = input<T>(call, 0) + lines.start(task);
    T* y = output<T>(call, 0) + lines.start(task);
    for (int64_t i = 0; i < lines.length; ++i) y[i * lines.inner] = x[i * lines.inner];
    int64_t rest = task, first = 0;
    bool covered = true;  // whether the indices reach this line
    for (int32_t i = x_desc.rank - 1; i >= 0; --i) {
      if (i == axis) continue;
      const int64_t coordinate = rest % x_desc.dims[i];
      rest /= x_desc.dims[i];
      covered = covered && coordinate < i_desc.dims[i];
      first += coordinate * strides[i];
    }
    if (!covered) continue;
    for (int64_t i = 0; i < i_desc.dims[axis]; ++i) {
      const int64_t position = first + i * strides[axis];
      const int64_t index = indices.at(position, lines.length);
      if (index < 0) return;
      T& target = y[index * lines.inner];
      target = F::apply(target, updates[position]);
    }
  }
}

// A task is one slice of x that a tuple can name. Every range looks at all tuples and takes those that fall into it,
// so that updates of one slice stay in order however the tasks are split.
template <class T, class F>
void run_scatter_nd(const mm_call* call, int64_t begin, int64_t end, void*) {
  const mm_desc& x_desc = input_desc(call, 0);
  const mm_desc& i_desc = input_desc(call, 1);
  const int64_t depth = i_desc.dims[i_desc.rank - 1], tuples = product(i_desc, 0, i_desc.rank - 1);
  const int64_t inner = product(x_desc, depth, x_desc.rank);
  const Indices indices(call, 1);
  const T* updates = input<T>(call, 2);
  T* y = output<T>(call, 0);
  std::copy_n(input<T>(call, 0) + begin * inner, (end - begin) * inner, y + begin * inner);
  for (int64_t tuple = 0; tuple < tuples; ++tuple) {
    const int64_t offset = indices.offset(tuple * depth, depth, x_desc, 0);
    if (offset < 0) return;
    if (offset < begin || offset >= end) continue;
    for (int64_t i = 0; i < inner; ++i) {
      T& target = y[offset * inner + i];
      target = F::apply(target, updates[tuple * inner + i]);
    }
  }
}

Prepared gather(const Signature& s) {
  s.expect(2, 2, 1, 1);
  s.expect_same_dtype(s.input(0), s.output(0));
  s.expect_index(s.input(1));
  const mm_desc& x = s.input(0);
  const Lines lines(x, s.param(0, 0, x.rank - 1));
  s.expect_count(s.output(0), lines.outer * s.input(1).count * lines.inner);
  return for_size(s, x, [&](auto tag) {
    return Prepared{run_gather<typename decltype(tag)::type>, lines.outer * s.input(1).count,
                    4.0 + static_cast<double>(lines.inner)};
  });
}

Prepared gather_elements(const Signature& s) {
  s.expect(2, 2, 1, 1);
  const mm_desc& x = s.input(0);
  const mm_desc& to = s.output(0);
  s.expect_same_dtype(x, to);
  s.expect_index(s.input(1));
  s.expect_same_shape(s.input(1), to);
  const int64_t axis = s.param(0, 0, x.rank - 1);
  if (x.rank != to.rank) refuse("the indices have another rank than the data");
  for (int32_t i = 0; i < x.rank; ++i) {
    if (i != axis && to.dims[i] > x.dims[i]) refuse("the indices are larger than the data in axis %d", i);
  }
  return for_size(
      s, x, [&](auto tag) { return Prepared{run_gather_elements<typename decltype(tag)::type>, to.count, 8.0}; });
}

Prepared gather_nd(const Signature& s) {
  s.expect(2, 2, 1, 1);
  const mm_desc& x = s.input(0);
  const mm_desc& indices = s.input(1);
  s.expect_same_dtype(x, s.output(0));
  s.expect_index(indices);
  if (indices.rank < 1) refuse("the indices are a scalar");
  const int64_t batch_dims = s.param(0, 0, std::min(x.rank, indices.rank - 1));
  const int64_t depth = indices.dims[indices.rank - 1];
  if (batch_dims + depth > x.rank) refuse("the index tuples are longer than the data's rank");
  for (int64_t i = 0; i < batch_dims; ++i) {
    if (x.dims[i] != indices.dims[i]) refuse("data and indices differ in batch axis %lld", static_cast<long long>(i));
  }
  const int64_t tuples = product(indices, 0, indices.rank - 1), inner = product(x, batch_dims + depth, x.rank);
  s.expect_count(s.output(0), tuples * inner);
  return for_size(s, x, [&](auto tag) {
    return Prepared{run_gather_nd<typename decltype(tag)::type>, tuples, 8.0 + static_cast<double>(inner)};
  });
}

// Calls make(Tag<T>, F) for the element type and the reduction.
template <class Make>
Prepared for_reduction(const Signature& s, const mm_desc& x, int64_t reduction, Make make) {
  const auto combined = [&](auto combine) { return for_real(s, x, [&](auto tag) { return make(tag, combine); }); };
  switch (reduction) {
    case kAdd:
      return combined(Combine<kAdd>{});
    case kMul:
      return combined(Combine<kMul>{});
    case kMaximum:
      return combined(Combine<kMaximum>{});
    case kMinimum:
      return combined(Combine<kMinimum>{});
    default:
      return for_size(s, x, [&](auto tag) { return make(tag, Replace{}); });
  }
}

void expect_scatter(const Signature& s) {
  s.expect_same_dtype(s.input(0), s.output(0));
  s.expect_same_dtype(s.input(0), s.input(2));
  s.expect_same_shape(s.input(0), s.output(0));
  s.expect_index(s.input(1));
}

Prepared scatter_elements(const Signature& s) {
  s.expect(3, 3, 1, 2);
  expect_scatter(s);
  s.expect_same_shape(s.input(1), s.input(2));
  const mm_desc& x = s.input(0);
  const mm_desc& indices = s.input(1);
  const int64_t axis = s.param(0, 0, x.rank - 1);
  if (indices.rank != x.rank) refuse("the indices have another rank than the data");
  for (int32_t i = 0; i < x.rank; ++i) {
    if (i != axis && indices.dims[i] > x.dims[i]) refuse("the indices are larger than the data in axis %d", i);
  }
  const Lines lines(x, axis);
  // With an empty axis there are no lines to run over, but an index into it is still wrong.
  if (lines.length == 0 && indices.count > 0) refuse("indices point into an empty axis");
  return for_reduction(s, x, s.param(1, kNone, kMinimum), [&](auto tag, auto combine) {
    using T = typename decltype(tag)::type;
    return Prepared{run_scatter_elements<T, decltype(combine)>, lines.count(),
                    4.0 * static_cast<double>(lines.length)};
  });
}

Prepared scatter_nd(const Signature& s) {
  s.expect(3, 3, 1, 1);
  expect_scatter(s);
  const mm_desc& x = s.input(0);
  const mm_desc& indices = s.input(1);
  if (indices.rank < 1) refuse("the indices are a scalar");
  const int64_t depth = indices.dims[indices.rank - 1];
  if (depth > x.rank) refuse("the index tuples are longer than the data's rank");
  const int64_t inner = product(x, depth, x.rank), slices = product(x, 0, depth);
  s.expect_count(s.input(2), product(indices, 0, indices.rank - 1) * inner);
  return for_reduction(s, x, s.param(0, kNone, kMinimum), [&](auto tag, auto combine) {
    using T = typename decltype(tag)::type;
    return Prepared{run_scatter_nd<T, decltype(combine)>, slices, 1.0 + static_cast<double>(inner)};
  });
}

}  // namespace

extern const LibraryKernel kIndexingKernels[] = {
    {"gather", gather},         {"gather_elements", gather_elements},
    {"gather_nd", gather_nd},   {"scatter_elements", scatter_elements},
    {"scatter_nd", scatter_nd}, {nullptr, nullptr},
};

}  // namespace mm
