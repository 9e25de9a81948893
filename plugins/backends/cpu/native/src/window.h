// Sliding windows over the spatial axes of [N, C, spatial...] tensors, for convolutions and pools of any rank.
#pragma once

#include <algorithm>

#include "dtypes.h"

namespace mm {

struct Window {
  int32_t rank;                   // spatial axes
  const int64_t *input, *output;  // sizes
  int64_t kernel[MM_MAX_RANK], strides[MM_MAX_RANK], pads[MM_MAX_RANK], dilations[MM_MAX_RANK];
  int64_t input_count = 1, output_count = 1, kernel_count = 1;

  // `parameters`: strides, pads before, dilations, each of `rank` values.
  Window(const mm_desc& x, const mm_desc& y, const int64_t* kernel_dims, const int64_t* parameters)
      : rank(x.rank - 2), input(x.dims + 2), output(y.dims + 2) {
    for (int32_t i = 0; i < rank; ++i) {
      kernel[i] = kernel_dims[i];
      strides[i] = parameters[i];
      pads[i] = parameters[rank + i];
      dilations[i] = parameters[2 * rank + i];
      input_count *= input[i];
      output_count *= output[i];
      kernel_count *= kernel[i];
    }
  }

  // Row-major position into coordinates.
  void split(int64_t position, const int64_t* dims, int64_t* coordinates) const {
    for (int32_t i = rank - 1; i >= 0; --i) {
      coordinates[i] = position % dims[i];
      position /= dims[i];
    }
  }

  // The coordinates that follow in row-major order.
  void advance(int64_t* coordinates, const int64_t* dims) const {
    for (int32_t i = rank - 1; i >= 0 && ++coordinates[i] == dims[i]; --i) coordinates[i] = 0;
  }

  // Offset in the input that kernel tap `tap` reads for output `out` (both as coordinates), or -1 in the padding.
  int64_t source(const int64_t* out, const int64_t* tap) const {
    int64_t offset = 0;
    for (int32_t i = 0; i < rank; ++i) {
      const int64_t at = out[i] * strides[i] - pads[i] + tap[i] * dilations[i];
      if (at < 0 || at >= input[i]) return -1;
      offset = offset * input[i] + at;
    }
    return offset;
  }

  // What tap `tap` reads for `count` outputs from `out` on along the last axis; zero in the padding.
  template <class C, class T>
  void gather(const T* x, const int64_t* out, const int64_t* tap, int64_t count, C* to) const {
    const int32_t last = rank - 1;
    int64_t offset = 0;
    bool inside = true;
    for (int32_t i = 0; i < last; ++i) {
      const int64_t at = out[i] * strides[i] - pads[i] + tap[i] * dilations[i];
      inside = inside && at >= 0 && at < input[i];
      offset = offset * input[i] + at;
    }
    // Outputs [begin, end) read inside the row; first + j * stride is where output j reads.
    const int64_t stride = last < 0 ? 1 : strides[last], length = last < 0 ? 1 : input[last];
    const int64_t first = last < 0 ? 0 : out[last] * stride - pads[last] + tap[last] * dilations[last];
    const int64_t begin = !inside || first >= length ? count : first >= 0 ? 0 : std::min((stride - 1 - first) / stride, count);
    const int64_t end = begin == count ? count : std::clamp((length - first + stride - 1) / stride, begin, count);
    const T* row = x + (inside ? offset * length + first : 0);
    std::fill(to, to + begin, C(0));
    if (stride == 1) {
      for (int64_t j = begin; j < end; ++j) to[j] = static_cast<C>(load(row[j]));
    } else {
      for (int64_t j = begin; j < end; ++j) to[j] = static_cast<C>(load(row[j * stride]));
    }
    std::fill(to + end, to + count, C(0));
  }

  // Offset that tap `tap` reads in a transposed convolution, where inputs are spread `strides` apart, or -1.
  int64_t transposed_source(const int64_t* out, const int64_t* tap) const {
    int64_t offset = 0;
    for (int32_t i = 0; i < rank; ++i) {
      const int64_t at = out[i] + pads[i] - tap[i] * dilations[i];
      if (at < 0 || at % strides[i] != 0 || at / strides[i] >= input[i]) return -1;
      offset = offset * input[i] + at / strides[i];
    }
    return offset;
  }
};

// Refuses window parameters, from params[first] on, that no walk could follow.
inline void expect_window(const Signature& s, int64_t first, int64_t rank) {
  constexpr int64_t kMost = int64_t{1} << 40;
  for (int64_t i = 0; i < rank; ++i) {
    s.param(first + i, 1, kMost);
    s.param(first + rank + i, -kMost, kMost);
    s.param(first + 2 * rank + i, 1, kMost);
  }
}

}  // namespace mm
