// cast: any type to any type, by their values.    params [saturate, round mode]
//
// To integers: towards zero. Integers wrap. A float first goes to the nearest 32-bit integer, for types of 32 and 64
// bits to the nearest of theirs (a negative one as a signed 64-bit integer), NaN to 0, and then wraps. To i1: whether
// not zero. To narrow floats: half to even; what is too large becomes the largest finite number if `saturate`, else
// infinity or NaN. To powers of two: by the round mode, 0 up, 1 down, 2 to the nearest. Of complex numbers the real
// part.
//
// bit_cast: any type to any type of as many bits, which are kept. Any byte but 0 becomes true.
#include "dtypes.h"

namespace mm {
namespace {

template <class T>
struct IsComplex : std::false_type {};
template <class T>
struct IsComplex<std::complex<T>> : std::true_type {};

// Where a float goes on its way to an integer type.
template <class To>
auto whole(double value) {
  if constexpr (std::is_same_v<To, uint64_t>) {
    return value < 0 ? static_cast<uint64_t>(float_to_integer<int64_t>(value)) : float_to_integer<uint64_t>(value);
  } else if constexpr (std::is_same_v<To, int64_t> || std::is_same_v<To, uint32_t>) {
    return float_to_integer<int64_t>(value);
  } else {
    return float_to_integer<int32_t>(value);
  }
}

template <class To>
constexpr bool kInteger = std::is_integral_v<Compute<To>> && !std::is_same_v<To, Bool>;

template <class To, class From>
To converted(From value, bool saturate, Rounding rounding) {
  if constexpr (IsComplex<To>::value) {
    using Part = typename To::value_type;
    if constexpr (IsComplex<From>::value) return {static_cast<Part>(value.real()), static_cast<Part>(value.imag())};
    else return {static_cast<Part>(value), Part(0)};
  } else if constexpr (IsComplex<From>::value && !std::is_same_v<To, Bool>) {
    return converted<To>(value.real(), saturate, rounding);
  } else if constexpr (std::is_same_v<To, PowerOfTwo>) {
    return {power_of_two_encode(static_cast<float>(value), saturate, rounding)};
  } else if constexpr (kInteger<To> && std::is_floating_point_v<From>) {
    return Store<To>::from(whole<To>(value));
  } else {
    return Store<To>::from(value, saturate);
  }
}

template <class From, class To>
void run(const mm_call* call, int64_t begin, int64_t end, void*) {
  const From* x = input<From>(call, 0);
  To* y = output<To>(call, 0);
  const bool saturate = call->params[0] != 0;
  const Rounding rounding = static_cast<Rounding>(call->params[1]);
  for (int64_t i = begin; i < end; ++i) y[i] = converted<To>(load(x[i]), saturate, rounding);
}

template <class Visit>
Prepared for_any(const Signature& s, const mm_desc& a, Visit visit) {
  switch (a.dtype) {
    MM_CASE(MM_C64, std::complex<float>) MM_CASE(MM_C128, std::complex<double>)
    default: return for_real(s, a, visit);
  }
}

Prepared cast(const Signature& s) {
  s.expect(1, 1, 1, 2);
  s.param(0, 0, 1);
  s.param(1, 0, 2);
  s.expect_same_shape(s.input(0), s.output(0));
  return for_any(s, s.input(0), [&](auto from) {
    using From = typename decltype(from)::type;
    return for_any(s, s.output(0), [&](auto to) {
      using To = typename decltype(to)::type;
      return Prepared{run<From, To>, s.output(0).count, sizeof(To) == 1 ? 8.0 : 1.0};
    });
  });
}

template <class T>
void run_copy(const mm_call* call, int64_t begin, int64_t end, void*) {
  std::copy(input<T>(call, 0) + begin, input<T>(call, 0) + end, output<T>(call, 0) + begin);
}

// Types below a byte and booleans have bytes that mean nothing: the result's are made of the low bits.
template <class To>
void run_bits(const mm_call* call, int64_t begin, int64_t end, void*) {
  const uint8_t* x = input<uint8_t>(call, 0);
  To* y = output<To>(call, 0);
  for (int64_t i = begin; i < end; ++i) y[i] = Store<To>::from(static_cast<int32_t>(x[i]));
}

void run_tiny_float(const mm_call* call, int64_t begin, int64_t end, void*) {
  const uint8_t* x = input<uint8_t>(call, 0);
  uint8_t* y = output<uint8_t>(call, 0);
  for (int64_t i = begin; i < end; ++i) y[i] = x[i] & 0xf;
}

// Bits of an element; a boolean has its byte.
int64_t bits_of(const mm_desc& a) {
  switch (a.dtype) {
    case MM_I2: case MM_U2: return 2;
    case MM_I4: case MM_U4: case MM_F4E2M1FN: return 4;
    default: return 8 * dtype_bytes(a.dtype);
  }
}

Prepared bit_cast(const Signature& s) {
  s.expect(1, 1, 1, 0);
  const mm_desc& y = s.output(0);
  s.expect_same_shape(s.input(0), y);
  if (bits_of(s.input(0)) != bits_of(y)) {
    refuse("%s and %s have different numbers of bits", dtype_text(s.input(0).dtype), dtype_text(y.dtype));
  }
  if (y.dtype == MM_F4E2M1FN) return {run_tiny_float, y.count};
  const auto visit = [&](auto to) { return Prepared{run_bits<typename decltype(to)::type>, y.count}; };
  switch (y.dtype) {
    MM_CASE(MM_BOOL, Bool)
    MM_TINY_INTEGER_CASES
    default: break;
  }
  return for_size(s, y, [&](auto size) { return Prepared{run_copy<typename decltype(size)::type>, y.count}; });
}

}  // namespace

extern const LibraryKernel kCastKernels[] = {{"cast", cast}, {"bit_cast", bit_cast}, {nullptr, nullptr}};

}  // namespace mm
