// Element types in C++: a storage type for each code, the type it is computed in, conversions between all of them.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <complex>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "kernel.h"

namespace mm {

template <class To, class From>
inline To bits_as(From from) {
  static_assert(sizeof(To) == sizeof(From), "reinterpretation needs equal sizes");
  To to;
  std::memcpy(&to, &from, sizeof to);
  return to;
}

struct Bool {
  uint8_t value;
};

struct Half {
  uint16_t bits;
};

struct BFloat16 {
  uint16_t bits;
};

// An integer of `Bits` bits that is stored in the low bits of a byte.
template <int Bits, bool Signed>
struct SmallInt {
  uint8_t byte;
};

// A float of at most 8 bits. `Flavour` says which codes are special.
enum class Special { kNone, kIeee, kNanAllOnes, kNanNegativeZero };
template <int ExponentBits, int MantissaBits, int Bias, Special Flavour>
struct MiniFloat {
  uint8_t bits;
};
struct PowerOfTwo {  // f8E8M0FNU
  uint8_t bits;
};

using F8E4M3FN = MiniFloat<4, 3, 7, Special::kNanAllOnes>;
using F8E4M3FNUZ = MiniFloat<4, 3, 8, Special::kNanNegativeZero>;
using F8E5M2 = MiniFloat<5, 2, 15, Special::kIeee>;
using F8E5M2FNUZ = MiniFloat<5, 2, 16, Special::kNanNegativeZero>;
using F4E2M1FN = MiniFloat<2, 1, 1, Special::kNone>;

inline float half_to_float(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
  const uint32_t magnitude = half & 0x7fffu;
  if (magnitude >= 0x7c00u) return bits_as<float>(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
  // Shift into place and correct the exponent by a multiplication, which handles subnormal numbers too.
  return bits_as<float>(bits_as<uint32_t>(bits_as<float>(magnitude << 13) * 0x1p112f) | sign);
}

inline uint16_t float_to_half(float value) {
  const uint32_t bits = bits_as<uint32_t>(value);
  const uint16_t sign = static_cast<uint16_t>(bits >> 16 & 0x8000u);
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u);
  if (magnitude >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);
  if (magnitude < 0x38800000u) {  // subnormal: let the adder round at the right place
    const float rounded = bits_as<float>(magnitude) + 0.5f;
    return static_cast<uint16_t>(sign | (bits_as<uint32_t>(rounded) - 0x3f000000u));
  }
  const uint32_t odd = magnitude >> 13 & 1u;
  return static_cast<uint16_t>(sign | (magnitude - 0x38000000u + 0xfffu + odd) >> 13);
}

// Rounds once, as a detour over float would not: a float that is not exact is made odd, so that it is never a tie.
inline uint16_t double_to_half(double value) {
  float nearest = static_cast<float>(value);
  if (std::isfinite(nearest) && static_cast<double>(nearest) != value && (bits_as<uint32_t>(nearest) & 1u) == 0) {
    const bool shrink = std::fabs(static_cast<double>(nearest)) > std::fabs(value);
    nearest = bits_as<float>(bits_as<uint32_t>(nearest) + (shrink ? -1u : 1u));
  }
  return float_to_half(nearest);
}

inline float bfloat16_to_float(uint16_t bits) { return bits_as<float>(static_cast<uint32_t>(bits) << 16); }

inline uint16_t float_to_bfloat16(float value) {
  const uint32_t bits = bits_as<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>(bits >> 16 | 0x40u);
  return static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

template <int E, int M, int B, Special S>
float minifloat_decode(uint32_t code) {
  constexpr uint32_t kSign = 1u << (E + M), kExponentMax = (1u << E) - 1, kMantissaMask = (1u << M) - 1;
  const bool negative = (code & kSign) != 0;
  const uint32_t exponent = code >> M & kExponentMax, mantissa = code & kMantissaMask;
  const float nan = std::numeric_limits<float>::quiet_NaN();
  if (S == Special::kNanNegativeZero && code == kSign) return nan;
  if (S == Special::kNanAllOnes && exponent == kExponentMax && mantissa == kMantissaMask) return nan;
  if (S == Special::kIeee && exponent == kExponentMax) {
    if (mantissa != 0) return nan;
    return negative ? -std::numeric_limits<float>::infinity() : std::numeric_limits<float>::infinity();
  }
  const float magnitude =
      exponent == 0 ? std::ldexp(static_cast<float>(mantissa), 1 - B - M)
                    : std::ldexp(static_cast<float>(mantissa | 1u << M), static_cast<int>(exponent) - B - M);
  return negative ? -magnitude : magnitude;
}

// Rounds half to even. What is too large becomes the largest finite number if `saturate`, else infinity or NaN, where
// the type has them.
template <int E, int M, int B, Special S>
uint8_t minifloat_encode(float value, bool saturate) {
  constexpr uint32_t kSign = 1u << (E + M), kCodes = 1u << (E + M);
  constexpr uint32_t kInfinity = ((1u << E) - 1) << M;
  constexpr uint32_t kLargest = S == Special::kIeee         ? kInfinity - 1
                                : S == Special::kNanAllOnes ? kCodes - 2
                                                            : kCodes - 1;
  constexpr uint32_t kNan = S == Special::kIeee               ? kInfinity | 1u << (M - 1)
                            : S == Special::kNanAllOnes       ? kCodes - 1
                                                              : kSign;  // without a NaN: minus zero
  const uint32_t sign = std::signbit(value) ? kSign : 0;
  constexpr bool kSignedNan = S != Special::kNanNegativeZero && S != Special::kNone;
  if (std::isnan(value)) return static_cast<uint8_t>(kSignedNan ? kNan | sign : kNan);
  const double magnitude = std::fabs(static_cast<double>(value));
  uint32_t code = kLargest + 1;
  if (!std::isinf(value)) {
    int exponent = 0;
    std::frexp(magnitude, &exponent);  // magnitude = m * 2^exponent, 0.5 <= m < 1
    exponent = std::max(exponent - 1, 1 - B);
    const double steps = std::nearbyint(std::ldexp(magnitude, M - exponent));  // exact but for the rounding
    // Steps of 2^M carry into the exponent by themselves.
    const double combined = steps + std::ldexp(static_cast<double>(exponent + B - 1), M);
    code = magnitude == 0 ? 0 : static_cast<uint32_t>(std::min(combined, static_cast<double>(kLargest + 1)));
  }
  if (code > kLargest) {
    code = saturate || S == Special::kNone ? kLargest : S == Special::kIeee ? kInfinity : kNan;
  }
  if (S == Special::kNanNegativeZero && (code == 0 || code == kNan)) return static_cast<uint8_t>(code);
  return static_cast<uint8_t>(code | sign);
}

// How a number between two powers of two becomes one of them.
enum class Rounding : int64_t { kUp, kDown, kNearest };

// The magnitude as a power of two from 2^-127 to 2^127: there is no sign. What is outside, zero too, becomes the nearest
// of them if `saturate`, else NaN.
inline uint8_t power_of_two_encode(float value, bool saturate, Rounding rounding) {
  constexpr uint8_t kNan = 0xff;
  constexpr int kLargest = 254;
  if (std::isnan(value)) return kNan;
  int code = std::isinf(value) ? kLargest + 1 : -1;
  if (value != 0 && !std::isinf(value)) {
    int exponent = 0;
    const float fraction = std::frexp(std::fabs(value), &exponent);  // in [0.5, 1)
    const bool up = rounding == Rounding::kUp ? fraction > 0.5f : rounding == Rounding::kNearest && fraction >= 0.75f;
    code = exponent - 1 + 127 + (up ? 1 : 0);
  }
  if ((code < 0 || code > kLargest) && !saturate) return kNan;
  return static_cast<uint8_t>(std::min(std::max(code, 0), kLargest));
}

// The type that arithmetic on `T` is done in.
template <class T>
struct ComputeOf {
  using type = T;
};
template <> struct ComputeOf<Half> { using type = float; };
template <> struct ComputeOf<BFloat16> { using type = float; };
template <> struct ComputeOf<Bool> { using type = bool; };
template <> struct ComputeOf<PowerOfTwo> { using type = float; };
template <int E, int M, int B, Special S> struct ComputeOf<MiniFloat<E, M, B, S>> { using type = float; };
template <int Bits, bool Signed> struct ComputeOf<SmallInt<Bits, Signed>> { using type = int32_t; };
template <class T>
using Compute = typename ComputeOf<T>::type;

template <class T>
inline T load(T value) { return value; }
inline float load(Half value) { return half_to_float(value.bits); }
inline float load(BFloat16 value) { return bfloat16_to_float(value.bits); }
inline bool load(Bool value) { return value.value != 0; }
inline float load(PowerOfTwo value) {
  return value.bits == 0xff ? std::numeric_limits<float>::quiet_NaN() : std::ldexp(1.0f, value.bits - 127);
}
template <int E, int M, int B, Special S>
inline float load(MiniFloat<E, M, B, S> value) {
  static const auto table = [] {
    std::array<float, 1u << (1 + E + M)> decoded{};
    for (uint32_t code = 0; code < decoded.size(); ++code) decoded[code] = minifloat_decode<E, M, B, S>(code);
    return decoded;
  }();
  return table[value.bits & (table.size() - 1)];
}
template <int Bits, bool Signed>
inline int32_t load(SmallInt<Bits, Signed> value) {
  const int32_t low = value.byte & ((1 << Bits) - 1);
  return Signed && (low >> (Bits - 1)) != 0 ? low - (1 << Bits) : low;
}

// To an integer, towards zero; what does not fit goes to the nearest end and NaN to 0 (C leaves both undefined).
template <class To, class From>
inline To float_to_integer(From value, To low = std::numeric_limits<To>::min(),
                           To high = std::numeric_limits<To>::max()) {
  const From least = static_cast<From>(low);
  // static_cast<From>(high) may round up to a power of two that does not fit, hence >=.
  if (value >= static_cast<From>(high)) return high;
  if (value <= least) return low;
  return value != value ? To(0) : static_cast<To>(value);
}

// Conversion of a computed value to storage. Integers wrap, floats round half to even.
template <class To>
struct Store {
  template <class From>
  static To from(From value, bool /*saturate*/ = true) {
    if constexpr (std::is_integral_v<To> && std::is_floating_point_v<From>) {
      return float_to_integer<To>(value);
    } else {
      return static_cast<To>(value);
    }
  }
};
template <>
struct Store<Bool> {
  template <class From>
  static Bool from(From value, bool = true) { return {static_cast<uint8_t>(value != From(0))}; }
};
template <>
struct Store<Half> {
  template <class From>
  static Half from(From value, bool = true) {
    if constexpr (std::is_same_v<From, double>) return {double_to_half(value)};
    else return {float_to_half(static_cast<float>(value))};
  }
};
template <>
struct Store<BFloat16> {
  template <class From>
  static BFloat16 from(From value, bool = true) { return {float_to_bfloat16(static_cast<float>(value))}; }
};
template <>
struct Store<PowerOfTwo> {
  template <class From>
  static PowerOfTwo from(From value, bool saturate = true) {
    return {power_of_two_encode(static_cast<float>(value), saturate, Rounding::kNearest)};
  }
};
template <int E, int M, int B, Special S>
struct Store<MiniFloat<E, M, B, S>> {
  template <class From>
  static MiniFloat<E, M, B, S> from(From value, bool saturate = true) {
    return {minifloat_encode<E, M, B, S>(static_cast<float>(value), saturate)};
  }
};
template <int Bits, bool Signed>
struct Store<SmallInt<Bits, Signed>> {
  static constexpr int32_t kLow = Signed ? -(1 << (Bits - 1)) : 0, kHigh = kLow + (1 << Bits) - 1;
  template <class From>
  static SmallInt<Bits, Signed> from(From value, bool = true) {
    int32_t whole;
    if constexpr (std::is_floating_point_v<From>) {
      whole = float_to_integer<int32_t>(value, kLow, kHigh);
    } else {
      whole = load(SmallInt<Bits, Signed>{static_cast<uint8_t>(value)});
    }
    return {static_cast<uint8_t>(whole)};  // signed values stay sign-extended in their byte
  }
};

template <class T>
inline T store(Compute<T> value) { return Store<T>::from(value); }

// ---- dispatch: calls `visit(Tag<T>{})` with the storage type of a code ----

template <class T>
struct Tag {
  using type = T;
};

#define MM_CASE(code, type) case code: return visit(Tag<type>{});
#define MM_FLOAT_CASES MM_CASE(MM_F32, float) MM_CASE(MM_F64, double) MM_CASE(MM_F16, Half) MM_CASE(MM_BF16, BFloat16)
#define MM_SIGNED_CASES \
  MM_CASE(MM_I8, int8_t) MM_CASE(MM_I16, int16_t) MM_CASE(MM_I32, int32_t) MM_CASE(MM_I64, int64_t)
#define MM_UNSIGNED_CASES \
  MM_CASE(MM_U8, uint8_t) MM_CASE(MM_U16, uint16_t) MM_CASE(MM_U32, uint32_t) MM_CASE(MM_U64, uint64_t)
#define MM_TINY_FLOAT_CASES                                                                                     \
  MM_CASE(MM_F8E4M3FN, F8E4M3FN) MM_CASE(MM_F8E4M3FNUZ, F8E4M3FNUZ) MM_CASE(MM_F8E5M2, F8E5M2)                  \
  MM_CASE(MM_F8E5M2FNUZ, F8E5M2FNUZ) MM_CASE(MM_F8E8M0FNU, PowerOfTwo) MM_CASE(MM_F4E2M1FN, F4E2M1FN)
#define MM_TINY_INTEGER_CASES                                                                                   \
  MM_CASE(MM_I2, SmallInt<2 MM_COMMA true>) MM_CASE(MM_I4, SmallInt<4 MM_COMMA true>)                           \
  MM_CASE(MM_U2, SmallInt<2 MM_COMMA false>) MM_CASE(MM_U4, SmallInt<4 MM_COMMA false>)
#define MM_COMMA ,

template <class Visit>
Prepared for_float(const Signature& s, const mm_desc& a, Visit visit) {
  switch (a.dtype) {
    MM_FLOAT_CASES
    default: s.unsupported(a);
  }
}

// Floats of 4 and 8 bits too.
template <class Visit>
Prepared for_any_float(const Signature& s, const mm_desc& a, Visit visit) {
  switch (a.dtype) {
    MM_FLOAT_CASES MM_TINY_FLOAT_CASES
    default: s.unsupported(a);
  }
}

template <class Visit>
Prepared for_integer(const Signature& s, const mm_desc& a, Visit visit) {
  switch (a.dtype) {
    MM_SIGNED_CASES MM_UNSIGNED_CASES
    default: s.unsupported(a);
  }
}

template <class Visit>
Prepared for_number(const Signature& s, const mm_desc& a, Visit visit) {
  switch (a.dtype) {
    MM_FLOAT_CASES MM_SIGNED_CASES MM_UNSIGNED_CASES
    default: s.unsupported(a);
  }
}

// Numbers and booleans.
template <class Visit>
Prepared for_scalar(const Signature& s, const mm_desc& a, Visit visit) {
  switch (a.dtype) {
    MM_FLOAT_CASES MM_SIGNED_CASES MM_UNSIGNED_CASES MM_CASE(MM_BOOL, Bool)
    default: s.unsupported(a);
  }
}

// Everything but complex numbers.
template <class Visit>
Prepared for_real(const Signature& s, const mm_desc& a, Visit visit) {
  switch (a.dtype) {
    MM_FLOAT_CASES MM_SIGNED_CASES MM_UNSIGNED_CASES MM_CASE(MM_BOOL, Bool)
    MM_TINY_FLOAT_CASES MM_TINY_INTEGER_CASES
    default: s.unsupported(a);
  }
}

struct Bytes16 {
  uint64_t low, high;
};

// Any type, as an opaque element of its size: for kernels that only move data.
template <class Visit>
Prepared for_size(const Signature& s, const mm_desc& a, Visit visit) {
  switch (dtype_bytes(a.dtype)) {
    MM_CASE(1, uint8_t) MM_CASE(2, uint16_t) MM_CASE(4, uint32_t) MM_CASE(8, uint64_t) MM_CASE(16, Bytes16)
    default: s.unsupported(a);
  }
}

}  // namespace mm
