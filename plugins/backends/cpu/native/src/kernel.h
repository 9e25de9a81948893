// How a library kernel presents itself: one function that reads a step's types, refuses what it cannot do and answers
// the concrete code to run. All dispatch on element types happens here, when a program is created.
#pragma once

#include <cstdarg>
#include <cstdint>
#include <cstring>
#include <stdexcept>

#include "mm_cpu.h"

namespace mm {

// The words of a program ask for something that does not exist or does not fit.
struct Refusal : std::runtime_error {
  using std::runtime_error::runtime_error;
};
[[noreturn]] void refuse(const char* format, ...) __attribute__((format(printf, 1, 2)));

struct Prepared {
  mm_kernel kernel;
  int64_t tasks;
  double cost = 1;      // elementary operations of one task, about
  int64_t scratch = 0;  // bytes of a thread
};

// A step as it is known before running: operand types and parameters, no data.
class Signature {
 public:
  Signature(const mm_desc* desc, int32_t n_inputs, int32_t n_outputs, const int64_t* params, int64_t n_params)
      : n_inputs(n_inputs), n_outputs(n_outputs), n_params(n_params), desc_(desc), params_(params) {}

  const int32_t n_inputs, n_outputs;
  const int64_t n_params;

  const mm_desc& input(int32_t i) const { return desc_[i]; }
  const mm_desc& output(int32_t i) const { return desc_[n_inputs + i]; }
  bool has_input(int32_t i) const { return i < n_inputs && input(i).dtype != MM_NONE; }
  bool has_output(int32_t i) const { return i < n_outputs && output(i).dtype != MM_NONE; }
  const int64_t* params() const { return params_; }

  int64_t param(int64_t i, int64_t low, int64_t high) const;
  // Refuses other counts; inputs below `required` and the first output must be present.
  void expect(int32_t required, int32_t most_inputs, int32_t most_outputs, int64_t params) const;
  void expect_params(int64_t count) const;
  void expect_same_dtype(const mm_desc& a, const mm_desc& b) const;
  void expect_same_shape(const mm_desc& a, const mm_desc& b) const;
  void expect_count(const mm_desc& a, int64_t count) const;
  void expect_dtype(const mm_desc& a, int32_t dtype) const;
  void expect_index(const mm_desc& a) const;  // i32 or i64
  void expect_axis(const mm_desc& a, int64_t axis) const;
  [[noreturn]] void unsupported(const mm_desc& a) const;

 private:
  const mm_desc* desc_;
  const int64_t* params_;
};

struct LibraryKernel {
  const char* name;
  Prepared (*prepare)(const Signature& signature);
};

const char* dtype_text(int32_t code);
int64_t dtype_bytes(int32_t code);
int32_t dtype_code(const char* text);

inline double param_double(int64_t bits) {
  double value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

template <class T>
const T* input(const mm_call* call, int32_t i) {
  return static_cast<const T*>(call->data[i]);
}
template <class T>
T* output(const mm_call* call, int32_t i) {
  return static_cast<T*>(call->data[call->n_inputs + i]);
}
inline const mm_desc& input_desc(const mm_call* call, int32_t i) { return call->desc[i]; }
inline const mm_desc& output_desc(const mm_call* call, int32_t i) { return call->desc[call->n_inputs + i]; }
inline void report(const mm_call* call, int32_t status) { __atomic_store_n(call->status, status, __ATOMIC_RELAXED); }

// Product of dims[first, last).
inline int64_t product(const mm_desc& a, int64_t first, int64_t last) {
  int64_t count = 1;
  for (int64_t i = first; i < last; ++i) count *= a.dims[i];
  return count;
}

}  // namespace mm

// Hot loops are compiled for several instruction sets and chosen when the library is loaded. Only loops whose result
// does not depend on the choice beyond rounding may be marked.
#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(MM_NO_CLONES) && !defined(__clang__)
#define MM_CLONES __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define MM_CLONES
#endif
