// Instructions of the vector unit that work element by element.
#include <algorithm>
#include <cmath>
#include <initializer_list>

#include "instruction.h"

namespace mm_emulator {

namespace {

// Results of arithmetic on float, rounded once when they are stored.
struct Add { static float of(float a, float b) { return a + b; } };
struct Sub { static float of(float a, float b) { return a - b; } };
struct Mul { static float of(float a, float b) { return a * b; } };
// A NaN wins, as in IEEE 754's maximum.
struct Max { static float of(float a, float b) { return a != a ? a : b != b ? b : a > b ? a : b; } };
struct Min { static float of(float a, float b) { return a != a ? a : b != b ? b : a < b ? a : b; } };
struct Equal { static float of(float a, float b) { return a == b ? 1.f : 0.f; } };
struct NotEqual { static float of(float a, float b) { return a != b ? 1.f : 0.f; } };
struct Less { static float of(float a, float b) { return a < b ? 1.f : 0.f; } };
struct LessEqual { static float of(float a, float b) { return a <= b ? 1.f : 0.f; } };
struct Greater { static float of(float a, float b) { return a > b ? 1.f : 0.f; } };
struct GreaterEqual { static float of(float a, float b) { return a >= b ? 1.f : 0.f; } };
struct And { static float of(float a, float b) { return (a != 0) & (b != 0) ? 1.f : 0.f; } };
struct Or { static float of(float a, float b) { return (a != 0) | (b != 0) ? 1.f : 0.f; } };
struct Xor { static float of(float a, float b) { return (a != 0) != (b != 0) ? 1.f : 0.f; } };

struct Not { static float of(float x) { return x != 0 ? 0.f : 1.f; } };
struct Floor { static float of(float x) { return std::floor(x); } };
struct Abs { static float of(float x) { return std::fabs(x); } };
struct Square { static float of(float x) { return x * x; } };
struct Relu { static float of(float x) { return x != x ? x : x > 0 ? x : 0.f; } };
// Through double, so that float results are rounded correctly but for the rarest cases.
struct Reciprocal { static float of(float x) { return float(1.0 / x); } };
struct SquareRoot { static float of(float x) { return float(std::sqrt(double(x))); } };
struct Exponential { static float of(float x) { return float(std::exp(double(x))); } };
struct Sigmoid { static float of(float x) { return float(1.0 / (1.0 + std::exp(-double(x)))); } };
struct Tangent { static float of(float x) { return float(std::tanh(double(x))); } };

constexpr bool kSlow = true;

template <typename Op>
void map(float *dst, const float *a, const float *b, int64_t n) {
  for (int64_t i = 0; i < n; ++i) dst[i] = Op::of(a[i], b[i]);
}
template <typename Op>
void map(half *dst, const half *a, const half *b, int64_t n) {
  float left[kChunk], right[kChunk];
  for (int64_t at = 0; at < n; at += kChunk) {
    const int64_t size = std::min(kChunk, n - at);
    load(left, a + at, size);
    load(right, b + at, size);
    map<Op>(left, left, right, size);
    store(dst + at, left, size);
  }
}

template <typename Op>
void map(float *dst, const float *src, float value, int64_t n) {
  for (int64_t i = 0; i < n; ++i) dst[i] = Op::of(src[i], value);
}
template <typename Op>
void map(half *dst, const half *src, half value, int64_t n) {
  float values[kChunk];
  for (int64_t at = 0; at < n; at += kChunk) {
    const int64_t size = std::min(kChunk, n - at);
    load(values, src + at, size);
    map<Op>(values, values, float(value), size);
    store(dst + at, values, size);
  }
}

template <typename Op>
void map(float *dst, const float *src, int64_t n) {
  for (int64_t i = 0; i < n; ++i) dst[i] = Op::of(src[i]);
}
template <typename Op>
void map(half *dst, const half *src, int64_t n) {
  float values[kChunk];
  for (int64_t at = 0; at < n; at += kChunk) {
    const int64_t size = std::min(kChunk, n - at);
    load(values, src + at, size);
    map<Op>(values, values, size);
    store(dst + at, values, size);
  }
}

struct Operand {
  const void *pointer;
  size_t bytes;
  const char *name;
};

// Checks, computes and counts an instruction of n elements, whose operands may lie where its result does.
template <typename T, typename Compute>
void elementwise(const Instruction &instruction, T *dst, int64_t n, std::initializer_list<Operand> operands,
                 Compute compute, uint32_t cycles = 1) {
  const size_t bytes = n * sizeof(T);
  for (const Operand &operand : operands) instruction.source(operand.pointer, operand.bytes, operand.name);
  for (const Operand &operand : operands)
    instruction.apart_or_in_place(dst, operand.pointer, bytes, operand.bytes);
  instruction.result(dst, bytes);
  compute();
  instruction.done(dst, bytes);
  time_vector(bytes, cycles);
}

template <typename Op, typename T>
void binary(const char *name, T *dst, const T *a, const T *b, int n, const char *file, int line) {
  const Instruction instruction(name, file, line);
  const size_t bytes = instruction.vector_bytes<T>(n);
  elementwise(instruction, dst, n, {{a, bytes, "the first operand"}, {b, bytes, "the second operand"}},
              [&] { map<Op>(dst, a, b, n); });
}

// The second operand, of `cycle` elements, is taken again and again.
template <typename Op, typename T>
void cycled(const char *name, T *dst, const T *a, const T *b, int n, int cycle, const char *file, int line) {
  const Instruction instruction(name, file, line);
  const size_t bytes = instruction.vector_bytes<T>(n), cycle_bytes = instruction.vector_bytes<T>(cycle);
  if (n % cycle) violate(instruction.site(), "%d elements are no multiple of the cycle's %d", n, cycle);
  elementwise(instruction, dst, n,
              {{a, bytes, "the first operand"}, {b, cycle_bytes, "the operand that is cycled"}}, [&] {
                for (int64_t at = 0; at < n; at += cycle) map<Op>(dst + at, a + at, b, cycle);
              });
}

template <typename Op, typename T>
void with_scalar(const char *name, T *dst, const T *src, T value, int n, const char *file, int line) {
  const Instruction instruction(name, file, line);
  elementwise(instruction, dst, n, {{src, instruction.vector_bytes<T>(n), "the operand"}},
              [&] { map<Op>(dst, src, value, n); });
}

template <typename Op, typename T>
void unary(const char *name, bool slow, T *dst, const T *src, int n, const char *file, int line) {
  const Instruction instruction(name, file, line);
  elementwise(instruction, dst, n, {{src, instruction.vector_bytes<T>(n), "the operand"}},
              [&] { map<Op>(dst, src, n); }, slow ? machine.target().transcendental_cycles : 1);
}

float fused(mluFusionOp_t op, float a, float b, float c) {
  switch (op) {
    case FUSION_FMA: return std::fma(a, b, c);
    case FUSION_FMS: return std::fma(a, b, -c);
    case FUSION_FAM: return float((double(a) + b) * c);
    case FUSION_FAS: return float(double(a) + b - c);
    case FUSION_FSA: return float(double(a) - b + c);
    case FUSION_FSM: return float((double(a) - b) * c);
    case FUSION_FSS: return float(double(a) - b - c);
  }
  return NAN;
}

template <typename T>
void fusion(mluFusionOp_t op, T *dst, const T *a, const T *b, const T *c, int n, int again, const char *file,
            int line) {
  const Instruction instruction("__bang_fusion", file, line);
  const size_t bytes = instruction.vector_bytes<T>(n);
  if (n != again) violate(instruction.site(), "the counts %d and %d differ", n, again);
  if (op < FUSION_FMA || op > FUSION_FSS) violate(instruction.site(), "%d is not an operation", int(op));
  elementwise(instruction, dst, n,
              {{a, bytes, "the first operand"}, {b, bytes, "the second operand"}, {c, bytes, "the third operand"}},
              [&] {
                for (int64_t i = 0; i < n; ++i) dst[i] = T(fused(op, a[i], b[i], c[i]));
              });
}

template <typename Op>
void bits(const char *name, char *dst, const char *a, const char *b, int n, Op op, const char *file, int line) {
  const Instruction instruction(name, file, line);
  const size_t bytes = instruction.vector_bytes<char>(n);
  elementwise(instruction, dst, n, {{a, bytes, "the first operand"}, {b, bytes, "the second operand"}}, [&] {
    for (int64_t i = 0; i < n; ++i) dst[i] = op(a[i], b[i]);
  });
}

template <typename T>
void fill(const char *name, T *dst, int n, T value, const char *file, int line) {
  const Instruction instruction(name, file, line);
  instruction.vector_bytes<T>(n);
  elementwise(instruction, dst, n, {}, [&] { std::fill(dst, dst + n, value); });
}

template <typename T, typename Better>
void first_best(const char *name, T *dst, const T *src, int n, Better better, const char *file, int line) {
  const Instruction instruction(name, file, line);
  const size_t bytes = instruction.vector_bytes<T>(n);
  constexpr size_t result_bytes = 128;
  instruction.source(src, bytes, "the operand");
  instruction.apart(dst, result_bytes, src, bytes);
  instruction.result(dst, result_bytes);
  uint32_t best = 0;
  for (int64_t i = 1; i < n; ++i)
    if (better(float(src[i]), float(src[best]))) best = uint32_t(i);
  memset(static_cast<void *>(dst), 0, result_bytes);
  dst[0] = src[best];
  memcpy(static_cast<void *>(dst + 1), &best, sizeof best);
  instruction.done(dst, result_bytes);
  time_vector(bytes, 1);
}

bool greater(float a, float b) { return a > b || (a != a && b == b); }
bool less(float a, float b) { return a < b || (a != a && b == b); }

template <typename T>
void add_atomically(T *gdram, const T *src, int n, const char *file, int line) {
  const Instruction instruction("__bang_atomic_reduce_add", file, line);
  const size_t bytes = size_t(n) * sizeof(T);
  instruction.count(n);
  instruction.source(src, bytes, "the operand");
  // Atomic additions of several tasks are no race, so this goes past the marks; what else touches the bytes is not.
  Memory *memory = find_memory(Space::kGdram, interval_of(gdram, bytes));
  if (!memory) violate(instruction.site(), "the destination has to be in a buffer in GDRAM");
  if (!memory->writable) violate(instruction.site(), "the destination is a buffer that this launch may only read");
  if (memory->written && memchr(memory->written + memory->offset(gdram), 0, bytes))
    violate(instruction.site(), "the destination is uninitialised");
  for (int64_t i = 0; i < n; ++i) gdram[i] += src[i];
  time_vector(bytes, 1);
}

}  // namespace

}  // namespace mm_emulator

using namespace mm_emulator;

#define MM_BINARY(name, Op)                                                                                    \
  void __bang_##name(float *dst, const float *a, const float *b, int n, const char *file, int line) {          \
    binary<Op>("__bang_" #name, dst, a, b, n, file, line);                                                     \
  }                                                                                                            \
  void __bang_##name(half *dst, const half *a, const half *b, int n, const char *file, int line) {             \
    binary<Op>("__bang_" #name, dst, a, b, n, file, line);                                                     \
  }                                                                                                            \
  void __bang_cycle_##name(float *dst, const float *a, const float *b, int n, int cycle, const char *file,     \
                           int line) {                                                                         \
    cycled<Op>("__bang_cycle_" #name, dst, a, b, n, cycle, file, line);                                        \
  }                                                                                                            \
  void __bang_cycle_##name(half *dst, const half *a, const half *b, int n, int cycle, const char *file,        \
                           int line) {                                                                         \
    cycled<Op>("__bang_cycle_" #name, dst, a, b, n, cycle, file, line);                                        \
  }
MM_BINARY(add, Add)
MM_BINARY(sub, Sub)
MM_BINARY(mul, Mul)
MM_BINARY(maxequal, Max)
MM_BINARY(minequal, Min)
MM_BINARY(eq, Equal)
MM_BINARY(ne, NotEqual)
MM_BINARY(lt, Less)
MM_BINARY(le, LessEqual)
MM_BINARY(gt, Greater)
MM_BINARY(ge, GreaterEqual)
MM_BINARY(and, And)
MM_BINARY(or, Or)
MM_BINARY(xor, Xor)

#define MM_SCALAR(name, Op)                                                                            \
  void __bang_##name(float *dst, const float *src, float value, int n, const char *file, int line) {   \
    with_scalar<Op>("__bang_" #name, dst, src, value, n, file, line);                                  \
  }                                                                                                    \
  void __bang_##name(half *dst, const half *src, half value, int n, const char *file, int line) {      \
    with_scalar<Op>("__bang_" #name, dst, src, value, n, file, line);                                  \
  }
MM_SCALAR(add_scalar, Add)
MM_SCALAR(sub_scalar, Sub)
MM_SCALAR(mul_scalar, Mul)
MM_SCALAR(maxeq_scalar, Max)
MM_SCALAR(mineq_scalar, Min)
MM_SCALAR(eq_scalar, Equal)
MM_SCALAR(ne_scalar, NotEqual)
MM_SCALAR(lt_scalar, Less)
MM_SCALAR(le_scalar, LessEqual)
MM_SCALAR(gt_scalar, Greater)
MM_SCALAR(ge_scalar, GreaterEqual)

#define MM_UNARY(name, Op, slow)                                                          \
  void __bang_##name(float *dst, const float *src, int n, const char *file, int line) {   \
    unary<Op>("__bang_" #name, slow, dst, src, n, file, line);                            \
  }                                                                                       \
  void __bang_##name(half *dst, const half *src, int n, const char *file, int line) {     \
    unary<Op>("__bang_" #name, slow, dst, src, n, file, line);                            \
  }
MM_UNARY(not, Not, !kSlow)
MM_UNARY(floor, Floor, !kSlow)
MM_UNARY(abs, Abs, !kSlow)
MM_UNARY(square, Square, !kSlow)
MM_UNARY(recip, Reciprocal, kSlow)
MM_UNARY(sqrt, SquareRoot, kSlow)
MM_UNARY(active_abs, Abs, !kSlow)
MM_UNARY(active_relu, Relu, !kSlow)
MM_UNARY(active_sigmoid, Sigmoid, kSlow)
MM_UNARY(active_exphp, Exponential, kSlow)
MM_UNARY(active_reciphp, Reciprocal, kSlow)
MM_UNARY(active_tanh, Tangent, kSlow)

void __bang_fusion(mluFusionOp_t op, float *dst, const float *a, const float *b, const float *c, int n, int again,
                   const char *file, int line) {
  fusion(op, dst, a, b, c, n, again, file, line);
}
void __bang_fusion(mluFusionOp_t op, half *dst, const half *a, const half *b, const half *c, int n, int again,
                   const char *file, int line) {
  fusion(op, dst, a, b, c, n, again, file, line);
}

void __bang_band(char *dst, const char *a, const char *b, int n, const char *file, int line) {
  bits("__bang_band", dst, a, b, n, [](char x, char y) { return char(x & y); }, file, line);
}
void __bang_bor(char *dst, const char *a, const char *b, int n, const char *file, int line) {
  bits("__bang_bor", dst, a, b, n, [](char x, char y) { return char(x | y); }, file, line);
}
void __bang_bxor(char *dst, const char *a, const char *b, int n, const char *file, int line) {
  bits("__bang_bxor", dst, a, b, n, [](char x, char y) { return char(x ^ y); }, file, line);
}
void __bang_bnot(char *dst, const char *src, int n, const char *file, int line) {
  bits("__bang_bnot", dst, src, src, n, [](char x, char) { return char(~x); }, file, line);
}

#define MM_FILL(T)                                                                           \
  void __bang_write_value(T *dst, int n, T value, const char *file, int line) {              \
    fill("__bang_write_value", dst, n, value, file, line);                                   \
  }
MM_FILL(float)
MM_FILL(half)
MM_FILL(int32_t)
MM_FILL(int16_t)
MM_FILL(char)
void __bang_write_zero(float *dst, int n, const char *file, int line) {
  fill("__bang_write_zero", dst, n, 0.f, file, line);
}
void __bang_write_zero(half *dst, int n, const char *file, int line) {
  fill("__bang_write_zero", dst, n, half(0), file, line);
}

#define MM_BEST(name, T, better)                                                 \
  void name(T *dst, const T *src, int n, const char *file, int line) {           \
    first_best(#name, dst, src, n, better, file, line);                          \
  }
MM_BEST(__bang_argmax, float, greater)
MM_BEST(__bang_argmax, half, greater)
MM_BEST(__bang_argmin, float, less)
MM_BEST(__bang_argmin, half, less)

void __bang_atomic_reduce_add(float *gdram, const float *src, int n, const char *file, int line) {
  add_atomically(gdram, src, n, file, line);
}
void __bang_atomic_reduce_add(int32_t *gdram, const int32_t *src, int n, const char *file, int line) {
  add_atomically(gdram, src, n, file, line);
}
