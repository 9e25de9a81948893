// Single-precision functions without branches or calls, so that loops over them vectorise. Errors are within a few
// units in the last place; infinities, NaN and denormal results are as in the C library.
#pragma once

#include <cmath>

#include "dtypes.h"

// Inlined whatever its size: a call would end the vectorisation of the caller's loop.
#define MM_INLINE inline __attribute__((always_inline))

namespace mm {

MM_INLINE float fast_exp(float x) {
  // Comparisons are written so that NaN passes through.
  float clamped = x > 89.0f ? 89.0f : x;
  clamped = clamped < -104.0f ? -104.0f : clamped;
  // x = n ln2 + r; adding 1.5 * 2^23 leaves n in the low bits, rounded to nearest.
  const float shifted = clamped * 1.44269504f + 12582912.0f;
  const float n = shifted - 12582912.0f;
  const float r = clamped - n * 0.693359375f - n * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  // 2^n in two factors, each a normal number, so that results reach down to denormals and up to infinity.
  const int32_t whole = static_cast<int32_t>(bits_as<uint32_t>(shifted) - 0x4b400000u);
  const int32_t half = whole >> 1;
  const float low = bits_as<float>(static_cast<uint32_t>(half + 127) << 23);
  const float high = bits_as<float>(static_cast<uint32_t>(whole - half + 127) << 23);
  return p * low * high;
}

MM_INLINE float fast_sigmoid(float x) { return 1.0f / (1.0f + fast_exp(-x)); }

MM_INLINE float fast_tanh(float x) {
  const float magnitude = std::fabs(x);
  const float z = x * x;
  float p = -5.70498872745e-3f;
  p = p * z + 2.06390887954e-2f;
  p = p * z - 5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z - 3.33332819422e-1f;
  const float near = p * z * x + x;
  const float far = 1.0f - 2.0f / (fast_exp(2.0f * magnitude) + 1.0f);
  return magnitude < 0.625f ? near : std::copysign(far, x);
}

// Two polynomials after Juffa (forums.developer.nvidia.com, 2014): erf itself near 0, log(1 - erf) beyond.
MM_INLINE float fast_erf(float x) {
  const float s = x * x;
  float near = -5.96761703e-4f;
  near = near * s + 4.99119423e-3f;
  near = near * s - 2.67681349e-2f;
  near = near * s + 1.12819925e-1f;
  near = near * s - 3.76125336e-1f;
  near = near * s + 1.28379166e-1f;
  near = near * x + x;
  float t = std::fabs(x);
  t = t > 4.0f ? 4.0f : t;  // erf rounds to 1 there
  float far = -1.72853470e-5f * t + 3.83197126e-4f;
  far = far * (t * t) + (-3.88396438e-3f * t + 2.42546219e-2f);
  far = far * t - 1.06777877e-1f;
  far = far * t - 6.34846687e-1f;
  far = far * t - 1.28717512e-1f;
  far = far * t - t;
  far = 1.0f - fast_exp(far);
  return std::fabs(x) > 0.927734375f ? std::copysign(far, x) : near;
}

// The same names for the other computed types, by the C library.
inline double fast_exp(double x) { return std::exp(x); }
inline double fast_sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }
inline double fast_tanh(double x) { return std::tanh(x); }
inline double fast_erf(double x) { return std::erf(x); }

}  // namespace mm
