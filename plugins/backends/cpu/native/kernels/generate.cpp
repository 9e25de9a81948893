// Tensors from nothing but sizes and scalars.
//
//   kernel   inputs                             params
//   range    start, limit, delta (scalars)      -               start + i * delta; the size is the output's
//   iota     -                                  [axis]          the position along the axis
//   shape    x                                  [start, end]    dims[start:end] of x as i64
#include "dtypes.h"
#include "shape.h"

namespace mm {
namespace {

template <class T>
void run_range(const mm_call* call, int64_t begin, int64_t end, void*) {
  using C = Compute<T>;
  const C start = load(*input<T>(call, 0)), delta = load(*input<T>(call, 2));
  for (int64_t i = begin; i < end; ++i) {
    if constexpr (std::is_integral_v<C>) {
      const uint64_t value = static_cast<uint64_t>(start) + static_cast<uint64_t>(i) * static_cast<uint64_t>(delta);
      output<T>(call, 0)[i] = store<T>(static_cast<C>(value));
    } else {
      output<T>(call, 0)[i] = store<T>(start + static_cast<C>(i) * delta);
    }
  }
}

Prepared range(const Signature& s) {
  s.expect(3, 3, 1, 0);
  for (int32_t i = 0; i < 3; ++i) {
    s.expect_same_dtype(s.input(i), s.output(0));
    s.expect_count(s.input(i), 1);
  }
  return for_number(s, s.output(0), [&](auto tag) {
    return Prepared{run_range<typename decltype(tag)::type>, s.output(0).count, 1.0};
  });
}

template <class T>
void run_iota(const mm_call* call, int64_t begin, int64_t end, void*) {
  const Lines lines(output_desc(call, 0), call->params[0]);
  for (int64_t i = begin; i < end; ++i) {
    output<T>(call, 0)[i] = Store<T>::from(i / lines.inner % lines.length);
  }
}

Prepared iota(const Signature& s) {
  s.expect(0, 0, 1, 1);
  s.param(0, 0, s.output(0).rank - 1);
  return for_number(s, s.output(0), [&](auto tag) {
    return Prepared{run_iota<typename decltype(tag)::type>, s.output(0).count, 4.0};
  });
}

void run_shape(const mm_call* call, int64_t begin, int64_t end, void*) {
  const int64_t* dims = input_desc(call, 0).dims + call->params[0];
  for (int64_t i = begin; i < end; ++i) output<int64_t>(call, 0)[i] = dims[i];
}

Prepared shape(const Signature& s) {
  s.expect(1, 1, 1, 2);
  s.expect_dtype(s.output(0), MM_I64);
  const int64_t start = s.param(0, 0, s.input(0).rank), end = s.param(1, start, s.input(0).rank);
  s.expect_count(s.output(0), end - start);
  return {run_shape, end - start, 1.0};
}

}  // namespace

extern const LibraryKernel kGenerateKernels[] = {
    {"range", range}, {"iota", iota}, {"shape", shape}, {nullptr, nullptr}};

}  // namespace mm
