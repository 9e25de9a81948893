// Between real and quantised values. Inputs x, scale, zero_point?; params [axis, saturate, block].
//
//   quantize      x, scale f16 bf16 f32 f64; output integers, narrow floats: saturate(round(x / scale) + zero_point)
//   dequantize    x, zero_point integers or narrow floats; scale, output f16 bf16 f32 f64: (x - zero_point) * scale
//
// scale and zero_point have one element, or one for each position of `axis`; or, if `block` is not 0, x's rank and shape
// but for `axis`, where each element stands for `block` elements, the last for what is left. Rounding is half to even. `saturate` is about narrow floats.
#include "dtypes.h"
#include "shape.h"

namespace mm {
namespace {

// Which element of the scales belongs to a run of x. A run has one scale, or one for each element.
struct Scales {
  int64_t outer, length, inner, blocks, block;
  bool single, blocked;

  Scales(const mm_desc& x, const mm_desc& scale, const int64_t* params)
      : outer(1), length(1), inner(x.count), blocks(1), block(params[2]), blocked(params[2] != 0) {
    single = !blocked && scale.count == 1;
    if (single) return;
    const Lines lines(x, params[0]);
    outer = lines.outer;
    length = lines.length;
    inner = lines.inner;
    blocks = blocked ? (length + block - 1) / block : length;
  }

  int64_t expected_count() const { return single ? 1 : blocked ? outer * blocks * inner : length; }

  // Visits [begin, end) of x as runs: visit(position, count, index of the first scale, whether each element has its
  // own).
  template <class Visit>
  void runs(int64_t begin, int64_t end, Visit visit) const {
    if (single) return visit(begin, end - begin, int64_t{0}, false);
    for (int64_t position = begin; position < end;) {
      const int64_t line = position / inner, within = position % inner, at = line % length;
      const int64_t count = std::min(inner - within, end - position);
      const int64_t index = blocked ? (line / length * blocks + at / block) * inner + within : at;
      visit(position, count, index, blocked);
      position += count;
    }
  }
};

template <class Q, class C>
inline Q quantized(C x, C scale, Compute<Q> zero_point, bool saturate) {
  if constexpr (std::is_same_v<Q, PowerOfTwo>) {
    return {power_of_two_encode(static_cast<float>(x / scale), saturate, Rounding::kUp)};
  } else if constexpr (std::is_floating_point_v<Compute<Q>>) {
    return Store<Q>::from(x / scale, saturate);
  } else if constexpr (std::is_integral_v<Q> && sizeof(Q) <= 2) {
    constexpr C kLow = std::numeric_limits<Q>::min(), kHigh = std::numeric_limits<Q>::max();
    C value = std::nearbyint(x / scale) + static_cast<C>(zero_point);
    value = value < kLow ? kLow : value;
    value = value > kHigh ? kHigh : value;
    return static_cast<Q>(static_cast<int32_t>(value != value ? C(0) : value));
  } else {
    return Store<Q>::from(static_cast<double>(std::nearbyint(x / scale)) + static_cast<double>(zero_point));
  }
}

template <class Q>
MM_CLONES void quantize_row(const float* x, float scale, Compute<Q> zero_point, bool saturate, Q* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) y[i] = quantized<Q>(x[i], scale, zero_point, saturate);
}

template <class T, class Q>
void run_quantize(const mm_call* call, int64_t begin, int64_t end, void*) {
  const Scales scales(input_desc(call, 0), input_desc(call, 1), call->params);
  const bool saturate = call->params[1] != 0;
  const T* x = input<T>(call, 0);
  const T* scale = input<T>(call, 1);
  const Q* zero_points = call->n_inputs > 2 ? input<Q>(call, 2) : nullptr;
  Q* y = output<Q>(call, 0);
  const auto zero_point = [&](int64_t index) {
    return zero_points == nullptr ? Compute<Q>(0) : load(zero_points[index]);
  };
  scales.runs(begin, end, [&](int64_t position, int64_t count, int64_t index, bool each) {
    if constexpr (std::is_same_v<T, float>) {
      if (!each) return quantize_row<Q>(x + position, scale[index], zero_point(index), saturate, y + position, count);
    }
    for (int64_t i = 0; i < count; ++i) {
      const int64_t own = each ? index + i : index;
      y[position + i] = quantized<Q>(load(x[position + i]), load(scale[own]), zero_point(own), saturate);
    }
  });
}

// Differences of integers are exact: zero point and value are subtracted before they become real.
template <class Q, class C>
inline C dequantized(Compute<Q> x, C scale, Compute<Q> zero_point) {
  if constexpr (std::is_integral_v<Compute<Q>> && sizeof(Compute<Q>) < 4) {
    return static_cast<C>(static_cast<int32_t>(x) - static_cast<int32_t>(zero_point)) * scale;
  } else if constexpr (std::is_integral_v<Compute<Q>>) {
    return static_cast<C>(static_cast<double>(x) - static_cast<double>(zero_point)) * scale;
  } else {
    return (static_cast<C>(x) - static_cast<C>(zero_point)) * scale;
  }
}

template <class Q>
MM_CLONES void dequantize_row(const Q* x, float scale, Compute<Q> zero_point, float* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) y[i] = dequantized<Q>(load(x[i]), scale, zero_point);
}

template <class T, class Q>
void run_dequantize(const mm_call* call, int64_t begin, int64_t end, void*) {
  const Scales scales(input_desc(call, 0), input_desc(call, 1), call->params);
  const Q* x = input<Q>(call, 0);
  const T* scale = input<T>(call, 1);
  const Q* zero_points = call->n_inputs > 2 ? input<Q>(call, 2) : nullptr;
  T* y = output<T>(call, 0);
  const auto zero_point = [&](int64_t index) {
    return zero_points == nullptr ? Compute<Q>(0) : load(zero_points[index]);
  };
  scales.runs(begin, end, [&](int64_t position, int64_t count, int64_t index, bool each) {
    if constexpr (std::is_same_v<T, float>) {
      if (!each) return dequantize_row<Q>(x + position, scale[index], zero_point(index), y + position, count);
    }
    for (int64_t i = 0; i < count; ++i) {
      const int64_t own = each ? index + i : index;
      y[position + i] = store<T>(dequantized<Q>(load(x[position + i]), load(scale[own]), zero_point(own)));
    }
  });
}

template <class Visit>
Prepared for_quantized(const Signature& s, const mm_desc& a, Visit visit) {
  // clang-format off
  switch (a.dtype) {
    MM_CASE(MM_I8, int8_t) MM_CASE(MM_U8, uint8_t) MM_CASE(MM_I16, int16_t) MM_CASE(MM_U16, uint16_t)
    MM_CASE(MM_I32, int32_t) MM_CASE(MM_U32, uint32_t) MM_TINY_FLOAT_CASES MM_TINY_INTEGER_CASES
    default: s.unsupported(a);
  }
  // clang-format on
}

void expect(const Signature& s, const mm_desc& quantised, const mm_desc& real) {
  const mm_desc& x = s.input(0);
  const mm_desc& scale = s.input(1);
  s.expect_same_shape(x, s.output(0));
  s.expect_same_dtype(scale, real);
  s.param(1, 0, 1);
  const int64_t axis = s.param(0, 0, std::max(x.rank - 1, 0));
  const bool blocked = s.param(2, 0, std::numeric_limits<int64_t>::max()) != 0;
  if ((blocked || scale.count != 1) && x.rank == 0) refuse("a scalar has one scale");
  if (blocked) {
    if (scale.rank != x.rank) refuse("the scales of blocks have another rank than the data");
    for (int32_t i = 0; i < x.rank; ++i) {
      if (i != axis && scale.dims[i] != x.dims[i]) refuse("the scales do not fit in axis %d", i);
    }
  }
  s.expect_count(scale, Scales(x, scale, s.params()).expected_count());
  if (s.has_input(2)) {
    s.expect_same_dtype(s.input(2), quantised);
    s.expect_count(s.input(2), scale.count);
  }
}

Prepared quantize(const Signature& s) {
  s.expect(2, 3, 1, 3);
  expect(s, s.output(0), s.input(0));
  return for_float(s, s.input(0), [&](auto real) {
    return for_quantized(s, s.output(0), [&](auto quantised) {
      return Prepared{run_quantize<typename decltype(real)::type, typename decltype(quantised)::type>,
                      s.output(0).count, 2.0};
    });
  });
}

Prepared dequantize(const Signature& s) {
  s.expect(2, 3, 1, 3);
  expect(s, s.input(0), s.output(0));
  return for_float(s, s.output(0), [&](auto real) {
    return for_quantized(s, s.input(0), [&](auto quantised) {
      return Prepared{run_dequantize<typename decltype(real)::type, typename decltype(quantised)::type>,
                      s.output(0).count, 2.0};
    });
  });
}

}  // namespace

extern const LibraryKernel kQuantizationKernels[] = {
    {"quantize", quantize}, {"dequantize", dequantize}, {nullptr, nullptr}};

}  // namespace mm
