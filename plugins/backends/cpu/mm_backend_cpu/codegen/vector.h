/* Vectors, tails and what works on them lane by lane, for generated kernels. Needs MM_VECTOR_BYTES (64, 32 or 16).
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
typedef uint32_t mm_vu __attribute__((vector_size(MM_VECTOR_BYTES)));
typedef uint8_t mm_vb __attribute__((vector_size(MM_LANES)));          /* one byte a lane in memory */
typedef int8_t mm_vsb __attribute__((vector_size(MM_LANES)));
typedef float mm_vf_unaligned __attribute__((vector_size(MM_VECTOR_BYTES), aligned(4), may_alias));
typedef int32_t mm_vi_unaligned __attribute__((vector_size(MM_VECTOR_BYTES), aligned(4), may_alias));
typedef uint8_t mm_vb_unaligned __attribute__((vector_size(MM_LANES), aligned(1), may_alias));
typedef int8_t mm_vsb_unaligned __attribute__((vector_size(MM_LANES), aligned(1), may_alias));

/* Keeps a loaded vector in a register: compilers rather read it from memory again in every FMA that wants it. */
#if defined(__x86_64__)
#define MM_KEEP(v) __asm__("" : "+v"(v))
#elif defined(__aarch64__)
#define MM_KEEP(v) __asm__("" : "+w"(v))
#else
#define MM_KEEP(v) (void)(v)
#endif

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

/* Bytes: one each in memory, a lane of 32 bits in registers. What is stored is in their range. gcc takes the conversion
 * apart into many instructions, hence the builtins. */
#if !defined(__clang__) && ((defined(__AVX512F__) && MM_VECTOR_BYTES == 64) || (defined(__AVX2__) && MM_VECTOR_BYTES == 32))
typedef char mm_sixteen __attribute__((vector_size(16)));
MM_INLINE mm_vi mm_widen_u8(mm_vb v) {
#if MM_VECTOR_BYTES == 64
  return (mm_vi)__builtin_ia32_pmovzxbd512_mask((mm_sixteen)v, (mm_vi){0}, (unsigned short)-1);
#else
  return (mm_vi)__builtin_ia32_pmovzxbd256((mm_sixteen)(long long __attribute__((vector_size(16)))){(long long)v, 0});
#endif
}
MM_INLINE mm_vi mm_widen_s8(mm_vsb v) {
#if MM_VECTOR_BYTES == 64
  return (mm_vi)__builtin_ia32_pmovsxbd512_mask((mm_sixteen)v, (mm_vi){0}, (unsigned short)-1);
#else
  return (mm_vi)__builtin_ia32_pmovsxbd256((mm_sixteen)(long long __attribute__((vector_size(16)))){(long long)v, 0});
#endif
}
#else
MM_INLINE mm_vi mm_widen_u8(mm_vb v) { return __builtin_convertvector(v, mm_vi); }
MM_INLINE mm_vi mm_widen_s8(mm_vsb v) { return __builtin_convertvector(v, mm_vi); }
#endif
MM_INLINE mm_vi mm_load_u8(const uint8_t* p) { return mm_widen_u8(*(const mm_vb_unaligned*)p); }
MM_INLINE mm_vi mm_load_s8(const int8_t* p) { return mm_widen_s8(*(const mm_vsb_unaligned*)p); }
#if !defined(__clang__) && defined(__AVX2__) && MM_VECTOR_BYTES == 32
typedef int32_t mm_half_i __attribute__((vector_size(16)));
typedef union { mm_vi whole; mm_half_i halves[2]; } mm_halves_i;
typedef int16_t mm_eight __attribute__((vector_size(16)));
typedef long long mm_two __attribute__((vector_size(16)));
MM_INLINE mm_eight mm_words_of_bytes(mm_vi v) {
  const mm_halves_i parts = {v};
  return (mm_eight)__builtin_ia32_packssdw128(parts.halves[0], parts.halves[1]);
}
MM_INLINE mm_vb mm_narrow_u8(mm_vi v) {
  const mm_eight words = mm_words_of_bytes(v);
  return (mm_vb)((mm_two)__builtin_ia32_packuswb128(words, words))[0];
}
MM_INLINE mm_vsb mm_narrow_s8(mm_vi v) {
  const mm_eight words = mm_words_of_bytes(v);
  return (mm_vsb)((mm_two)__builtin_ia32_packsswb128(words, words))[0];
}
#else
MM_INLINE mm_vb mm_narrow_u8(mm_vi v) { return __builtin_convertvector(v, mm_vb); }
MM_INLINE mm_vsb mm_narrow_s8(mm_vi v) { return __builtin_convertvector(v, mm_vsb); }
#endif
MM_INLINE void mm_store_u8(uint8_t* p, mm_vi v) { *(mm_vb_unaligned*)p = mm_narrow_u8(v); }
MM_INLINE void mm_store_s8(int8_t* p, mm_vi v) { *(mm_vsb_unaligned*)p = mm_narrow_s8(v); }
MM_INLINE mm_vb mm_load_tail_bytes(const void* p, int64_t n) {
#if defined(__AVX512BW__) && MM_VECTOR_BYTES == 64
  typedef char bytes __attribute__((vector_size(16)));
  return (mm_vb)__builtin_ia32_loaddquqi128_mask((void*)p, (bytes){0}, (unsigned short)((1u << n) - 1));
#else
  mm_vb v = {0};
  for (int i = 0; i < MM_LANES; i++)
    if (i < n) v[i] = ((const uint8_t*)p)[i];
  return v;
#endif
}
MM_INLINE mm_vi mm_load_tail_u8(const uint8_t* p, int64_t n) {
  return mm_widen_u8(mm_load_tail_bytes(p, n));
}
MM_INLINE mm_vi mm_load_tail_s8(const int8_t* p, int64_t n) {
  return mm_widen_s8((mm_vsb)mm_load_tail_bytes(p, n));
}
MM_INLINE void mm_store_tail_bytes(void* p, mm_vb bytes, int64_t n) {
#if defined(__AVX512BW__) && MM_VECTOR_BYTES == 64
  typedef char sixteen __attribute__((vector_size(16)));
  __builtin_ia32_storedquqi128_mask(p, (sixteen)bytes, (unsigned short)((1u << n) - 1));
#else
  for (int i = 0; i < MM_LANES; i++)
    if (i < n) ((uint8_t*)p)[i] = bytes[i];
#endif
}
MM_INLINE void mm_store_tail_u8(uint8_t* p, mm_vi v, int64_t n) { mm_store_tail_bytes(p, mm_narrow_u8(v), n); }
MM_INLINE void mm_store_tail_s8(int8_t* p, mm_vi v, int64_t n) { mm_store_tail_bytes(p, (mm_vb)mm_narrow_s8(v), n); }

/* ---- selection and rounding -------------------------------------------------------------------------------- */

MM_INLINE mm_vf mm_select(mm_vi mask, mm_vf a, mm_vf b) { return (mm_vf)((mask & (mm_vi)a) | (~mask & (mm_vi)b)); }
MM_INLINE mm_vi mm_select_i(mm_vi mask, mm_vi a, mm_vi b) { return (mask & a) | (~mask & b); }

/* a > b ? a : b and a < b ? a : b: one instruction on x86. The second operand if either is NaN. */
MM_INLINE mm_vf mm_greater_or_second(mm_vf a, mm_vf b) {
#if defined(__AVX512F__) && MM_VECTOR_BYTES == 64 && defined(__clang__)
  return __builtin_ia32_maxps512(a, b, 4);
#elif defined(__AVX512F__) && MM_VECTOR_BYTES == 64
  return __builtin_ia32_maxps512_mask(a, b, a, (unsigned short)-1, 4);
#elif defined(__AVX__) && MM_VECTOR_BYTES == 32
  return __builtin_ia32_maxps256(a, b);
#elif defined(__SSE__) && MM_VECTOR_BYTES == 16
  return __builtin_ia32_maxps(a, b);
#else
  return mm_select(a > b, a, b);
#endif
}
MM_INLINE mm_vf mm_less_or_second(mm_vf a, mm_vf b) {
#if defined(__AVX512F__) && MM_VECTOR_BYTES == 64 && defined(__clang__)
  return __builtin_ia32_minps512(a, b, 4);
#elif defined(__AVX512F__) && MM_VECTOR_BYTES == 64
  return __builtin_ia32_minps512_mask(a, b, a, (unsigned short)-1, 4);
#elif defined(__AVX__) && MM_VECTOR_BYTES == 32
  return __builtin_ia32_minps256(a, b);
#elif defined(__SSE__) && MM_VECTOR_BYTES == 16
  return __builtin_ia32_minps(a, b);
#else
  return mm_select(a < b, a, b);
#endif
}

MM_INLINE mm_vi mm_least_i(mm_vi a, mm_vi b) {
#if defined(__clang__)
  return __builtin_elementwise_min(a, b);
#elif defined(__AVX512F__) && MM_VECTOR_BYTES == 64
  return __builtin_ia32_pminsd512_mask(a, b, a, (unsigned short)-1);
#elif defined(__AVX2__) && MM_VECTOR_BYTES == 32
  return __builtin_ia32_pminsd256(a, b);
#else
  return mm_select_i(a < b, a, b);
#endif
}

/* NaN in either operand gives NaN, as numpy.maximum and numpy.minimum. */
MM_INLINE mm_vf mm_max(mm_vf a, mm_vf b) { return mm_select(a != a, a, mm_greater_or_second(a, b)); }
MM_INLINE mm_vf mm_min(mm_vf a, mm_vf b) { return mm_select(a != a, a, mm_less_or_second(a, b)); }

/* Floats towards zero; what does not fit goes to the nearest end, NaN to 0. C leaves both undefined. */
MM_INLINE mm_vi mm_to_int(mm_vf x) {
  mm_vi fits = (x >= -2147483648.0f) & (x < 2147483648.0f);
  mm_vi end = mm_select_i(x > 0, mm_splat_i(INT32_MAX), mm_splat_i(INT32_MIN)) & (x == x);
  return mm_select_i(fits, __builtin_convertvector(mm_select(fits, x, mm_splat(0.0f)), mm_vi), end);
}

MM_INLINE int32_t mm_to_i32(double x) {
  return x >= 2147483647.0 ? INT32_MAX : x <= -2147483648.0 ? INT32_MIN : x == x ? (int32_t)x : 0;
}

MM_INLINE int64_t mm_to_i64(double x) {
  return x >= 0x1p63 ? INT64_MAX : x <= -0x1p63 ? INT64_MIN : x == x ? (int64_t)x : 0;
}

MM_INLINE uint64_t mm_to_u64(double x) {
  return x >= 0x1p64 ? UINT64_MAX : x >= 0x1p63 ? (uint64_t)x : (uint64_t)mm_to_i64(x);
}

/* x limited by a bound that is not NaN; a NaN in x stays. */
MM_INLINE mm_vf mm_at_least(mm_vf x, mm_vf low) { return mm_greater_or_second(low, x); }
MM_INLINE mm_vf mm_at_most(mm_vf x, mm_vf high) { return mm_less_or_second(high, x); }

MM_INLINE mm_vf mm_abs(mm_vf x) { return (mm_vf)((mm_vi)x & 0x7fffffff); }
MM_INLINE mm_vf mm_copysign(mm_vf magnitude, mm_vf sign) {
  return (mm_vf)(((mm_vi)magnitude & 0x7fffffff) | ((mm_vi)sign & (int32_t)0x80000000));
}
MM_INLINE mm_vf mm_sign(mm_vf x) {
  mm_vf unit = mm_select(x > 0, mm_splat(1.0f), mm_splat(-1.0f));
  return mm_select((x > 0) | (x < 0), unit, x + 0.0f);   /* zeros become +0, NaN stays */
}

#define MM_ROUNDER 12582912.0f /* 1.5 * 2^23: adding it leaves the rounded integer in the low bits */

/* Half to even: adding 2^23 leaves no room for a fraction. */
MM_INLINE mm_vf mm_round(mm_vf x) {
  mm_vf magnitude = mm_abs(x);
  mm_vf rounded = mm_copysign((magnitude + 8388608.0f) - 8388608.0f, x);
  return mm_select(magnitude < 8388608.0f, rounded, x);
}
/* 1.5 * 2^23 plus the nearest integer, half to even, that with `zero` lies from `low` <= 0 to `high`, of 8 bits each: the
 * integer is in the low bits. NaN gives the least for unsigned bytes, and what is to be left out for signed ones. The
 * limits come after the addition, so that it is one instruction with a product that x may be. Positive floats are in the
 * order of their bits, and more units compare integers. */
MM_INLINE mm_vf mm_round_to_byte(mm_vf x, int32_t zero, int32_t low, int32_t high) {
  mm_vf shifted = mm_greater_or_second(x + MM_ROUNDER, mm_splat(MM_ROUNDER + (float)(low - zero)));
  return (mm_vf)mm_least_i((mm_vi)shifted, (mm_vi)mm_splat(MM_ROUNDER + (float)(high - zero)));
}
/* That integer plus `zero`, and as a number without it. NaN gives a byte of 0. */
MM_INLINE mm_vi mm_quantize(mm_vf x, int32_t zero, int32_t low, int32_t high) {
  mm_vi rounded = (mm_vi)mm_round_to_byte(x, zero, low, high) - ((mm_vi)mm_splat(MM_ROUNDER) - zero);
  return low == 0 ? rounded : rounded & (x == x);
}
MM_INLINE mm_vf mm_whole_steps(mm_vf x, int32_t zero, int32_t low, int32_t high) {
  mm_vf rounded = mm_round_to_byte(x, zero, low, high) - MM_ROUNDER;
  return low == 0 ? rounded : mm_select(x == x, rounded, mm_splat((float)-zero));
}

/* Entry x & 255 of a table of bytes for each lane, in the low eight bits. With AVX-512 the table fills four registers. */
MM_INLINE mm_vi mm_lookup(mm_vi x, const uint8_t* table) {
#if defined(__AVX512F__) && MM_VECTOR_BYTES == 64
  const int32_t* words = (const int32_t*)table;
  const mm_vi t0 = mm_load_i(words), t1 = mm_load_i(words + 16), t2 = mm_load_i(words + 32), t3 = mm_load_i(words + 48);
  const mm_vi word = x >> 2;
#if defined(__clang__)
  const mm_vi below = __builtin_ia32_vpermi2vard512(t0, word, t1), above = __builtin_ia32_vpermi2vard512(t2, word, t3);
#else
  const mm_vi below = __builtin_shuffle(t0, t1, word), above = __builtin_shuffle(t2, t3, word);
#endif
  return (mm_vi)((mm_vu)mm_select_i((x & 128) != 0, above, below) >> (mm_vu)((x << 3) & 24));
#else
  mm_vi found;
  for (int i = 0; i < MM_LANES; i++) found[i] = table[(uint8_t)x[i]];
  return found;
#endif
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

/* ---- products of bytes ------------------------------------------------------------------------------------- */

/* A left operand is four unsigned bytes, the same in every lane; a right one is four signed bytes a lane. mm_dot adds
 * the sum of the four products to each lane. Both are brought into the form that the instruction set multiplies once.
 * mm_dot_lanes makes a left operand that differs from lane to lane. */
#if defined(__AVX512VNNI__) && MM_VECTOR_BYTES == 64
typedef mm_vi mm_dot_left_t;
typedef mm_vi mm_dot_right_t;
MM_INLINE mm_dot_left_t mm_dot_left(int32_t bytes) { return mm_splat_i(bytes); }
MM_INLINE mm_dot_left_t mm_dot_lanes(mm_vi bytes) { return bytes; }
MM_INLINE mm_dot_right_t mm_dot_right(const int32_t* p) { return mm_load_i(p); }
MM_INLINE mm_vi mm_dot(mm_vi sum, mm_dot_left_t x, mm_dot_right_t w) {
  __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(w));
  return sum;
}
#elif defined(__AVX2__) && MM_VECTOR_BYTES >= 32
/* As 16-bit numbers, so that nothing saturates: bytes 0 and 2 of each lane, bytes 1 and 3. */
typedef int16_t mm_vw __attribute__((vector_size(MM_VECTOR_BYTES)));
typedef uint16_t mm_vuw __attribute__((vector_size(MM_VECTOR_BYTES)));
typedef struct { mm_vw even, odd; } mm_dot_left_t;
typedef mm_dot_left_t mm_dot_right_t;
MM_INLINE mm_dot_left_t mm_dot_left(int32_t bytes) {
  return (mm_dot_left_t){(mm_vw)mm_splat_i(bytes & 0x00ff00ff), (mm_vw)mm_splat_i((bytes >> 8) & 0x00ff00ff)};
}
MM_INLINE mm_dot_left_t mm_dot_lanes(mm_vi bytes) {
  return (mm_dot_left_t){(mm_vw)(bytes & 0x00ff00ff), (mm_vw)((bytes >> 8) & 0x00ff00ff)};
}
MM_INLINE mm_dot_right_t mm_dot_right(const int32_t* p) {
  const mm_vw bytes = (mm_vw)mm_load_i(p);
  return (mm_dot_right_t){(mm_vw)((mm_vuw)bytes << 8) >> 8, bytes >> 8};
}
MM_INLINE mm_vi mm_multiply_add_pairs(mm_vw x, mm_vw w) {
  mm_vi sums;
  __asm__("vpmaddwd %2, %1, %0" : "=v"(sums) : "v"(x), "v"(w));
  return sums;
}
MM_INLINE mm_vi mm_dot(mm_vi sum, mm_dot_left_t x, mm_dot_right_t w) {
  return sum + mm_multiply_add_pairs(x.even, w.even) + mm_multiply_add_pairs(x.odd, w.odd);
}
#else
typedef struct { mm_vi bytes[4]; } mm_dot_left_t;
typedef mm_dot_left_t mm_dot_right_t;
MM_INLINE mm_dot_left_t mm_dot_lanes(mm_vi bytes) {
  const mm_vu u = (mm_vu)bytes;
  return (mm_dot_left_t){{(mm_vi)(u & 255), (mm_vi)((u >> 8) & 255), (mm_vi)((u >> 16) & 255), (mm_vi)(u >> 24)}};
}
MM_INLINE mm_dot_left_t mm_dot_left(int32_t bytes) { return mm_dot_lanes(mm_splat_i(bytes)); }
MM_INLINE mm_dot_right_t mm_dot_right(const int32_t* p) {
  const mm_vi bytes = mm_load_i(p);
  const mm_vu u = (mm_vu)bytes;
  return (mm_dot_right_t){{(mm_vi)(u << 24) >> 24, (mm_vi)(u << 16) >> 24, (mm_vi)(u << 8) >> 24, bytes >> 24}};
}
MM_INLINE mm_vi mm_dot(mm_vi sum, mm_dot_left_t x, mm_dot_right_t w) {
  for (int i = 0; i < 4; i++) sum += x.bytes[i] * w.bytes[i];
  return sum;
}
#endif

/* ---- over the lanes ---------------------------------------------------------------------------------------- */

typedef float mm_quad __attribute__((vector_size(16)));
typedef int32_t mm_quad_i __attribute__((vector_size(16)));
typedef union { mm_vf whole; mm_quad quads[MM_VECTOR_BYTES / 16]; } mm_quads;

/* Rows a, b, c, d become columns. */
MM_INLINE void mm_transpose_quads(mm_quad* a, mm_quad* b, mm_quad* c, mm_quad* d) {
#if defined(__clang__)
#define MM_SHUFFLE(x, y, i, j, k, l) __builtin_shufflevector(x, y, i, j, k, l)
#else
#define MM_SHUFFLE(x, y, i, j, k, l) __builtin_shuffle(x, y, (mm_quad_i){i, j, k, l})
#endif
  const mm_quad low0 = MM_SHUFFLE(*a, *b, 0, 4, 1, 5), high0 = MM_SHUFFLE(*a, *b, 2, 6, 3, 7);
  const mm_quad low1 = MM_SHUFFLE(*c, *d, 0, 4, 1, 5), high1 = MM_SHUFFLE(*c, *d, 2, 6, 3, 7);
  *a = MM_SHUFFLE(low0, low1, 0, 1, 4, 5);
  *b = MM_SHUFFLE(low0, low1, 2, 3, 6, 7);
  *c = MM_SHUFFLE(high0, high1, 0, 1, 4, 5);
  *d = MM_SHUFFLE(high0, high1, 2, 3, 6, 7);
#undef MM_SHUFFLE
}

typedef float mm_quad_unaligned __attribute__((vector_size(16), aligned(4), may_alias));

MM_INLINE void mm_transpose_4x4(const float* x, int64_t x_stride, float* y, int64_t y_stride) {
  mm_quad q0 = *(const mm_quad_unaligned*)x, q1 = *(const mm_quad_unaligned*)(x + x_stride);
  mm_quad q2 = *(const mm_quad_unaligned*)(x + 2 * x_stride), q3 = *(const mm_quad_unaligned*)(x + 3 * x_stride);
  mm_transpose_quads(&q0, &q1, &q2, &q3);
  *(mm_quad_unaligned*)y = q0;
  *(mm_quad_unaligned*)(y + y_stride) = q1;
  *(mm_quad_unaligned*)(y + 2 * y_stride) = q2;
  *(mm_quad_unaligned*)(y + 3 * y_stride) = q3;
}

#define MM_LINE 16             /* floats of a cache line */
#define MM_TRANSPOSE_ROWS 32   /* read before they are written: their lines of the result lie one after the other */

/* y[c * y_stride + r] = x[r * x_stride + c] for r < rows, c < columns. Lines are read and written as a whole, at once: where
 * strides are powers of two the lines of a column share one set of the cache, and evict each other before a second visit. */
MM_INLINE void mm_transpose(const float* x, int64_t x_stride, float* y, int64_t y_stride, int64_t rows, int64_t columns) {
  const int64_t whole_rows = rows / 4 * 4, whole_columns = columns / 4 * 4, line_columns = columns / MM_LINE * MM_LINE;
  for (int64_t first = 0; first < whole_rows; first += MM_TRANSPOSE_ROWS) {
    const int64_t count = first + MM_TRANSPOSE_ROWS < whole_rows ? MM_TRANSPOSE_ROWS : whole_rows - first;
    const float* from = x + first * x_stride;
    float* to = y + first;
    for (int64_t c = 0; c < line_columns; c += MM_LINE) {
      float lines[MM_TRANSPOSE_ROWS * MM_LINE] __attribute__((aligned(64)));
      for (int64_t r = 0; r < count; r++) __builtin_memcpy(lines + r * MM_LINE, from + r * x_stride + c, 4 * MM_LINE);
      for (int64_t k = 0; k < MM_LINE; k += 4)
        for (int64_t r = 0; r < count; r += 4)
          mm_transpose_4x4(lines + r * MM_LINE + k, MM_LINE, to + (c + k) * y_stride + r, y_stride);
    }
    for (int64_t c = line_columns; c < whole_columns; c += 4)
      for (int64_t r = 0; r < count; r += 4)
        mm_transpose_4x4(from + r * x_stride + c, x_stride, to + c * y_stride + r, y_stride);
    for (int64_t c = whole_columns; c < columns; c++)
      for (int64_t r = 0; r < count; r++) to[c * y_stride + r] = from[r * x_stride + c];
  }
  for (int64_t c = 0; c < columns; c++)
    for (int64_t r = whole_rows; r < rows; r++) y[c * y_stride + r] = x[r * x_stride + c];
}

/* As mm_max and mm_min on scalars. */
MM_INLINE float mm_max_1(float a, float b) { return a >= b || a != a ? a : b; }
MM_INLINE float mm_min_1(float a, float b) { return a <= b || a != a ? a : b; }

MM_INLINE float mm_lanes_sum(mm_vf v) {
  mm_quads parts = {v};
  mm_quad q = parts.quads[0];
  for (int i = 1; i < MM_VECTOR_BYTES / 16; i++) q += parts.quads[i];
  return (q[0] + q[2]) + (q[1] + q[3]);
}
MM_INLINE float mm_lanes_product(mm_vf v) {
  mm_quads parts = {v};
  mm_quad q = parts.quads[0];
  for (int i = 1; i < MM_VECTOR_BYTES / 16; i++) q *= parts.quads[i];
  return (q[0] * q[2]) * (q[1] * q[3]);
}
MM_INLINE float mm_lanes_max(mm_vf v) {
  mm_quads parts = {v};
  mm_quad q = parts.quads[0];
  for (int i = 1; i < MM_VECTOR_BYTES / 16; i++) {
    mm_quad p = parts.quads[i];
    mm_quad_i keep = (q >= p) | (q != q);
    q = (mm_quad)((keep & (mm_quad_i)q) | (~keep & (mm_quad_i)p));
  }
  return mm_max_1(mm_max_1(q[0], q[2]), mm_max_1(q[1], q[3]));
}
MM_INLINE float mm_lanes_min(mm_vf v) { return -mm_lanes_max(-v); }
