// The 16-bit floating-point number as a scalar: stored as bits, computed with as float, rounded to nearest even.
#pragma once

#include <cstdint>
#include <cstring>
#ifdef __F16C__
#include <immintrin.h>
#endif

struct half {
  uint16_t bits;

  half() = default;
  half(float value) : bits(from_float(value)) {}
  half(double value) : half(static_cast<float>(value)) {}
  half(int value) : half(static_cast<float>(value)) {}
  half(unsigned value) : half(static_cast<float>(value)) {}
  half(long value) : half(static_cast<float>(value)) {}
  half(unsigned long value) : half(static_cast<float>(value)) {}
  operator float() const { return to_float(bits); }

  half &operator+=(float other) { return *this = half(float(*this) + other); }
  half &operator-=(float other) { return *this = half(float(*this) - other); }
  half &operator*=(float other) { return *this = half(float(*this) * other); }
  half &operator/=(float other) { return *this = half(float(*this) / other); }

  static float to_float(uint16_t bits) {
#ifdef __F16C__
    return _cvtsh_ss(bits);
#else
    const uint32_t sign = uint32_t(bits & 0x8000) << 16;
    const uint32_t magnitude = uint32_t(bits & 0x7fff) << 13;
    // Scaling by a power of two moves the exponent's bias, and makes subnormal numbers right on the way.
    float value = as_float(magnitude) * as_float(0x77800000);
    if ((bits & 0x7c00) == 0x7c00) value = as_float(magnitude | 0x7f800000);
    return as_float(as_bits(value) | sign);
#endif
  }

  static uint16_t from_float(float value) {
#ifdef __F16C__
    return _cvtss_sh(value, _MM_FROUND_TO_NEAREST_INT);
#else
    const uint32_t bits = as_bits(value);
    const uint16_t sign = uint16_t((bits >> 16) & 0x8000);
    const uint32_t magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000) return sign | 0x7e00 | uint16_t((magnitude >> 13) & 0x1ff);
    if (magnitude >= 0x477ff000) return sign | 0x7c00;
    if (magnitude < 0x38800000) {  // subnormal: adding one half moves the digits to their place and rounds them
      return sign | uint16_t(as_bits(as_float(magnitude) + 0.5f) - 0x3f000000);
    }
    const uint32_t rounded = magnitude + 0xfff + ((magnitude >> 13) & 1);
    return sign | uint16_t((rounded - 0x38000000) >> 13);
#endif
  }

 private:
  static float as_float(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
  }
  static uint32_t as_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
  }
};
