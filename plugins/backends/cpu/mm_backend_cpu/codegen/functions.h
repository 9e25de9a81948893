/* Elementary functions of vectors for generated kernels. Behind vector.h, and as it says: no libm, IEEE values. */

/* Polynomials are minimax fits (Lawson's iteration in double, rounded), evaluated by Horner's rule. */
#define MM_STEP(p, x, c) ((p) * (x) + (c))

#define MM_LN2_HIGH 0.693359375f       /* nine significant bits: its product with an exponent is exact */
#define MM_LN2_LOW -2.12194440e-4f

/* x = n ln2 + r, e^x = 2^n e^r, |r| <= ln2 / 2. The scale is applied in two steps so that subnormal results round once. */
MM_INLINE mm_vf mm_exp(mm_vf x) {
  x = mm_at_most(mm_at_least(x, mm_splat(-104.0f)), mm_splat(89.0f));
  mm_vf shifted = x * 1.44269504f + MM_ROUNDER;
  mm_vf n = shifted - MM_ROUNDER;
  mm_vf r = x - n * MM_LN2_HIGH;
  r = r - n * MM_LN2_LOW;
  mm_vf p = r * 1.3950481079518795e-3f + 8.368883281946182e-3f;
  p = MM_STEP(p, r, 4.166620597243309e-2f);
  p = MM_STEP(p, r, 1.66665181517601e-1f);
  p = MM_STEP(p, r, 0.5f);
  p = MM_STEP(p, r * r, r) + 1.0f;
#if defined(__AVX512F__) && MM_VECTOR_BYTES == 64
  return __builtin_ia32_scalefps512_mask(p, n, p, (unsigned short)-1, 4);
#else
  mm_vi exponent = (mm_vi)shifted - (mm_vi)mm_splat(MM_ROUNDER);
  mm_vi half = exponent >> 1;
  return p * (mm_vf)((half + 127) << 23) * (mm_vf)((exponent - half + 127) << 23);
#endif
}

/* x = 2^e (1 + f), f in [sqrt(1/2) - 1, sqrt(2) - 1]. */
MM_INLINE mm_vf mm_log(mm_vf x) {
  mm_vi tiny = x < 1.17549435e-38f;
  mm_vi bits = (mm_vi)mm_select(tiny, x * 8388608.0f, x);
  mm_vi exponent = (bits - 0x3f3504f3) >> 23;
  mm_vf f = (mm_vf)(bits - (exponent << 23)) - 1.0f;
  mm_vf e = __builtin_convertvector(exponent - (tiny & 23), mm_vf);
  mm_vf p = f * 6.746640801429749e-2f - 1.1675652116537094e-1f;
  p = MM_STEP(p, f, 1.1888162046670914e-1f);
  p = MM_STEP(p, f, -1.240558922290802e-1f);
  p = MM_STEP(p, f, 1.4219552278518677e-1f);
  p = MM_STEP(p, f, -1.666799634695053e-1f);
  p = MM_STEP(p, f, 2.000211924314499e-1f);
  p = MM_STEP(p, f, -2.5000008940696716e-1f);
  p = MM_STEP(p, f, 3.333331346511841e-1f);
  mm_vf square = f * f;
  mm_vf low = square * f * p + e * MM_LN2_LOW - 0.5f * square;
  mm_vf result = low + f + e * MM_LN2_HIGH;
  result = mm_select(x == __builtin_inff(), x, result);
  result = mm_select(x == 0, mm_splat(-__builtin_inff()), result);
  return mm_select((x < 0) | (x != x), mm_splat(__builtin_nanf("")), result);
}

#define MM_HUGE_ANGLE 268435456.0f   /* 2^28 */

/* The same for one huge x = m 2^s (Payne and Hanek): of the bits of 2 / pi only those matter that m 2^s brings to below
 * four quarter turns; 128 of them times m, wrapped around, are the quarter turn and its fraction. */
static __attribute__((noinline, unused)) float mm_huge_angle(float x, int32_t* quarter) {
  static const uint32_t two_over_pi[] = {
    0xa2f9836e, 0x4e441529, 0xfc2757d1, 0xf534ddc0, 0xdb629599, 0x3c439041, 0xfe5163ab, 0xdebbc561,
  };
  union { float number; uint32_t bits; } word = {x};
  const int first = (int)(word.bits >> 23 & 255) - 150 - 2, shift = first % 32;
  const uint32_t* from = two_over_pi + first / 32;
  unsigned __int128 window = 0;
  for (int i = 0; i < 4; i++) window = window << 32 | from[i];
  if (shift) window = window << shift | from[4] >> (32 - shift);
  const unsigned __int128 turns = window * (word.bits & 0x7fffff | 0x800000);
  const uint32_t whole = ((uint32_t)(turns >> 125) + 1) >> 1;
  const int64_t fraction = (int64_t)((turns >> 64) - ((unsigned __int128)whole << 62));
  const double angle = (double)fraction * (1.5707963267948966 / 4611686018427387904.0);
  *quarter = (int32_t)(x < 0 ? -whole : whole);
  return (float)(x < 0 ? -angle : angle);
}

/* x = n pi/2 + r in double, pi/2 in pieces of 25 bits: products are exact for |x| <= 2^28. */
MM_INLINE mm_vf mm_sine(mm_vf x, int32_t quarter_turns) {
  mm_vf r;
  mm_vi n;
  for (int i = 0; i < MM_LANES; i++) {
    const double shifted = (double)x[i] * 0.6366197723675814 + 6755399441055744.0;   /* 1.5 * 2^52: rounds */
    const double turns = shifted - 6755399441055744.0;
    r[i] = (float)((double)x[i] - turns * 1.5707963109016418 - turns * 1.5893254712295857e-08 - turns * 6.123233995736766e-17);
    n[i] = (int32_t)(int64_t)turns;
  }
  const mm_vi huge = (mm_abs(x) > MM_HUGE_ANGLE) & (mm_abs(x) < __builtin_inff());
  int32_t some = 0;
  for (int i = 0; i < MM_LANES; i++) some |= huge[i];
  if (__builtin_expect(some, 0))
    for (int i = 0; i < MM_LANES; i++)
      if (huge[i]) {
        int32_t quarter;
        r[i] = mm_huge_angle(x[i], &quarter);
        n[i] = quarter;
      }
  n = n + quarter_turns;
  const mm_vf square = r * r;
  mm_vf s = square * 2.7183114070794545e-6f - 1.983933470910415e-4f;
  s = MM_STEP(s, square, 8.333329111337662e-3f);
  s = MM_STEP(s, square, -1.666666716337204e-1f);
  s = s * square * r + r;
  mm_vf c = square * 2.443845005473122e-5f - 1.388736767694354e-3f;
  c = MM_STEP(c, square, 4.166664555668831e-2f);
  c = MM_STEP(c, square, -0.5f);
  c = c * square + 1.0f;
  const mm_vf value = mm_select((n & 1) != 0, c, s);
  return (mm_vf)((mm_vi)value ^ ((n & 2) << 30));
}

/* x + x^3 P(x^2) near 0, 1 - 2 / (e^2x + 1) beyond. */
MM_INLINE mm_vf mm_tanh(mm_vf x) {
  mm_vf magnitude = mm_abs(x);
  mm_vf square = x * x;
  mm_vf p = square * -5.704987328499556e-3f + 2.06390880048275e-2f;
  p = MM_STEP(p, square, -5.373971536755562e-2f);
  p = MM_STEP(p, square, 1.3331441581249237e-1f);
  p = MM_STEP(p, square, -3.333328068256378e-1f);
  mm_vf near = p * square * x + x;
  mm_vf far = 1.0f - 2.0f / (mm_exp(magnitude + magnitude) + 1.0f);
  return mm_select(magnitude < 0.625f, near, mm_copysign(far, x));
}

/* x + x P(x^2) near 0, 1 - e^(t P(t)) beyond. */
MM_INLINE mm_vf mm_erf(mm_vf x) {
  mm_vf t = mm_at_most(mm_abs(x), mm_splat(4.0f));
  mm_vf square = x * x;
  mm_vf p = square * -5.999425193294883e-4f + 4.994834773242474e-3f;
  p = MM_STEP(p, square, -2.6767723262310028e-2f);
  p = MM_STEP(p, square, 1.1281846463680267e-1f);
  p = MM_STEP(p, square, -3.761249780654907e-1f);
  p = MM_STEP(p, square, 1.2837915122509003e-1f);
  mm_vf near = p * x + x;
  mm_vf q = t * 2.1398495300672948e-4f - 3.214955562725663e-3f;
  q = MM_STEP(q, t, 2.2889964282512665e-2f);
  q = MM_STEP(q, t, -1.0526183992624283e-1f);
  q = MM_STEP(q, t, -6.357182860374451e-1f);
  q = MM_STEP(q, t, -1.1285144090652466f);
  mm_vf far = 1.0f - mm_exp(q * t);
  return mm_select(t < 0.92f, near, mm_copysign(far, x));
}

/* One rational function to 3e-7 of the result, half the work of mm_erf: enough where 1 is added to it (GELU). */
MM_INLINE mm_vf mm_erf_near_one(mm_vf x) {
  mm_vf t = mm_at_most(mm_at_least(x, mm_splat(-3.925f)), mm_splat(3.925f));
  mm_vf square = t * t;
  mm_vf p = square * 2.046021563728573e-6f + 2.8484503854997456e-4f;
  p = MM_STEP(p, square, 3.772604512050748e-3f);
  p = MM_STEP(p, square, 5.276946723461151e-2f);
  p = MM_STEP(p, square, 1.9059498608112335e-1f);
  p = MM_STEP(p, square, 1.1283791065216064f);
  mm_vf q = square * 3.8047794078011066e-5f + 1.163871493190527e-3f;
  q = MM_STEP(q, square, 1.4983306638896465e-2f);
  q = MM_STEP(q, square, 1.1418323963880539e-1f);
  q = MM_STEP(q, square, 5.02243161201477e-1f);
  q = MM_STEP(q, square, 1.0f);
  return mm_select(mm_abs(x) >= 3.925f, mm_copysign(mm_splat(1.0f), x), p * t / q);
}

MM_INLINE mm_vf mm_sin(mm_vf x) { return mm_sine(x, 0); }
MM_INLINE mm_vf mm_cos(mm_vf x) { return mm_sine(x, 1); }

/* e^x - 1; the quotient restores what the subtraction cancels (Kahan). */
MM_INLINE mm_vf mm_expm1(mm_vf x) {
  mm_vf u = mm_exp(x);
  mm_vf corrected = (u - 1.0f) * x / mm_log(u);
  return mm_select(u == 1.0f, x, mm_select(mm_abs(x) < 1.0f, corrected, u - 1.0f));
}

/* x to the power 1/2 as C's pow: +0 for either zero, infinity for either infinity. */
MM_INLINE mm_vf mm_root(mm_vf x) {
  return mm_select(x == -__builtin_inff(), -x, mm_sqrt(x) + 0.0f);
}

MM_INLINE mm_vf mm_unit_clip(mm_vf x) { return mm_at_most(mm_at_least(x, (mm_vf){0}), mm_splat(1.0f)); }
MM_INLINE mm_vf mm_sigmoid(mm_vf x) { return 1.0f / (1.0f + mm_exp(-x)); }
MM_INLINE mm_vf mm_relu(mm_vf x) { return mm_at_least(x, (mm_vf){0}); }
MM_INLINE mm_vf mm_silu(mm_vf x) { return x / (1.0f + mm_exp(-x)); }
MM_INLINE mm_vf mm_gelu(mm_vf x) { return 0.5f * x * (1.0f + mm_erf_near_one(x * 0.707106781f)); }

/* 0.5 (1 + tanh(u)) = sigmoid(2u), u = sqrt(2 / pi) (x + 0.044715 x^3). */
MM_INLINE mm_vf mm_gelu_tanh(mm_vf x) { return x * mm_sigmoid(x * (1.5957691216f + 0.0713548163f * x * x)); }

/* ln(1 + e^x) without overflow; the quotient restores what 1 + u rounded away. */
MM_INLINE mm_vf mm_softplus(mm_vf x) {
  mm_vf u = mm_exp(-mm_abs(x));
  mm_vf sum = 1.0f + u;
  mm_vf log1p = mm_select(sum == 1.0f, u, mm_log(sum) * u / (sum - 1.0f));
  return mm_max(x, (mm_vf){0}) + log1p;
}
