// Checks that prepare functions share, and the table of element types.
#include <cstdio>

#include "kernel.h"

namespace mm {
namespace {

struct TypeRow {
  const char* text;
  int64_t bytes;
};

// In the order of mm_dtype.
constexpr TypeRow kTypes[MM_DTYPE_COUNT] = {
    {"none", 0},          {"i1", 1},         {"i2", 1},        {"i4", 1},       {"i8", 1},
    {"i16", 2},           {"i32", 4},        {"i64", 8},       {"ui2", 1},      {"ui4", 1},
    {"ui8", 1},           {"ui16", 2},       {"ui32", 4},      {"ui64", 8},     {"f16", 2},
    {"bf16", 2},          {"f32", 4},        {"f64", 8},       {"f8E4M3FN", 1}, {"f8E4M3FNUZ", 1},
    {"f8E5M2", 1},        {"f8E5M2FNUZ", 1}, {"f8E8M0FNU", 1}, {"f4E2M1FN", 1}, {"complex<f32>", 8},
    {"complex<f64>", 16},
};

}  // namespace

void refuse(const char* format, ...) {
  char text[256];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  throw Refusal(text);
}

const char* dtype_text(int32_t code) { return code >= 0 && code < MM_DTYPE_COUNT ? kTypes[code].text : "unknown"; }

int64_t dtype_bytes(int32_t code) { return code >= 0 && code < MM_DTYPE_COUNT ? kTypes[code].bytes : 0; }

int32_t dtype_code(const char* text) {
  for (int32_t code = MM_NONE + 1; code < MM_DTYPE_COUNT; ++code) {
    if (std::strcmp(kTypes[code].text, text) == 0) return code;
  }
  return MM_NONE;
}

int64_t Signature::param(int64_t i, int64_t low, int64_t high) const {
  if (i >= n_params) refuse("parameter %lld is missing", static_cast<long long>(i));
  if (params_[i] < low || params_[i] > high) {
    refuse("parameter %lld is %lld, outside %lld to %lld", static_cast<long long>(i),
           static_cast<long long>(params_[i]), static_cast<long long>(low), static_cast<long long>(high));
  }
  return params_[i];
}

void Signature::expect(int32_t required, int32_t most_inputs, int32_t most_outputs, int64_t params) const {
  if (n_inputs < required || n_inputs > most_inputs) {
    refuse("it has %d inputs instead of %d to %d", n_inputs, required, most_inputs);
  }
  if (n_outputs < 1 || n_outputs > most_outputs)
    refuse("it has %d outputs instead of 1 to %d", n_outputs, most_outputs);
  for (int32_t i = 0; i < required; ++i) {
    if (!has_input(i)) refuse("input %d is absent", i);
  }
  if (!has_output(0)) refuse("output 0 is absent");
  expect_params(params);
}

void Signature::expect_params(int64_t count) const {
  if (n_params != count) {
    refuse("it has %lld parameters instead of %lld", static_cast<long long>(n_params), static_cast<long long>(count));
  }
}

void Signature::expect_same_dtype(const mm_desc& a, const mm_desc& b) const {
  if (a.dtype != b.dtype) refuse("element types %s and %s must be equal", dtype_text(a.dtype), dtype_text(b.dtype));
}

void Signature::expect_same_shape(const mm_desc& a, const mm_desc& b) const {
  bool same = a.rank == b.rank;
  for (int32_t i = 0; same && i < a.rank; ++i) same = a.dims[i] == b.dims[i];
  if (!same) refuse("two operands must have one shape");
}

void Signature::expect_count(const mm_desc& a, int64_t count) const {
  if (a.count != count) {
    refuse("an operand has %lld elements instead of %lld", static_cast<long long>(a.count),
           static_cast<long long>(count));
  }
}

void Signature::expect_dtype(const mm_desc& a, int32_t dtype) const {
  if (a.dtype != dtype) refuse("element type %s must be %s", dtype_text(a.dtype), dtype_text(dtype));
}

void Signature::expect_index(const mm_desc& a) const {
  if (a.dtype != MM_I32 && a.dtype != MM_I64) refuse("index type %s must be i32 or i64", dtype_text(a.dtype));
}

void Signature::expect_axis(const mm_desc& a, int64_t axis) const {
  if (axis < 0 || axis >= a.rank) refuse("axis %lld of a tensor of rank %d", static_cast<long long>(axis), a.rank);
}

void Signature::unsupported(const mm_desc& a) const {
  refuse("element type %s is not supported", dtype_text(a.dtype));
}

}  // namespace mm
