/* Vectors, tails and elementary functions for generated kernels. Needs MM_VECTOR_BYTES (64, 32 or 16).
 *
 * Everything is GCC vector extensions, which gcc and clang lower to any instruction set; the few builtins below
 * are those that both compilers spell alike and that vector extensions cannot express. No libm, no immintrin.h
 * (parsing it would cost 0.15 s a kernel). Written for -ffp-contract=fast without -ffast-math: NaN, infinities,
 * signed zeros and subnormals behave as in numpy.
 */
#include <stdint.h>

#define MM_LANES (MM_VECTOR_BYTES / 4)
#define MM_INLINE static inline __attribute__((always_inline, unused))

typedef float mm_vf __attribute__((vector_size(MM_VECTOR_BYTES)));
typedef int32_t mm_vi __attribute__((vector_size(MM_VECTOR_BYTES)));   /* integers, and masks: 0 or -1 a lane */
typedef uint8_t mm_vb __attribute__((vector_size(MM_LANES)));          /* one byte a lane: booleans in memory */
typedef float mm_vf_unaligned __attribute__((vector_size(MM_VECTOR_BYTES), aligned(4), may_alias));
typedef int32_t mm_vi_unaligned __attribute__((vector_size(MM_VECTOR_BYTES), aligned(4), may_alias));
typedef uint8_t mm_vb_unaligned __attribute__((vector_size(MM_LANES), aligned(1), may_alias));

MM_INLINE mm_vf mm_splat(float x) { return x - (mm_vf){0}; }
MM_INLINE mm_vi mm_splat_i(int32_t x) { return x - (mm_vi){0}; }

/* ---- memory ------------------------------------------------------------------------------------------------ */

MM_INLINE mm_vf mm_load(const float* p) { return *(const mm_vf_unaligned*)p; }
MM_INLINE void mm_store(float* p, mm_vf v) { *(mm_vf_unaligned*)p = v; }
MM_INLINE mm_vi mm_load_i(const int32_t* p) { return *(const mm_vi_unaligned*)p; }
MM_INLINE void mm_store_i(int32_t* p, mm_vi v) { *(mm_vi_unaligned*)p = v; }

/* Lanes below n are set. */
MM_INLINE mm_vi mm_tail_mask(int64_t n) {
  mm_vi lane;
  for (int i = 0; i < MM_LANES; i++) lane[i] = i;
  return lane < mm_splat_i((int32_t)n);
}

/* The first n lanes (0 < n < MM_LANES) from memory, the others 0; nothing past p[n - 1] is touched. */
MM_INLINE mm_vi mm_load_tail_i(const int32_t* p, int64_t n) {
#if defined(__AVX512F__) && MM_VECTOR_BYTES == 64
  return __builtin_ia32_loaddqusi512_mask((void*)p, (mm_vi){0}, (unsigned short)((1u << n) - 1));
#elif defined(__AVX2__) && MM_VECTOR_BYTES == 32
  return (mm_vi)__builtin_ia32_maskloadd256((void*)p, mm_tail_mask(n));
#else
  mm_vi v = {0};
  for (int i = 0; i < MM_LANES; i++)
    if (i < n) v[i] = p[i];
  return v;
#endif
}

MM_INLINE void mm_store_tail_i(int32_t* p, mm_vi v, int64_t n) {
#if defined(__AVX512F__) && MM_VECTOR_BYTES == 64
  __builtin_ia32_storedqusi512_mask((void*)p, v, (unsigned short)((1u << n) - 1));
#elif defined(__AVX2__) && MM_VECTOR_BYTES == 32
  __builtin_ia32_maskstored256((void*)p, mm_tail_mask(n), v);
#else
  for (int i = 0; i < MM_LANES; i++)
    if (i < n) p[i] = v[i];
#endif
}

MM_INLINE mm_vf mm_load_tail(const float* p, int64_t n) {
#if defined(__AVX512F__) && MM_VECTOR_BYTES == 64
  return __builtin_ia32_loadups512_mask(p, (mm_vf){0}, (unsigned short)((1u << n) - 1));
#elif defined(__AVX2__) && MM_VECTOR_BYTES == 32
  return __builtin_ia32_maskloadps256((void*)p, mm_tail_mask(n));
#else
  mm_vf v = {0};
  for (int i = 0; i < MM_LANES; i++)
    if (i < n) v[i] = p[i];
  return v;
#endif
}

MM_INLINE void mm_store_tail(float* p, mm_vf v, int64_t n) {
#if defined(__AVX512F__) && MM_VECTOR_BYTES == 64
  __builtin_ia32_storeups512_mask(p, v, (unsigned short)((1u << n) - 1));
#elif defined(__AVX2__) && MM_VECTOR_BYTES == 32
  __builtin_ia32_maskstoreps256((void*)p, mm_tail_mask(n), v);
#else
  for (int i = 0; i < MM_LANES; i++)
    if (i < n) p[i] = v[i];
#endif
}

/* Booleans: one byte each in memory, a full lane mask in registers. */
MM_INLINE mm_vi mm_load_mask(const uint8_t* p) {
  return __builtin_convertvector(*(const mm_vb_unaligned*)p, mm_vi) != 0;
}
MM_INLINE void mm_store_mask(uint8_t* p, mm_vi m) { *(mm_vb_unaligned*)p = __builtin_convertvector(m & 1, mm_vb); }
MM_INLINE mm_vi mm_load_tail_mask(const uint8_t* p, int64_t n) {
  mm_vi m = {0};
  for (int i = 0; i < MM_LANES; i++)
    if (i < n) m[i] = -(p[i] != 0);
  return m;
}
MM_INLINE void mm_store_tail_mask(uint8_t* p, mm_vi m, int64_t n) {
  for (int i = 0; i < MM_LANES; i++)
    if (i < n) p[i] = m[i] & 1;
}

/* ---- selection and rounding -------------------------------------------------------------------------------- */

MM_INLINE mm_vf mm_select(mm_vi mask, mm_vf a, mm_vf b) { return (mm_vf)((mask & (mm_vi)a) | (~mask & (mm_vi)b)); }
MM_INLINE mm_vi mm_select_i(mm_vi mask, mm_vi a, mm_vi b) { return (mask & a) | (~mask & b); }

/* NaN in either operand gives NaN, as numpy.maximum and numpy.minimum. */
MM_INLINE mm_vf mm_max(mm_vf a, mm_vf b) { return mm_select((a >= b) | (a != a), a, b); }
MM_INLINE mm_vf mm_min(mm_vf a, mm_vf b) { return mm_select((a <= b) | (a != a), a, b); }

/* x limited by a bound that is not NaN: one comparison, and a NaN in x stays. */
MM_INLINE mm_vf mm_at_least(mm_vf x, mm_vf low) { return mm_select(x < low, low, x); }
MM_INLINE mm_vf mm_at_most(mm_vf x, mm_vf high) { return mm_select(x > high, high, x); }

MM_INLINE mm_vf mm_abs(mm_vf x) { return (mm_vf)((mm_vi)x & 0x7fffffff); }
MM_INLINE mm_vf mm_copysign(mm_vf magnitude, mm_vf sign) {
  return (mm_vf)(((mm_vi)magnitude & 0x7fffffff) | ((mm_vi)sign & (int32_t)0x80000000));
}
MM_INLINE mm_vf mm_sign(mm_vf x) {
  mm_vf unit = mm_select(x > 0, mm_splat(1.0f), mm_splat(-1.0f));
  return mm_select((x > 0) | (x < 0), unit, x + 0.0f);   /* zeros become +0, NaN stays */
}

/* Half to even: adding 2^23 leaves no room for a fraction. */
MM_INLINE mm_vf mm_round(mm_vf x) {
  mm_vf magnitude = mm_abs(x);
  mm_vf rounded = mm_copysign((magnitude + 8388608.0f) - 8388608.0f, x);
  return mm_select(magnitude < 8388608.0f, rounded, x);
}
MM_INLINE mm_vf mm_floor(mm_vf x) {
  mm_vf rounded = mm_round(x);
  return mm_select(rounded > x, mm_copysign(rounded - 1.0f, x), rounded);
}
MM_INLINE mm_vf mm_ceil(mm_vf x) {
  mm_vf rounded = mm_round(x);
  return mm_select(rounded < x, mm_copysign(rounded + 1.0f, x), rounded);
}

MM_INLINE mm_vf mm_sqrt(mm_vf x) {
#if defined(__clang__)
  return __builtin_elementwise_sqrt(x);
#elif defined(__AVX512F__) && MM_VECTOR_BYTES == 64
  return __builtin_ia32_sqrtps512_mask(x, x, (unsigned short)-1, 4);
#elif defined(__AVX__) && MM_VECTOR_BYTES == 32
  return __builtin_ia32_sqrtps256(x);
#elif defined(__SSE__) && MM_VECTOR_BYTES == 16
  return __builtin_ia32_sqrtps(x);
#else
  for (int i = 0; i < MM_LANES; i++) x[i] = __builtin_sqrtf(x[i]);
  return x;
#endif
}

/* ---- over the lanes ---------------------------------------------------------------------------------------- */

#define MM_HALVE(bytes)                                                                       \
  typedef float mm_vf##bytes __attribute__((vector_size(bytes)));                             \
  typedef union { float lanes[bytes / 4]; mm_vf##bytes whole; } mm_lanes##bytes;
typedef float mm_quad __attribute__((vector_size(16)));
typedef float mm_octet __attribute__((vector_size(32)));
typedef union { mm_vf whole; mm_quad quads[MM_VECTOR_BYTES / 16]; } mm_quads;

#define MM_REDUCE_LANES(NAME, COMBINE, COMBINE1)                      \
  MM_INLINE float NAME(mm_vf v) {                                     \
    mm_quads parts = {v};                                             \
    mm_quad q = parts.quads[0];                                       \
    for (int i = 1; i < MM_VECTOR_BYTES / 16; i++) q = COMBINE(q, parts.quads[i]); \
    return COMBINE1(COMBINE1(q[0], q[2]), COMBINE1(q[1], q[3]));      \
  }
#undef MM_HALVE
