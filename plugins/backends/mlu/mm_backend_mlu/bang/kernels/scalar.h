// Functions of one element, for the scalar unit: what C leaves undefined is defined as the operators define it.
#ifndef MM_KERNELS_SCALAR_H_
#define MM_KERNELS_SCALAR_H_

#include "common.h"

namespace mm {

// An unsigned type in which integers of type T wrap; no narrower than what C promotes to.
template <typename T, bool wide = (sizeof(T) > 4)>
struct Wrapping {
  typedef uint32_t type;
};
template <typename T>
struct Wrapping<T, true> {
  typedef uint64_t type;
};

__mlu_func__ float sign(float x) { return x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : x; }
__mlu_func__ float larger(float a, float b) { return a >= b || a != a ? a : b; }
__mlu_func__ float smaller(float a, float b) { return a <= b || a != a ? a : b; }

// Truncated towards zero; 0 for a divisor of 0.
template <typename T>
__mlu_func__ T quotient(T a, T b) {
  if (b == 0) return 0;
  if (b == (T)-1 && (T)-1 < (T)0) return (T)(0 - (typename Wrapping<T>::type)a);
  return (T)(a / b);
}

// With the sign of `a`; 0 for a divisor of 0.
template <typename T>
__mlu_func__ T remainder(T a, T b) {
  if (b == 0 || (b == (T)-1 && (T)-1 < (T)0)) return 0;
  return (T)(a % b);
}

// With the sign of `b`; 0 for a divisor of 0.
template <typename T>
__mlu_func__ T modulo(T a, T b) {
  const T rest = remainder<T>(a, b);
  return rest != 0 && ((rest < 0) != (b < 0)) ? (T)(rest + b) : rest;
}
__mlu_func__ float modulo(float a, float b) {
  const float rest = fmodf(a, b);
  if (rest == 0.0f) return copysignf(0.0f, b);
  return (rest < 0.0f) != (b < 0.0f) ? rest + b : rest;
}

// A negative exponent gives 0, unless the base is 1 or -1.
template <typename T>
__mlu_func__ T power(T base, T exponent) {
  if (exponent < 0 && base != (T)1 && base != (T)-1) return 0;
  typename Wrapping<T>::type result = 1, square = (typename Wrapping<T>::type)base;
  uint64_t left = exponent < 0 ? (uint64_t)exponent & 1 : (uint64_t)exponent;
  for (; left != 0; left >>= 1) {
    if (left & 1) result *= square;
    square *= square;
  }
  return (T)result;
}

// Shifts by the width or more leave zeros, or the sign.
template <typename T>
__mlu_func__ T shift_left(T a, T count) {
  if (count < 0 || count >= (T)(8 * sizeof(T))) return 0;
  return (T)((typename Wrapping<T>::type)a << count);
}
template <typename T>
__mlu_func__ T shift_right(T a, T count) {
  if (count < 0 || count >= (T)(8 * sizeof(T))) return a < 0 ? (T)-1 : (T)0;
  return (T)(a >> count);
}

// Truncated; what is beyond 32 bits (64 for types of 32 unsigned bits and more) becomes the end of that range, whose low bits are
// taken; 0 for NaN.
template <typename T>
__mlu_func__ T to_integer(float x) {
  const bool is_signed = (T)-1 < (T)0;
  const float top = sizeof(T) == 8 && !is_signed                   ? 18446744073709551616.0f
                    : sizeof(T) == 8 || (sizeof(T) == 4 && !is_signed) ? 9223372036854775808.0f
                                                                   : 2147483648.0f;
  if (x != x) return 0;
  if (x >= top) {
    return top > 1e19f ? (T)UINT64_MAX : top > 1e18f ? (T)INT64_MAX : (T)INT32_MAX;
  }
  if (x < 0.0f) {
    const float bottom = top > 1e18f ? -9223372036854775808.0f : -2147483648.0f;
    return x <= bottom ? (T)(bottom < -1e18f ? INT64_MIN : (int64_t)INT32_MIN) : (T)(int64_t)x;
  }
  return (T)(uint64_t)x;
}

// x in steps of `scale`, to even, counted from the zero point; as near as T, of 16 bits at most, has it; 0 for NaN.
template <typename T>
__mlu_func__ T quantized(float x, float scale, float zero_point) {
  const float low = (T)-1 < (T)0 ? -(float)(1 << (8 * sizeof(T) - 1)) : 0.0f;
  const float high = low + (float)((1 << 8 * sizeof(T)) - 1);
  const float steps = rintf(x / scale) + zero_point;
  if (steps != steps) return 0;
  return (T)(int32_t)(steps < low ? low : steps > high ? high : steps);
}

}  // namespace mm

#endif  // MM_KERNELS_SCALAR_H_
