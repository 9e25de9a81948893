// matmul: inputs a, b, of one number type; no params. NumPy's rules: batch axes broadcast; a 1-D operand is a row on
// the left and a column on the right, and that axis is absent from the output.
#include "shape.h"
#include "tile.h"

namespace mm {
namespace {

struct Problem {
  int64_t rows, columns, depth;
  int32_t batch_rank;
  int64_t a_strides[MM_MAX_RANK], b_strides[MM_MAX_RANK];  // of the batch axes, in matrices
  int64_t batch_dims[MM_MAX_RANK];
  int64_t batches = 1;

  Problem(const mm_desc& a, const mm_desc& b) {
    depth = a.dims[a.rank - 1];
    rows = a.rank < 2 ? 1 : a.dims[a.rank - 2];
    columns = b.rank < 2 ? 1 : b.dims[b.rank - 1];
    const int32_t a_batch = std::max(a.rank - 2, 0), b_batch = std::max(b.rank - 2, 0);
    batch_rank = std::max(a_batch, b_batch);
    int64_t a_stride = 1, b_stride = 1;
    for (int32_t i = batch_rank - 1; i >= 0; --i) {
      const int32_t ai = i - (batch_rank - a_batch), bi = i - (batch_rank - b_batch);
      const int64_t a_dim = ai < 0 ? 1 : a.dims[ai], b_dim = bi < 0 ? 1 : b.dims[bi];
      if (a_dim != b_dim && a_dim != 1 && b_dim != 1) refuse("the batch axes do not broadcast");
      batch_dims[i] = a_dim == 1 ? b_dim : a_dim;
      a_strides[i] = a_dim == 1 ? 0 : a_stride;
      b_strides[i] = b_dim == 1 ? 0 : b_stride;
      a_stride *= a_dim;
      b_stride *= b_dim;
      batches *= batch_dims[i];
    }
  }

  int64_t row_blocks() const { return (rows + kBlockRows - 1) / kBlockRows; }
  int64_t panels() const { return (columns + kPanel - 1) / kPanel; }
};

// A task is one block of rows by one panel of columns of one matrix.
template <class T>
void run(const mm_call* call, int64_t begin, int64_t end, void* scratch) {
  using C = Contraction<T>;
  const Problem p(input_desc(call, 0), input_desc(call, 1));
  const int64_t row_blocks = p.row_blocks(), panels = p.panels();
  for (int64_t task = begin; task < end; ++task) {
    const int64_t first_row = task / panels % row_blocks * kBlockRows, first_column = task % panels * kPanel;
    const int64_t rows = std::min(kBlockRows, p.rows - first_row),
                  columns = std::min(kPanel, p.columns - first_column);
    int64_t batch = task / panels / row_blocks, a_matrix = 0, b_matrix = 0;
    T* y = output<T>(call, 0) + (batch * p.rows + first_row) * p.columns + first_column;
    for (int32_t i = p.batch_rank - 1; i >= 0; --i) {
      a_matrix += batch % p.batch_dims[i] * p.a_strides[i];
      b_matrix += batch % p.batch_dims[i] * p.b_strides[i];
      batch /= p.batch_dims[i];
    }
    const T* a = input<T>(call, 0) + (a_matrix * p.rows + first_row) * p.depth;
    const T* b = input<T>(call, 1) + b_matrix * p.depth * p.columns + first_column;
    contract_block<C>(
        rows, p.depth, scratch,
        [&](int64_t row, int64_t k, int64_t count, C* out) {
          for (int64_t i = 0; i < count; ++i) out[i] = static_cast<C>(load(a[row * p.depth + k + i]));
        },
        [&](int64_t k, int64_t count, C* out) {
          for (int64_t i = 0; i < count; ++i, out += kPanel) {
            const T* row = b + (k + i) * p.columns;
            for (int64_t j = 0; j < columns; ++j) out[j] = static_cast<C>(load(row[j]));
            std::fill(out + columns, out + kPanel, C(0));
          }
        },
        [](int64_t) { return C(0); },
        [&](int64_t row, const C* sums) {
          for (int64_t j = 0; j < columns; ++j) y[row * p.columns + j] = Store<T>::from(sums[j]);
        });
  }
}

Prepared matmul(const Signature& s) {
  s.expect(2, 2, 1, 0);
  const mm_desc& a = s.input(0);
  const mm_desc& b = s.input(1);
  s.expect_same_dtype(a, b);
  s.expect_same_dtype(a, s.output(0));
  if (a.rank < 1 || b.rank < 1) refuse("an operand is a scalar");
  if (a.dims[a.rank - 1] != b.dims[std::max(b.rank - 2, 0)]) refuse("the inner sizes differ");
  const Problem p(a, b);
  s.expect_count(s.output(0), p.batches * p.rows * p.columns);
  return for_number(s, a, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const double cost = static_cast<double>(std::min(p.rows, kBlockRows)) * kPanel * static_cast<double>(p.depth) / 8;
    return Prepared{run<T>, p.batches * p.row_blocks() * p.panels(), 1.0 + cost, block_scratch<Contraction<T>>()};
  });
}

}  // namespace

extern const LibraryKernel kMatmulKernels[] = {{"matmul", matmul}, {nullptr, nullptr}};

}  // namespace mm
