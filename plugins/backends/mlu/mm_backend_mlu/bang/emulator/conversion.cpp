// Instructions of the vector unit that convert elements from one type to another.
#include <algorithm>
#include <cmath>

#include "instruction.h"

namespace mm_emulator {

namespace {

template <typename To, typename From, typename Op>
void convert(const char *name, To *dst, const From *src, int n, int position, Op op, const char *file, int line) {
  const Instruction instruction(name, file, line);
  const size_t bytes = size_t(n) * sizeof(To), source_bytes = size_t(n) * sizeof(From);
  instruction.vector_count(n, std::min(sizeof(To), sizeof(From)));
  if (position) violate(instruction.site(), "position %d: fixed-point numbers are not emulated", position);
  instruction.source(src, source_bytes, "the operand");
  // Elements stay where they are only between types of one size.
  if (bytes == source_bytes)
    instruction.apart_or_in_place(dst, src, bytes, bytes);
  else
    instruction.apart(dst, bytes, src, source_bytes);
  instruction.result(dst, bytes);
  op(dst, src, n);
  instruction.done(dst, bytes);
  time_vector(std::max(bytes, source_bytes), 1);
}

template <typename Round>
void to_integers(const char *name, int32_t *dst, const float *src, int n, int position, Round round, const char *file,
                 int line) {
  convert(name, dst, src, n, position, [&](int32_t *to, const float *from, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      const double value = round(double(from[i]));
      to[i] = value != value ? 0 : int32_t(std::clamp(value, double(INT32_MIN), double(INT32_MAX)));
    }
  }, file, line);
}

template <typename To, typename From>
void widen(To *to, const From *from, int64_t n) {
  for (int64_t i = 0; i < n; ++i) to[i] = To(float(from[i]));
}

half toward_zero(float value) {
  half nearest(value);
  if (std::fabs(float(nearest)) > std::fabs(value)) nearest.bits -= 1;
  return nearest;
}

}  // namespace

}  // namespace mm_emulator

using namespace mm_emulator;

void __bang_half2float(float *dst, const half *src, int n, const char *file, int line) {
  convert("__bang_half2float", dst, src, n, 0,
          [](float *to, const half *from, int64_t count) { load(to, from, count); }, file, line);
}
void __bang_float2half_rn(half *dst, const float *src, int n, const char *file, int line) {
  convert("__bang_float2half_rn", dst, src, n, 0,
          [](half *to, const float *from, int64_t count) { store(to, from, count); }, file, line);
}
void __bang_float2half_tz(half *dst, const float *src, int n, const char *file, int line) {
  convert("__bang_float2half_tz", dst, src, n, 0, [](half *to, const float *from, int64_t count) {
    for (int64_t i = 0; i < count; ++i) to[i] = toward_zero(from[i]);
  }, file, line);
}

#define MM_TO_INTEGERS(name, round)                                                                          \
  void name(int32_t *dst, const float *src, int n, int position, const char *file, int line) {               \
    to_integers(#name, dst, src, n, position, [](double value) { return round(value); }, file, line);        \
  }
MM_TO_INTEGERS(__bang_float2int32, std::trunc)
MM_TO_INTEGERS(__bang_float2int32_tz, std::trunc)
MM_TO_INTEGERS(__bang_float2int32_rn, std::nearbyint)
MM_TO_INTEGERS(__bang_float2int32_dn, std::floor)
MM_TO_INTEGERS(__bang_float2int32_up, std::ceil)

#define MM_FROM_INTEGERS(name, To, From)                                                         \
  void name(To *dst, const From *src, int n, int position, const char *file, int line) {         \
    convert(#name, dst, src, n, position, widen<To, From>, file, line);                          \
  }
MM_FROM_INTEGERS(__bang_int322float, float, int32_t)
MM_FROM_INTEGERS(__bang_int322float_rn, float, int32_t)
MM_FROM_INTEGERS(__bang_int82float, float, int8_t)
MM_FROM_INTEGERS(__bang_int82half, half, int8_t)
void __bang_uchar2float(float *dst, const unsigned char *src, int n, const char *file, int line) {
  convert("__bang_uchar2float", dst, src, n, 0, widen<float, unsigned char>, file, line);
}
void __bang_uchar2half(half *dst, const unsigned char *src, int n, const char *file, int line) {
  convert("__bang_uchar2half", dst, src, n, 0, widen<half, unsigned char>, file, line);
}
