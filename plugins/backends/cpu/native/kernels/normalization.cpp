// Composites over one axis, or from an axis to the end, that are worth a pass of their own.
//
//   kernel                  inputs              params
//   softmax log_softmax     x                   [axis]
//   layer_norm              x, scale?, bias?    [axis, epsilon: double bits]    over the axes from `axis` on
//   rms_norm                x, scale?           [axis, epsilon: double bits]    over the axes from `axis` on
//
// Types: f16, bf16, f32 (computed in f32) and f64. scale and bias have x's type and the normalised axes' elements.
#include "dtypes.h"
#include "shape.h"
#include "vector_math.h"

namespace mm {
namespace {

constexpr int kLanes = 16;

template <class C>
MM_INLINE C combined(C* lanes) {
  for (int width = kLanes / 2; width > 0; width /= 2) {
    for (int k = 0; k < width; ++k) lanes[k] += lanes[k + width];
  }
  return lanes[0];
}

// The sum over i of f(i), in lanes.
template <class C, class F>
MM_INLINE C lane_sum(int64_t count, F f) {
  C lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int k = 0; k < kLanes; ++k) lanes[k] += f(i + k);
  }
  for (int k = 0; i < count; ++i, ++k) lanes[k] += f(i);
  return combined(lanes);
}

template <class C>
MM_INLINE C row_maximum(const C* x, int64_t count) {
  C lanes[kLanes];
  for (C& lane : lanes) lane = -std::numeric_limits<C>::infinity();
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int k = 0; k < kLanes; ++k) lanes[k] = x[i + k] > lanes[k] ? x[i + k] : lanes[k];
  }
  for (int k = 0; i < count; ++i, ++k) lanes[k] = x[i] > lanes[k] ? x[i] : lanes[k];
  C most = lanes[0];
  for (const C lane : lanes) most = lane > most ? lane : most;
  return most;  // NaN is skipped here and enters through the sum
}

// Both rows may be the same memory.
template <class C, bool Log>
MM_INLINE void softmax_row(const C* x, C* y, int64_t count) {
  const C most = row_maximum(x, count);
  if constexpr (Log) {
    const C sum = lane_sum<C>(count, [&](int64_t i) { return fast_exp(x[i] - most); });
    const C shift = most + std::log(sum);
    for (int64_t i = 0; i < count; ++i) y[i] = x[i] - shift;
  } else {
    for (int64_t i = 0; i < count; ++i) y[i] = fast_exp(x[i] - most);
    const C scale = C(1) / lane_sum<C>(count, [&](int64_t i) { return y[i]; });
    for (int64_t i = 0; i < count; ++i) y[i] *= scale;
  }
}

template <class C, bool Centred>
MM_INLINE void normalize_row(const C* x, const C* scale, const C* bias, C* y, int64_t count, C epsilon) {
  const C n = static_cast<C>(count);
  const C mean = Centred ? lane_sum<C>(count, [&](int64_t i) { return x[i]; }) / n : C(0);
  const C square = lane_sum<C>(count, [&](int64_t i) { return (x[i] - mean) * (x[i] - mean); }) / n;
  const C factor = C(1) / std::sqrt(square + epsilon);
  if (scale == nullptr) {
    for (int64_t i = 0; i < count; ++i) y[i] = (x[i] - mean) * factor;
  } else {
    for (int64_t i = 0; i < count; ++i) y[i] = (x[i] - mean) * factor * scale[i];
  }
  if (bias != nullptr) {
    for (int64_t i = 0; i < count; ++i) y[i] += bias[i];
  }
}

template <class C, bool Log>
struct SoftmaxRow {
  void operator()(const C* x, C* y, int64_t count) const { softmax_row<C, Log>(x, y, count); }
};
template <bool Log>
MM_CLONES void softmax_float(const float* x, float* y, int64_t count) {
  softmax_row<float, Log>(x, y, count);
}
template <bool Log>
struct SoftmaxRow<float, Log> {
  void operator()(const float* x, float* y, int64_t count) const { softmax_float<Log>(x, y, count); }
};

template <class T, bool Log>
void run_softmax(const mm_call* call, int64_t begin, int64_t end, void* scratch) {
  using C = Compute<T>;
  const Lines lines(input_desc(call, 0), call->params[0]);
  const SoftmaxRow<C, Log> row;
  for (int64_t task = begin; task < end; ++task) {
    const T* x = input<T>(call, 0) + lines.start(task);
    T* y = output<T>(call, 0) + lines.start(task);
    if constexpr (std::is_same_v<T, C>) {
      if (lines.inner == 1) {
        row(x, y, lines.length);
        continue;
      }
    }
    C* line = static_cast<C*>(scratch);
    for (int64_t i = 0; i < lines.length; ++i) line[i] = load(x[i * lines.inner]);
    row(line, line, lines.length);
    for (int64_t i = 0; i < lines.length; ++i) y[i * lines.inner] = store<T>(line[i]);
  }
}

template <bool Log>
Prepared softmax(const Signature& s) {
  s.expect(1, 1, 1, 1);
  s.expect_same_dtype(s.input(0), s.output(0));
  s.expect_same_shape(s.input(0), s.output(0));
  const Lines lines(s.input(0), s.param(0, 0, s.input(0).rank - 1));
  return for_float(s, s.input(0), [&](auto tag) {
    using T = typename decltype(tag)::type;
    return Prepared{run_softmax<T, Log>, lines.length == 0 ? 0 : lines.count(),
                    6.0 * static_cast<double>(lines.length), lines.length * static_cast<int64_t>(sizeof(Compute<T>))};
  });
}

template <bool Centred>
MM_CLONES void normalize_float(const float* x, const float* scale, const float* bias, float* y, int64_t count,
                               float epsilon) {
  normalize_row<float, Centred>(x, scale, bias, y, count, epsilon);
}

template <class C, bool Centred>
void normalize(const C* x, const C* scale, const C* bias, C* y, int64_t count, double epsilon) {
  if constexpr (std::is_same_v<C, float>) {
    normalize_float<Centred>(x, scale, bias, y, count, static_cast<float>(epsilon));
  } else {
    normalize_row<C, Centred>(x, scale, bias, y, count, static_cast<C>(epsilon));
  }
}

template <class T, bool Centred>
void run_normalize(const mm_call* call, int64_t begin, int64_t end, void* scratch) {
  using C = Compute<T>;
  const mm_desc& desc = input_desc(call, 0);
  const int64_t count = product(desc, call->params[0], desc.rank);
  const double epsilon = param_double(call->params[1]);
  const T* scale = call->n_inputs > 1 ? input<T>(call, 1) : nullptr;
  const T* bias = call->n_inputs > 2 ? input<T>(call, 2) : nullptr;
  if constexpr (std::is_same_v<T, C>) {
    for (int64_t task = begin; task < end; ++task) {
      normalize<C, Centred>(input<T>(call, 0) + task * count, scale, bias, output<T>(call, 0) + task * count, count,
                            epsilon);
    }
  } else {
    C* row = static_cast<C*>(scratch);
    C* wide_scale = scale == nullptr ? nullptr : row + count;
    C* wide_bias = bias == nullptr ? nullptr : row + 2 * count;
    for (int64_t i = 0; i < count; ++i) {
      if (scale != nullptr) wide_scale[i] = load(scale[i]);
      if (bias != nullptr) wide_bias[i] = load(bias[i]);
    }
    for (int64_t task = begin; task < end; ++task) {
      for (int64_t i = 0; i < count; ++i) row[i] = load(input<T>(call, 0)[task * count + i]);
      normalize<C, Centred>(row, wide_scale, wide_bias, row, count, epsilon);
      for (int64_t i = 0; i < count; ++i) output<T>(call, 0)[task * count + i] = store<T>(row[i]);
    }
  }
}

template <bool Centred>
Prepared norm(const Signature& s) {
  s.expect(1, Centred ? 3 : 2, 1, 2);
  const mm_desc& x = s.input(0);
  s.expect_same_dtype(x, s.output(0));
  s.expect_same_shape(x, s.output(0));
  const int64_t axis = s.param(0, 0, x.rank - 1), count = product(x, axis, x.rank);
  for (int32_t i = 1; i < s.n_inputs; ++i) {
    if (!s.has_input(i)) continue;
    s.expect_same_dtype(x, s.input(i));
    s.expect_count(s.input(i), count);
  }
  return for_float(s, x, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const int64_t scratch = std::is_same_v<T, Compute<T>> ? 0 : 3 * count * static_cast<int64_t>(sizeof(Compute<T>));
    return Prepared{run_normalize<T, Centred>, count == 0 ? 0 : product(x, 0, axis), 4.0 * static_cast<double>(count),
                    scratch};
  });
}

}  // namespace

extern const LibraryKernel kNormalizationKernels[] = {
    {"softmax", softmax<false>}, {"log_softmax", softmax<true>},
    {"layer_norm", norm<true>},  {"rms_norm", norm<false>},
    {nullptr, nullptr},
};

}  // namespace mm
