#include "tile.h"

#include "kernel.h"
#include "vector_math.h"

namespace mm {
namespace {

// `Rows` rows by two vectors of `Bytes` stay in registers while the depth is walked.
template <class C, int Bytes, int Rows>
MM_INLINE void tile_rows(int64_t depth, const C* a, int64_t a_stride, const C* b, C* sums) {
  typedef C Vector __attribute__((vector_size(Bytes), aligned(16)));
  constexpr int64_t kWidth = Bytes / static_cast<int64_t>(sizeof(C));
  for (int64_t column = 0; column < kPanel; column += 2 * kWidth) {
    Vector low[Rows], high[Rows];
    for (int r = 0; r < Rows; ++r) {
      low[r] = *reinterpret_cast<const Vector*>(sums + r * kPanel + column);
      high[r] = *reinterpret_cast<const Vector*>(sums + r * kPanel + column + kWidth);
    }
    for (int64_t k = 0; k < depth; ++k) {
      const Vector left = *reinterpret_cast<const Vector*>(b + k * kPanel + column);
      const Vector right = *reinterpret_cast<const Vector*>(b + k * kPanel + column + kWidth);
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) {
        const C factor = a[r * a_stride + k];
        low[r] += factor * left;
        high[r] += factor * right;
      }
    }
    for (int r = 0; r < Rows; ++r) {
      *reinterpret_cast<Vector*>(sums + r * kPanel + column) = low[r];
      *reinterpret_cast<Vector*>(sums + r * kPanel + column + kWidth) = high[r];
    }
  }
}

template <class C, int Bytes, int Rows>
MM_INLINE void tile(int64_t rows, int64_t depth, const C* a, int64_t a_stride, const C* b, C* sums) {
  int64_t row = 0;
  for (; row + Rows <= rows; row += Rows) {
    tile_rows<C, Bytes, Rows>(depth, a + row * a_stride, a_stride, b, sums + row * kPanel);
  }
  for (; row + 4 <= rows; row += 4) {
    tile_rows<C, Bytes, 4>(depth, a + row * a_stride, a_stride, b, sums + row * kPanel);
  }
  for (; row < rows; ++row) tile_rows<C, Bytes, 1>(depth, a + row * a_stride, a_stride, b, sums + row * kPanel);
}

template <class C>
using Tile = void (*)(int64_t, int64_t, const C*, int64_t, const C*, C*);

#if defined(__x86_64__) && !defined(MM_NO_CLONES)
template <class C>
__attribute__((target("arch=x86-64-v4"))) void tile_v4(int64_t rows, int64_t depth,
                                                                               const C* a, int64_t a_stride,
                                                                               const C* b, C* sums) {
  tile<C, 64, 12>(rows, depth, a, a_stride, b, sums);
}
template <class C>
__attribute__((target("arch=x86-64-v3"))) void tile_v3(int64_t rows, int64_t depth, const C* a, int64_t a_stride,
                                                       const C* b, C* sums) {
  tile<C, 32, 6>(rows, depth, a, a_stride, b, sums);
}
#endif
template <class C>
void tile_any(int64_t rows, int64_t depth, const C* a, int64_t a_stride, const C* b, C* sums) {
  tile<C, 16, 6>(rows, depth, a, a_stride, b, sums);
}

template <class C>
Tile<C> best_tile() {
#if defined(__x86_64__) && !defined(MM_NO_CLONES)
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (avx512) return tile_v4<C>;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return tile_v3<C>;
#endif
  return tile_any<C>;
}

template <class C>
void multiply(int64_t rows, int64_t depth, const C* a, int64_t a_stride, const C* b, C* sums) {
  static const Tile<C> chosen = best_tile<C>();
  chosen(rows, depth, a, a_stride, b, sums);
}

}  // namespace

void multiply_tile(int64_t rows, int64_t depth, const float* a, int64_t a_stride, const float* b, float* sums) {
  multiply(rows, depth, a, a_stride, b, sums);
}
void multiply_tile(int64_t rows, int64_t depth, const double* a, int64_t a_stride, const double* b, double* sums) {
  multiply(rows, depth, a, a_stride, b, sums);
}
void multiply_tile(int64_t rows, int64_t depth, const uint32_t* a, int64_t a_stride, const uint32_t* b,
                   uint32_t* sums) {
  multiply(rows, depth, a, a_stride, b, sums);
}
void multiply_tile(int64_t rows, int64_t depth, const uint64_t* a, int64_t a_stride, const uint64_t* b,
                   uint64_t* sums) {
  multiply(rows, depth, a, a_stride, b, sums);
}

}  // namespace mm
