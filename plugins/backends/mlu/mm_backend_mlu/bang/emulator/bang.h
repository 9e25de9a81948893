// BANG C for the host's compiler: the language as public code uses it, declared over the emulator.
//
// What each name means, which limits are checked, and what had to be assumed: docs/mlu-emulator.md. Nothing here is a
// vendor's header, and it declares no more than the emulator gives a meaning to.
#pragma once

#include <cfloat>
#include <climits>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "half.h"
#include "launch_context.h"

#define MM_MLU_EMULATED 1
#define __BANG__ 1

#define __mlu_entry__ static __attribute__((noinline))
#define __mlu_global__ static __attribute__((noinline))
#define __mlu_func__ __attribute__((unused)) static inline
#define __mlu_device__

// On-chip memories: arrays at file scope, gathered by the linker. gcc would store their zeros in the object; the end of
// the section's name makes it reserve space only.
#if defined(__clang__)
#define MM_RESERVED(name) name
#elif defined(__x86_64__)
#define MM_RESERVED(name) name ",\"aw\",@nobits#"
#else
#define MM_RESERVED(name) name ",\"aw\",%nobits//"
#endif
#define __nram__ static __attribute__((section(MM_RESERVED("mm_nram")), aligned(128), used))
#define __wram__ static __attribute__((section(MM_RESERVED("mm_wram")), aligned(128), used))
#define __mlu_shared__ static __attribute__((section(MM_RESERVED("mm_sram")), aligned(128), used))

// Where an instruction stands, for messages.
#define MM_SITE const char *mm_file = __builtin_FILE(), int mm_line = __builtin_LINE()

// Built-in variables.
extern "C" {
int mm_task_id(void) __attribute__((const));
int mm_task_dim(void) __attribute__((const));
int mm_cluster_id(void) __attribute__((const));
int mm_cluster_dim(void) __attribute__((const));
int mm_core_id(void) __attribute__((const));
int mm_core_dim(void) __attribute__((const));
}
#define taskId (mm_task_id())
#define taskIdX (mm_task_id())
#define taskIdY 0
#define taskIdZ 0
#define taskDim (mm_task_dim())
#define taskDimX (mm_task_dim())
#define taskDimY 1
#define taskDimZ 1
#define clusterId (mm_cluster_id())
#define clusterDim (mm_cluster_dim())
#define coreId (mm_core_id())
#define coreDim (mm_core_dim())
#define MM_MEMORY_CORE 0x80

static inline bool __is_mpu() { return coreId == MM_MEMORY_CORE; }
static inline bool __is_ipu() { return coreId != MM_MEMORY_CORE; }

// Copies. A strided one has one segment more than `segnum` says; the two-dimensional form has segments of segments.
enum mluMemcpyDirection_t {
  GDRAM2NRAM, GDRAM2WRAM, GDRAM2SRAM, GDRAM2GDRAM,
  NRAM2GDRAM, NRAM2NRAM, NRAM2WRAM, NRAM2SRAM,
  WRAM2GDRAM, WRAM2NRAM, WRAM2SRAM,
  SRAM2GDRAM, SRAM2NRAM, SRAM2WRAM,
};

#define MM_COPY(name)                                                                                                  \
  void name(void *dst, const void *src, int64_t size, mluMemcpyDirection_t direction, MM_SITE);                        \
  void name(void *dst, const void *src, int64_t size, mluMemcpyDirection_t direction, int64_t dst_stride,              \
            int64_t src_stride, int segnum, MM_SITE);                                                                  \
  void name(void *dst, const void *src, int64_t size, mluMemcpyDirection_t direction, int64_t dst_stride0,             \
            int dst_segnum1, int64_t dst_stride1, int dst_segnum2, int64_t src_stride0, int src_segnum1,               \
            int64_t src_stride1, int src_segnum2, MM_SITE);
MM_COPY(__memcpy)
MM_COPY(__memcpy_async)
#undef MM_COPY

// Waiting, within a core and between cores.
void __sync(MM_SITE);
void __sync_io(MM_SITE);
void __sync_move(MM_SITE);
void __sync_compute(MM_SITE);
void __sync_io_move_compute(MM_SITE);
void __sync_cluster(MM_SITE);
void __sync_all(MM_SITE);
void __sync_all_ipu(MM_SITE);

// Vectors of n elements. Comparisons give one and zero in the operands' type, logic takes all but zero as true.
#define MM_FOR_BINARY(X) \
  X(add) X(sub) X(mul) X(maxequal) X(minequal) X(eq) X(ne) X(lt) X(le) X(gt) X(ge) X(and) X(or) X(xor)
#define MM_FOR_SCALAR(X)                                                                                               \
  X(add_scalar) X(sub_scalar) X(mul_scalar) X(maxeq_scalar) X(mineq_scalar) X(eq_scalar) X(ne_scalar) X(lt_scalar)     \
  X(le_scalar) X(gt_scalar) X(ge_scalar)
#define MM_FOR_UNARY(X)                                                                                                \
  X(not) X(floor) X(abs) X(square) X(recip) X(sqrt) X(active_abs) X(active_sigmoid) X(active_exphp) X(active_reciphp)  \
  X(active_relu) X(active_tanh)

#define MM_BINARY(name)                                                               \
  void __bang_##name(float *dst, const float *a, const float *b, int n, MM_SITE);     \
  void __bang_##name(half *dst, const half *a, const half *b, int n, MM_SITE);        \
  void __bang_cycle_##name(float *dst, const float *a, const float *cycled, int n, int cycle, MM_SITE); \
  void __bang_cycle_##name(half *dst, const half *a, const half *cycled, int n, int cycle, MM_SITE);
#define MM_SCALAR(name)                                                               \
  void __bang_##name(float *dst, const float *src, float value, int n, MM_SITE);      \
  void __bang_##name(half *dst, const half *src, half value, int n, MM_SITE);
#define MM_UNARY(name)                                                                \
  void __bang_##name(float *dst, const float *src, int n, MM_SITE);                   \
  void __bang_##name(half *dst, const half *src, int n, MM_SITE);
MM_FOR_BINARY(MM_BINARY)
MM_FOR_SCALAR(MM_SCALAR)
MM_FOR_UNARY(MM_UNARY)
#undef MM_BINARY
#undef MM_SCALAR
#undef MM_UNARY

// Three operands in one instruction, rounded once: M multiplies, A adds, S subtracts, from left to right.
enum mluFusionOp_t { FUSION_FMA, FUSION_FMS, FUSION_FAM, FUSION_FAS, FUSION_FSA, FUSION_FSM, FUSION_FSS };
void __bang_fusion(mluFusionOp_t op, float *dst, const float *a, const float *b, const float *c, int n, int n_again,
                   MM_SITE);
void __bang_fusion(mluFusionOp_t op, half *dst, const half *a, const half *b, const half *c, int n, int n_again,
                   MM_SITE);

// Bits of n bytes.
void __bang_band(char *dst, const char *a, const char *b, int n, MM_SITE);
void __bang_bor(char *dst, const char *a, const char *b, int n, MM_SITE);
void __bang_bxor(char *dst, const char *a, const char *b, int n, MM_SITE);
void __bang_bnot(char *dst, const char *src, int n, MM_SITE);

void __bang_write_zero(float *dst, int n, MM_SITE);
void __bang_write_zero(half *dst, int n, MM_SITE);
void __bang_write_value(float *dst, int n, float value, MM_SITE);
void __bang_write_value(half *dst, int n, half value, MM_SITE);
void __bang_write_value(int32_t *dst, int n, int32_t value, MM_SITE);
void __bang_write_value(int16_t *dst, int n, int16_t value, MM_SITE);
void __bang_write_value(char *dst, int n, char value, MM_SITE);
template <typename T>
static inline void __nramset(T *dst, int n, T value, MM_SITE) { __bang_write_value(dst, n, value, mm_file, mm_line); }

// Conversions. `position` is the exponent of a fixed-point integer's unit; only 0 is given a meaning.
void __bang_half2float(float *dst, const half *src, int n, MM_SITE);
void __bang_float2half_rn(half *dst, const float *src, int n, MM_SITE);
void __bang_float2half_tz(half *dst, const float *src, int n, MM_SITE);
void __bang_float2int32(int32_t *dst, const float *src, int n, int position, MM_SITE);
void __bang_float2int32_tz(int32_t *dst, const float *src, int n, int position, MM_SITE);
void __bang_float2int32_rn(int32_t *dst, const float *src, int n, int position, MM_SITE);
void __bang_float2int32_dn(int32_t *dst, const float *src, int n, int position, MM_SITE);
void __bang_float2int32_up(int32_t *dst, const float *src, int n, int position, MM_SITE);
void __bang_int322float(float *dst, const int32_t *src, int n, int position, MM_SITE);
void __bang_int322float_rn(float *dst, const int32_t *src, int n, int position, MM_SITE);
void __bang_int82float(float *dst, const int8_t *src, int n, int position, MM_SITE);
void __bang_int82half(half *dst, const int8_t *src, int n, int position, MM_SITE);
void __bang_uchar2float(float *dst, const unsigned char *src, int n, MM_SITE);
void __bang_uchar2half(half *dst, const unsigned char *src, int n, MM_SITE);

// The largest or smallest value and its index: dst[0] is the value, the 32 bits that begin at dst[1] are the index of
// its first place. 128 bytes are written.
void __bang_argmax(float *dst, const float *src, int n, MM_SITE);
void __bang_argmax(half *dst, const half *src, int n, MM_SITE);
void __bang_argmin(float *dst, const float *src, int n, MM_SITE);
void __bang_argmin(half *dst, const half *src, int n, MM_SITE);

// Windows over [h][w][c], without padding: the result is [(h - kh) / sy + 1][(w - kw) / sx + 1][c].
#define MM_POOL(name, T)                                                                                            \
  void name(T *dst, const T *src, int c, int h, int w, int kh, int kw, int stride_x, int stride_y, MM_SITE);
MM_POOL(__bang_sumpool, float)
MM_POOL(__bang_sumpool, half)
MM_POOL(__bang_avgpool, float)
MM_POOL(__bang_avgpool, half)
MM_POOL(__bang_maxpool, float)
MM_POOL(__bang_maxpool, half)
MM_POOL(__bang_minpool, float)
MM_POOL(__bang_minpool, half)
#undef MM_POOL

// Elements moved about: any type of 1, 2 or 4 bytes.
namespace mm_emulator {
void transpose(void *dst, const void *src, int height, int width, int itemsize, const char *file, int line);
void pad(void *dst, const void *src, int c, int h, int w, int top, int bottom, int left, int right, int itemsize,
         const char *file, int line);
void reshape_filter(void *dst, const void *src, int n, int h, int w, int c, int itemsize, const char *file, int line);
}  // namespace mm_emulator

// [height][width] to [width][height].
template <typename T>
static inline void __bang_transpose(T *dst, const T *src, int height, int width, MM_SITE) {
  mm_emulator::transpose(dst, src, height, width, sizeof(T), mm_file, mm_line);
}
// Zeros around [h][w][c].
template <typename T>
static inline void __bang_pad(T *dst, const T *src, int c, int h, int w, int top, int bottom, int left, int right,
                              MM_SITE) {
  mm_emulator::pad(dst, src, c, h, w, top, bottom, left, right, sizeof(T), mm_file, mm_line);
}
// [n][h][w][c] into the order in which WRAM holds it for the tensor unit: lane n % 64, then n / 64, then h, w, c.
template <typename T>
static inline void __bang_reshape_filter(T *dst, const T *src, int n, int h, int w, int c, MM_SITE) {
  mm_emulator::reshape_filter(dst, src, n, h, w, c, sizeof(T), mm_file, mm_line);
}

// The tensor unit. The right operand and the filter lie in WRAM as __bang_reshape_filter orders them.
#define MM_TENSOR(Out, In)                                                                                             \
  void __bang_matmul(Out *dst, const In *left, const In *right, int m, int k, int n, MM_SITE);                         \
  void __bang_conv(Out *dst, const In *src, const In *filter, int ci, int hi, int wi, int hk, int wk, int sx, int sy,  \
                   int co, MM_SITE);
MM_TENSOR(float, float)
MM_TENSOR(float, half)
MM_TENSOR(half, half)
#undef MM_TENSOR

// Adds src to GDRAM, one element after the other without being interrupted.
void __bang_atomic_reduce_add(float *gdram, const float *src, int n, MM_SITE);
void __bang_atomic_reduce_add(int32_t *gdram, const int32_t *src, int n, MM_SITE);

// For launch.h.
extern "C" int mm_emulate(const char *kernel, unsigned dim_x, unsigned kind, void *launch, void (*body)(void *),
                          void *closure);
template <typename Body>
__attribute__((no_sanitize("thread"))) static void mm_call(void *body) { (*static_cast<Body *>(body))(); }
