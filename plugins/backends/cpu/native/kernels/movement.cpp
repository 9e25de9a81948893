// Kernels that move elements and compute nothing: any element type.
//
//   kernel       inputs              params
//   reshape      x                   -                         (a copy; the shape is the output's)
//   expand       x                   -                         (broadcast to the output's shape)
//   transpose    x                   permutation
//   slice        x                   start of each axis, then step of each axis; the size is the output's
//   reverse      x                   for each axis 1 if it is reversed, else 0
//   pad          x, value?           mode (0 constant, 1 reflect, 2 edge, 3 wrap), elements before each axis (or < 0)
//   concat       x...                [axis]
//   select       condition(i1), a, b -                         (broadcasting)
#include "dtypes.h"
#include "shape.h"

namespace mm {
namespace {

template <class T>
inline void copy_row(const T* x, int64_t step, T* y, int64_t count) {
  if (step == 1) {
    std::memcpy(y, x, static_cast<size_t>(count) * sizeof(T));
  } else {
    for (int64_t i = 0; i < count; ++i) y[i] = x[i * step];
  }
}

// Copies the positions [begin, end) of a walk over output (0) and input (1).
template <class T>
void copy_walk(Walk<2>& walk, const T* x, T* y, int64_t begin, int64_t end) {
  const int64_t step = walk.inner(1);
  walk.rows(begin, end, [&](const int64_t* at, int64_t count) { copy_row(x + at[1], step, y + at[0], count); });
}

template <class T>
void run_reshape(const mm_call* call, int64_t begin, int64_t end, void*) {
  copy_row(input<T>(call, 0) + begin, 1, output<T>(call, 0) + begin, end - begin);
}

template <class T>
void run_expand(const mm_call* call, int64_t begin, int64_t end, void*) {
  Walk<2> walk = broadcast_walk<2>(call);
  copy_walk(walk, input<T>(call, 0), output<T>(call, 0), begin, end);
}

template <class T>
void run_transpose(const mm_call* call, int64_t begin, int64_t end, void*) {
  const mm_desc& to = output_desc(call, 0);
  int64_t from_strides[MM_MAX_RANK], to_strides[MM_MAX_RANK];
  row_major(input_desc(call, 0), from_strides);
  row_major(to, to_strides);
  Walk<2> walk;
  for (int32_t i = 0; i < to.rank; ++i) walk.add_axis(to.dims[i], {to_strides[i], from_strides[call->params[i]]});
  copy_walk(walk, input<T>(call, 0), output<T>(call, 0), begin, end);
}

// Slices start somewhere and go in steps, which may be negative; reversal is the slice of a whole axis by -1.
template <class T>
void copy_slice(const mm_call* call, const int64_t* starts, const int64_t* steps, int64_t begin, int64_t end) {
  const mm_desc& to = output_desc(call, 0);
  int64_t from_strides[MM_MAX_RANK], to_strides[MM_MAX_RANK];
  row_major(input_desc(call, 0), from_strides);
  row_major(to, to_strides);
  Walk<2> walk;
  const T* x = input<T>(call, 0);
  for (int32_t i = 0; i < to.rank; ++i) {
    x += starts[i] * from_strides[i];
    walk.add_axis(to.dims[i], {to_strides[i], from_strides[i] * steps[i]});
  }
  copy_walk(walk, x, output<T>(call, 0), begin, end);
}

template <class T>
void run_slice(const mm_call* call, int64_t begin, int64_t end, void*) {
  copy_slice<T>(call, call->params, call->params + input_desc(call, 0).rank, begin, end);
}

constexpr int64_t kReversed = 1;

template <class T>
void run_reverse(const mm_call* call, int64_t begin, int64_t end, void*) {
  const mm_desc& from = input_desc(call, 0);
  int64_t starts[MM_MAX_RANK], steps[MM_MAX_RANK];
  for (int32_t i = 0; i < from.rank; ++i) {
    const bool reversed = call->params[i] == kReversed;
    starts[i] = reversed ? from.dims[i] - 1 : 0;
    steps[i] = reversed ? -1 : 1;
  }
  copy_slice<T>(call, starts, steps, begin, end);
}

enum PadMode : int64_t { kConstant = 0, kReflect = 1, kEdge = 2, kWrap = 3 };

// Where position `i` (relative to the input) of a padded axis of `length` comes from; -1 for a constant.
inline int64_t pad_source(int64_t i, int64_t length, int64_t mode) {
  if (i >= 0 && i < length) return i;
  switch (mode) {
    case kConstant:
      return -1;
    case kEdge:
      return i < 0 ? 0 : length - 1;
    case kWrap:
      return (i % length + length) % length;
    default: {
      const int64_t period = std::max<int64_t>(2 * (length - 1), 1);
      const int64_t within = (i % period + period) % period;
      return within < length ? within : period - within;
    }
  }
}

// A task is a row along the last axis.
template <class T>
void run_pad(const mm_call* call, int64_t begin, int64_t end, void*) {
  const mm_desc& from = input_desc(call, 0);
  const mm_desc& to = output_desc(call, 0);
  const int64_t mode = call->params[0];
  const int64_t* before = call->params + 1;
  const T* value_at = call->n_inputs > 1 ? input<T>(call, 1) : nullptr;
  const T value = value_at != nullptr ? *value_at : T{};
  const int64_t last = from.rank - 1;
  const int64_t width = last < 0 ? 1 : to.dims[last], from_width = last < 0 ? 1 : from.dims[last];
  const int64_t shift = last < 0 ? 0 : before[last];
  int64_t strides[MM_MAX_RANK];
  row_major(from, strides);
  for (int64_t row = begin; row < end; ++row) {
    T* y = output<T>(call, 0) + row * width;
    int64_t rest = row, offset = 0;
    bool outside = false;
    for (int64_t i = last - 1; i >= 0; --i) {
      const int64_t source = pad_source(rest % to.dims[i] - before[i], from.dims[i], mode);
      rest /= to.dims[i];
      outside = outside || source < 0;
      offset += source * strides[i];
    }
    if (outside) {
      std::fill(y, y + width, value);
      continue;
    }
    const T* x = input<T>(call, 0) + offset;
    const int64_t inside_begin = std::clamp<int64_t>(shift, 0, width);
    const int64_t inside_end = std::clamp<int64_t>(shift + from_width, inside_begin, width);
    const auto border = [&](int64_t j) {
      const int64_t source = pad_source(j - shift, from_width, mode);
      y[j] = source < 0 ? value : x[source];
    };
    for (int64_t j = 0; j < inside_begin; ++j) border(j);
    if (inside_end > inside_begin) copy_row(x + inside_begin - shift, 1, y + inside_begin, inside_end - inside_begin);
    for (int64_t j = inside_end; j < width; ++j) border(j);
  }
}

// The output is [outer, all inputs' axis * inner]; a task is one element of it.
template <class T>
void run_concat(const mm_call* call, int64_t begin, int64_t end, void*) {
  const mm_desc& to = output_desc(call, 0);
  const int64_t row = product(to, call->params[0], to.rank);
  T* y = output<T>(call, 0);
  for (int64_t position = begin; position < end;) {
    const int64_t outer = position / row;
    int64_t first = outer * row;  // where the piece of the current input starts
    for (int32_t k = 0; k < call->n_inputs && position < end; ++k) {
      const mm_desc& from = input_desc(call, k);
      const int64_t piece = product(from, call->params[0], from.rank);
      if (position < first + piece) {
        const int64_t count = std::min(first + piece, end) - position;
        copy_row(input<T>(call, k) + outer * piece + (position - first), 1, y + position, count);
        position += count;
      }
      first += piece;
    }
  }
}

template <class T>
void run_select(const mm_call* call, int64_t begin, int64_t end, void*) {
  const Bool* condition = input<Bool>(call, 0);
  const T* a = input<T>(call, 1);
  const T* b = input<T>(call, 2);
  T* y = output<T>(call, 0);
  Walk<4> walk = broadcast_walk<4>(call);
  const int64_t c_step = walk.inner(1), a_step = walk.inner(2), b_step = walk.inner(3);
  walk.rows(begin, end, [&](const int64_t* at, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      y[at[0] + i] = condition[at[1] + i * c_step].value != 0 ? a[at[2] + i * a_step] : b[at[3] + i * b_step];
    }
  });
}

#define MM_BY_SIZE(run, tasks) \
  for_size(s, s.output(0), [&](auto tag) { return Prepared{run<typename decltype(tag)::type>, (tasks), 1.0}; })

Prepared reshape(const Signature& s) {
  s.expect(1, 1, 1, 0);
  s.expect_same_dtype(s.input(0), s.output(0));
  s.expect_count(s.output(0), s.input(0).count);
  return MM_BY_SIZE(run_reshape, s.output(0).count);
}

Prepared expand(const Signature& s) {
  s.expect(1, 1, 1, 0);
  s.expect_same_dtype(s.input(0), s.output(0));
  expect_broadcast(s.input(0), s.output(0));
  return MM_BY_SIZE(run_expand, s.output(0).count);
}

void expect_rank(const Signature& s) {
  s.expect_same_dtype(s.input(0), s.output(0));
  if (s.input(0).rank != s.output(0).rank) refuse("input and output must have one rank");
}

Prepared transpose(const Signature& s) {
  s.expect(1, 1, 1, s.n_params);
  s.expect_params(s.input(0).rank);
  expect_rank(s);
  uint32_t seen = 0;
  for (int32_t i = 0; i < s.input(0).rank; ++i) {
    const int64_t from = s.param(i, 0, s.input(0).rank - 1);
    if ((seen >> from & 1u) != 0) refuse("the permutation names an axis twice");
    seen |= 1u << from;
    if (s.output(0).dims[i] != s.input(0).dims[from]) refuse("the output's shape is not the permuted input's");
  }
  return MM_BY_SIZE(run_transpose, s.output(0).count);
}

Prepared slice(const Signature& s) {
  s.expect(1, 1, 1, s.n_params);
  s.expect_params(2 * int64_t{s.input(0).rank});
  expect_rank(s);
  const int32_t rank = s.input(0).rank;
  for (int32_t i = 0; i < rank; ++i) {
    const int64_t size = s.output(0).dims[i], length = s.input(0).dims[i];
    const int64_t step = s.param(rank + i, -(int64_t{1} << 48), int64_t{1} << 48);
    if (size == 0) continue;
    const int64_t start = s.param(i, 0, length - 1);
    const __int128 final = start + static_cast<__int128>(size - 1) * step;
    if (final < 0 || final >= length) refuse("the slice leaves axis %d", i);
  }
  return MM_BY_SIZE(run_slice, s.output(0).count);
}

Prepared reverse(const Signature& s) {
  s.expect(1, 1, 1, s.n_params);
  s.expect_params(s.input(0).rank);
  s.expect_same_dtype(s.input(0), s.output(0));
  s.expect_same_shape(s.input(0), s.output(0));
  for (int64_t i = 0; i < s.n_params; ++i) s.param(i, 0, kReversed);
  return MM_BY_SIZE(run_reverse, s.output(0).count);
}

Prepared pad(const Signature& s) {
  s.expect(1, 2, 1, s.n_params);
  s.expect_params(1 + int64_t{s.input(0).rank});
  expect_rank(s);
  const int64_t mode = s.param(0, kConstant, kWrap);
  if (s.has_input(1)) {
    s.expect_same_dtype(s.input(1), s.output(0));
    s.expect_count(s.input(1), 1);
  }
  const mm_desc& to = s.output(0);
  for (int32_t i = 0; i < to.rank; ++i) {
    s.param(1 + i, -(int64_t{1} << 48), int64_t{1} << 48);
    if (mode != kConstant && s.input(0).dims[i] == 0 && to.dims[i] != 0)
      refuse("axis %d is empty and has nothing to repeat", i);
  }
  const int64_t rows = to.count == 0 ? 0 : product(to, 0, to.rank - 1);
  return for_size(s, to, [&](auto tag) {
    return Prepared{run_pad<typename decltype(tag)::type>, rows,
                    to.rank == 0 ? 1.0 : static_cast<double>(to.dims[to.rank - 1])};
  });
}

Prepared concat(const Signature& s) {
  s.expect(1, 1 << 30, 1, 1);
  const mm_desc& to = s.output(0);
  const int64_t axis = s.param(0, 0, to.rank - 1);
  int64_t length = 0;
  for (int32_t k = 0; k < s.n_inputs; ++k) {
    if (!s.has_input(k)) refuse("input %d is absent", k);
    const mm_desc& from = s.input(k);
    s.expect_same_dtype(from, to);
    if (from.rank != to.rank) refuse("input %d has another rank than the output", k);
    for (int32_t i = 0; i < to.rank; ++i) {
      if (i != axis && from.dims[i] != to.dims[i]) refuse("input %d does not fit the output in axis %d", k, i);
    }
    length += from.dims[axis];
  }
  if (length != to.dims[axis]) refuse("the inputs together do not have the output's size");
  return MM_BY_SIZE(run_concat, to.count);
}

Prepared select(const Signature& s) {
  s.expect(3, 3, 1, 0);
  s.expect_dtype(s.input(0), MM_BOOL);
  for (int32_t i = 0; i < 3; ++i) {
    if (i > 0) s.expect_same_dtype(s.input(i), s.output(0));
    expect_broadcast(s.input(i), s.output(0));
  }
  return MM_BY_SIZE(run_select, s.output(0).count);
}

}  // namespace

extern const LibraryKernel kMovementKernels[] = {
    {"reshape", reshape}, {"expand", expand}, {"transpose", transpose}, {"slice", slice},   {"reverse", reverse},
    {"pad", pad},         {"concat", concat}, {"select", select},       {nullptr, nullptr},
};

}  // namespace mm
