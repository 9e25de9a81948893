// The inner loop of every contraction: a block of A times a packed panel of B, added to a block of accumulators.
#pragma once

#include <algorithm>
#include <cstdint>

#include "dtypes.h"

namespace mm {

constexpr int64_t kPanel = 32;        // columns of a panel
constexpr int64_t kBlockRows = 96;    // most rows of a block
constexpr int64_t kBlockDepth = 256;  // most terms of a block

// What contractions accumulate in: halves in float, integers wrap in their width or 32 bits.
template <class T>
using Contraction = std::conditional_t<
    std::is_same_v<T, double>, double,
    std::conditional_t<std::is_integral_v<T>, std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>, float>>;

// sums[rows][kPanel] += a[rows][depth] * b[depth][kPanel]; rows of `a` are `a_stride` apart. Terms are added in order
// of depth for each sum, whatever the number of rows.
void multiply_tile(int64_t rows, int64_t depth, const float* a, int64_t a_stride, const float* b, float* sums);
void multiply_tile(int64_t rows, int64_t depth, const double* a, int64_t a_stride, const double* b, double* sums);
void multiply_tile(int64_t rows, int64_t depth, const uint32_t* a, int64_t a_stride, const uint32_t* b,
                   uint32_t* sums);
void multiply_tile(int64_t rows, int64_t depth, const uint64_t* a, int64_t a_stride, const uint64_t* b,
                   uint64_t* sums);

// Scratch of one block: packed A, a packed panel of B and the sums.
template <class C>
constexpr int64_t block_scratch() {
  return (kBlockRows * kBlockDepth + kBlockDepth * kPanel + kBlockRows * kPanel) * static_cast<int64_t>(sizeof(C));
}

// One block of a contraction: `rows` x `columns` (at most kBlockRows x kPanel) results over `depth` terms.
//   load_a(row, k, count, out)   writes A[row][k .. k+count) to out
//   load_b(k, count, out)        writes B[k .. k+count)[kPanel] to out, zero beyond the columns
//   start(row)                   the value that the sums of a row begin with
//   finish(row, sums)            takes the finished sums of a row
template <class C, class LoadA, class LoadB, class Start, class Finish>
void contract_block(int64_t rows, int64_t depth, void* scratch, LoadA load_a, LoadB load_b, Start start,
                    Finish finish) {
  C* a = static_cast<C*>(scratch);
  C* b = a + kBlockRows * kBlockDepth;
  C* sums = b + kBlockDepth * kPanel;
  for (int64_t row = 0; row < rows; ++row) std::fill_n(sums + row * kPanel, kPanel, start(row));
  for (int64_t k = 0; k < depth; k += kBlockDepth) {
    const int64_t count = std::min(kBlockDepth, depth - k);
    for (int64_t row = 0; row < rows; ++row) load_a(row, k, count, a + row * kBlockDepth);
    load_b(k, count, b);
    multiply_tile(rows, count, a, kBlockDepth, b, sums);
  }
  for (int64_t row = 0; row < rows; ++row) finish(row, sums + row * kPanel);
}

}  // namespace mm
