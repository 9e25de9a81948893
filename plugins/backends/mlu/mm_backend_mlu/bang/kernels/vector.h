// Functions of whole tiles that take more than one instruction. `n` is a multiple of whole vectors; a destination may not
// be one of the sources.
#ifndef MM_KERNELS_VECTOR_H_
#define MM_KERNELS_VECTOR_H_

#include "common.h"

namespace mm {

// tanh(x) = 2 sigmoid(2 x) - 1, to 2e-7.
__mlu_func__ void vector_tanh(float *dst, const float *src, float *twice, int n) {
  __bang_mul_scalar(twice, src, 2.0f, n);
  __bang_active_sigmoid(dst, twice, n);
  __bang_mul_scalar(dst, dst, 2.0f, n);
  __bang_sub_scalar(dst, dst, 1.0f, n);
}

// The error function to 2e-7: sign(x) (1 - (((((a5 t + a4) t) + a3) t + a2) t + a1) t exp(-x^2)) with t = 1 / (1 + p |x|),
// Abramowitz and Stegun 7.1.26.
__mlu_func__ void vector_erf(float *dst, const float *src, float *t, float *power, int n) {
  __bang_active_abs(dst, src, n);
  __bang_mul_scalar(t, dst, 0.3275911f, n);
  __bang_add_scalar(t, t, 1.0f, n);
  __bang_active_reciphp(t, t, n);
  __bang_mul(power, src, src, n);
  __bang_mul_scalar(power, power, -1.0f, n);
  __bang_active_exphp(power, power, n);
  __bang_mul_scalar(dst, t, 1.061405429f, n);
  __bang_add_scalar(dst, dst, -1.453152027f, n);
  __bang_mul(dst, dst, t, n);
  __bang_add_scalar(dst, dst, 1.421413741f, n);
  __bang_mul(dst, dst, t, n);
  __bang_add_scalar(dst, dst, -0.284496736f, n);
  __bang_mul(dst, dst, t, n);
  __bang_add_scalar(dst, dst, 0.254829592f, n);
  __bang_mul(dst, dst, t, n);
  __bang_mul(dst, dst, power, n);
  __bang_mul_scalar(dst, dst, -1.0f, n);
  __bang_add_scalar(dst, dst, 1.0f, n);
  __bang_gt_scalar(t, src, 0.0f, n);
  __bang_lt_scalar(power, src, 0.0f, n);
  __bang_sub(t, t, power, n);
  __bang_mul(dst, dst, t, n);
}

// All bits of an element set where `truth` is 1, none where it is 0. The largest negative number has all bits but the lowest
// of the exponent, which is the smallest normal number.
__mlu_func__ void vector_mask(float *mask, const float *truth, float *scratch, int n) {
  __bang_mul_scalar(mask, truth, -FLT_MAX, n);
  __bang_add_scalar(mask, mask, 0.0f, n);  // -0 becomes 0
  __bang_mul_scalar(scratch, truth, FLT_MIN, n);
  __bang_bor((char *)mask, (char *)mask, (char *)scratch, n * (int)sizeof(float));
}
__mlu_func__ void vector_mask(half *mask, const half *truth, half *scratch, int n) {
  __bang_mul_scalar(mask, truth, (half)-65504.0f, n);
  __bang_add_scalar(mask, mask, (half)0.0f, n);
  __bang_mul_scalar(scratch, truth, (half)6.103515625e-5f, n);
  __bang_bor((char *)mask, (char *)mask, (char *)scratch, n * (int)sizeof(half));
}

// Elements of `a` where `truth` is 1, of `b` where it is 0. Bits are chosen, so that no infinity is multiplied by zero.
template <typename T>
__mlu_func__ void vector_select(T *dst, const T *truth, const T *a, const T *b, T *mask, T *other, int n) {
  const int bytes = n * (int)sizeof(T);
  vector_mask(mask, truth, dst, n);
  __bang_band((char *)dst, (char *)a, (char *)mask, bytes);
  __bang_eq_scalar(other, truth, (T)0.0f, n);
  vector_mask(mask, other, other, n);
  __bang_band((char *)other, (char *)b, (char *)mask, bytes);
  __bang_bor((char *)dst, (char *)dst, (char *)other, bytes);
}

// Truth values as bytes. Each is the lowest byte of a whole number, the first of its four: the numbers' bytes are turned round,
// so that all first ones lie together.
__mlu_func__ void vector_truth(uint8_t *dst, const float *truth, float *bytes, float *numbers, int n) {
  __bang_float2int32((int32_t *)numbers, truth, n, 0);
  __bang_transpose((char *)bytes, (char *)numbers, n, (int)sizeof(int32_t));
  __sync_compute();
  __memcpy(dst, bytes, n, NRAM2NRAM);
}
__mlu_func__ void vector_truth(uint8_t *dst, const half *truth, float *bytes, float *numbers, int n) {
  __bang_half2float(bytes, truth, n);
  vector_truth(dst, bytes, bytes, numbers, n);
}

// A vector of `cycle` elements again and again, until `n` elements are written.
template <typename T>
__mlu_func__ void repeat(T *dst, const T *src, int cycle, int n) {
  __sync_compute();
  __memcpy(dst, src, cycle * (int)sizeof(T), NRAM2NRAM, cycle * (int)sizeof(T), 0, n / cycle - 1);
}

// Each of `rows` elements all along a row of `pitch`.
template <typename T>
__mlu_func__ void spread(T *dst, const T *column, int rows, int pitch) {
  __sync_compute();
  for (int row = 0; row < rows; ++row) {
    const T value = column[row];
    for (int i = 0; i < pitch; ++i) dst[row * pitch + i] = value;
  }
}
__mlu_func__ void spread(float *dst, const float *column, int rows, int pitch) {
  for (int row = 0; row < rows; ++row) __bang_write_value(dst + row * pitch, pitch, column[row]);
}
__mlu_func__ void spread(int32_t *dst, const int32_t *column, int rows, int pitch) {
  for (int row = 0; row < rows; ++row) __bang_write_value(dst + row * pitch, pitch, column[row]);
}
__mlu_func__ void spread(half *dst, const half *column, int rows, int pitch) {
  for (int row = 0; row < rows; ++row) __bang_write_value(dst + row * pitch, pitch, column[row]);
}

// The same bits in every element of a tile of whole vectors.
__mlu_func__ void fill_bits(uint8_t *tile, int count, uint8_t bits) { __bang_write_value((char *)tile, count, (char)bits); }
__mlu_func__ void fill_bits(uint16_t *tile, int count, uint16_t bits) {
  __bang_write_value((int16_t *)tile, count, (int16_t)bits);
}
__mlu_func__ void fill_bits(uint32_t *tile, int count, uint32_t bits) {
  __bang_write_value((int32_t *)tile, count, (int32_t)bits);
}
__mlu_func__ void fill_bits(uint64_t *tile, int count, uint64_t bits) {
  for (int i = 0; i < count; ++i) tile[i] = bits;
}

// Zeros from element `used` to element `count`: what a copy leaves of the last vector.
template <typename T>
__mlu_func__ void clear_tail(T *tile, int used, int count) {
  for (int i = used; i < count; ++i) tile[i] = (T)0;
}

}  // namespace mm

#endif  // MM_KERNELS_VECTOR_H_
