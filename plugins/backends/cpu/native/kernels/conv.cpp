// Convolutions over any number of spatial axes. Number types; halves are accumulated in f32.
//
//   kernel           inputs                                                  params
//   conv             x [N, C, ...], w [M, C/group, ...], bias? [M]         group, then for all spatial axes: strides,
//   conv_transpose   x [N, C, ...], w [C, M/group, ...], bias? [M]           pads before, dilations
//
// Pads after follow from the output's shape. Both are contractions whose right side, the input under each kernel tap,
// is gathered a panel of output positions at a time.
#include "tile.h"
#include "window.h"

namespace mm {
namespace {

template <bool Transposed>
struct Problem {
  Window window;
  int64_t groups, in_channels, out_channels;  // of a group
  int64_t depth;                              // terms of one result
  int64_t row_blocks, panels, tasks;

  Problem(const mm_desc& x, const mm_desc& w, const mm_desc& y, const int64_t* params)
      : window(x, y, w.dims + 2, params + 1),
        groups(params[0]),
        in_channels(x.dims[1] / groups),
        out_channels(y.dims[1] / groups) {
    depth = in_channels * window.kernel_count;
    row_blocks = (out_channels + kBlockRows - 1) / kBlockRows;
    panels = (window.output_count + kPanel - 1) / kPanel;
    tasks = x.dims[0] * groups * row_blocks * panels;
  }
};

// A task is one block of output channels by one panel of output positions.
template <class T, bool Transposed>
void run(const mm_call* call, int64_t begin, int64_t end, void* scratch) {
  using C = Contraction<T>;
  const Problem<Transposed> p(input_desc(call, 0), input_desc(call, 1), output_desc(call, 0), call->params);
  const Window& window = p.window;
  const T* bias = call->n_inputs > 2 ? input<T>(call, 2) : nullptr;
  const int64_t row_length = window.rank == 0 ? 1 : window.output[window.rank - 1];
  int64_t outs[kPanel][MM_MAX_RANK];
  for (int64_t task = begin; task < end; ++task) {
    const int64_t first_position = task % p.panels * kPanel;
    const int64_t first_row = task / p.panels % p.row_blocks * kBlockRows;
    const int64_t slab = task / p.panels / p.row_blocks;  // which image and group
    const int64_t group = slab % p.groups, first_channel = group * p.out_channels + first_row;
    const int64_t rows = std::min(kBlockRows, p.out_channels - first_row);
    const int64_t columns = std::min(kPanel, window.output_count - first_position);
    const T* x = input<T>(call, 0) + slab * p.in_channels * window.input_count;
    const T* w = input<T>(call, 1);
    T* y = output<T>(call, 0) + (slab * p.out_channels + first_row) * window.output_count + first_position;
    for (int64_t j = 0; j < columns; ++j) window.split(first_position + j, window.output, outs[j]);
    contract_block<C>(
        rows, p.depth, scratch,
        [&](int64_t row, int64_t k, int64_t count, C* out) {
          if constexpr (Transposed) {
            for (int64_t i = 0; i < count; ++i) {
              const int64_t channel = group * p.in_channels + (k + i) / window.kernel_count;
              const int64_t at = (channel * p.out_channels + first_row + row) * window.kernel_count;
              out[i] = static_cast<C>(load(w[at + (k + i) % window.kernel_count]));
            }
          } else {
            const T* from = w + (first_channel + row) * p.depth + k;
            for (int64_t i = 0; i < count; ++i) out[i] = static_cast<C>(load(from[i]));
          }
        },
        [&](int64_t k, int64_t count, C* out) {
          int64_t tap[MM_MAX_RANK];
          for (int64_t i = 0; i < count; ++i, out += kPanel) {
            const T* channel = x + (k + i) / window.kernel_count * window.input_count;
            window.split((k + i) % window.kernel_count, window.kernel, tap);
            if constexpr (Transposed) {
              for (int64_t j = 0; j < columns; ++j) {
                const int64_t at = window.transposed_source(outs[j], tap);
                out[j] = at < 0 ? C(0) : static_cast<C>(load(channel[at]));
              }
            } else {
              for (int64_t j = 0; j < columns;) {  // one row of the output at a time
                const int64_t count = std::min(columns - j, row_length - (row_length == 1 ? 0 : outs[j][window.rank - 1]));
                window.gather(channel, outs[j], tap, count, out + j);
                j += count;
              }
            }
            std::fill(out + columns, out + kPanel, C(0));
          }
        },
        [&](int64_t row) { return bias == nullptr ? C(0) : static_cast<C>(load(bias[first_channel + row])); },
        [&](int64_t row, const C* sums) {
          for (int64_t j = 0; j < columns; ++j) y[row * window.output_count + j] = Store<T>::from(sums[j]);
        });
  }
}

template <bool Transposed>
Prepared conv(const Signature& s) {
  s.expect(2, 3, 1, s.n_params);
  const mm_desc& x = s.input(0);
  const mm_desc& w = s.input(1);
  const mm_desc& y = s.output(0);
  s.expect_same_dtype(x, w);
  s.expect_same_dtype(x, y);
  if (x.rank < 2 || w.rank != x.rank || y.rank != x.rank)
    refuse("input, weights and output must have one rank, at least 2");
  const int64_t rank = x.rank - 2;
  s.expect_params(1 + 3 * rank);
  const int64_t groups = s.param(0, 1, std::max<int64_t>(x.dims[1], 1));
  expect_window(s, 1, rank);
  const int64_t in = Transposed ? w.dims[0] : w.dims[1] * groups, out = Transposed ? w.dims[1] * groups : w.dims[0];
  if (x.dims[1] != in || y.dims[1] != out || in % groups != 0 || out % groups != 0 || y.dims[0] != x.dims[0]) {
    refuse("channels, groups and batch of input, weights and output do not fit");
  }
  if (s.has_input(2)) {
    s.expect_same_dtype(x, s.input(2));
    s.expect_count(s.input(2), out);
  }
  const Problem<Transposed> p(x, w, y, s.params());
  return for_number(s, x, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const double cost =
        static_cast<double>(p.depth) * kPanel * (4.0 + static_cast<double>(std::min(p.out_channels, kBlockRows)) / 8);
    return Prepared{run<T, Transposed>, y.count == 0 ? 0 : p.tasks, 1.0 + cost, block_scratch<Contraction<T>>()};
  });
}

}  // namespace

extern const LibraryKernel kConvKernels[] = {
    {"conv", conv<false>}, {"conv_transpose", conv<true>}, {nullptr, nullptr}};

}  // namespace mm
