// resize: input x of any rank, output of x's type and rank. Every axis is interpolated on its own, as ONNX's Resize.
//
//   params  0 mode                 0 nearest, 1 linear, 2 cubic
//           1 coordinates          0 half_pixel, 1 asymmetric, 2 align_corners, 3 pytorch_half_pixel,
//                                  4 half_pixel_symmetric, 5 tf_crop_and_resize
//           2 nearest rounding     0 round_prefer_floor, 1 round_prefer_ceil, 2 floor, 3 ceil
//           3 exclude_outside      weights outside x become 0 and the others are scaled up
//           4 antialias            the filter widens when an axis shrinks
//           5 cubic coefficient    double bits
//           6 extrapolation value  double bits; for tf_crop_and_resize outside x
//           7 onwards              for all axes (double bits): scales, then starts, then ends of the region; a scale
//                                  that is NaN is the ratio of the sizes
//
// Integers are rounded half to even, and bounded.
#include <cmath>

#include "dtypes.h"
#include "shape.h"

namespace mm {
namespace {

enum Mode : int64_t { kNearest, kLinear, kCubic };
enum Coordinates : int64_t { kHalfPixel, kAsymmetric, kAlignCorners, kPytorch, kSymmetric, kCrop };
enum Rounding : int64_t { kPreferFloor, kPreferCeil, kFloor, kCeil };
constexpr int64_t kFirstAxisParam = 7;

struct Tap {
  int64_t offset;  // in x, in elements; kOutside for an output that is extrapolated
  double weight;
};
constexpr int64_t kOutside = -1;

struct Axis {
  int64_t from, to, stride;
  double scale, roi_start, roi_end;
  int64_t first_tap, taps;  // relative to the floor of the source coordinate; how many

  // Whether elements stay where they are.
  bool whole() const { return from == to && scale == 1 && roi_start == 0 && roi_end == 1; }
};

double scale_of(double given, int64_t from, int64_t to) {
  return std::isnan(given) ? static_cast<double>(to) / static_cast<double>(std::max<int64_t>(from, 1)) : given;
}

struct Problem {
  int32_t rank;
  int64_t mode, coordinates, rounding;
  bool exclude_outside, antialias;
  double cubic, extrapolation;
  Axis axes[MM_MAX_RANK]{};
  int64_t table_taps = 0;    // taps of all positions of all axes
  int64_t leading_taps = 1;  // combinations of taps over all axes but the last

  Problem(const mm_desc& x, const mm_desc& y, const int64_t* params)
      : rank(x.rank),
        mode(params[0]),
        coordinates(params[1]),
        rounding(params[2]),
        exclude_outside(params[3] != 0),
        antialias(params[4] != 0),
        cubic(param_double(params[5])),
        extrapolation(param_double(params[6])) {
    int64_t strides[MM_MAX_RANK];
    row_major(x, strides);
    const int64_t* per_axis = params + kFirstAxisParam;
    for (int32_t i = 0; i < rank; ++i) {
      Axis& axis = axes[i];
      axis = {x.dims[i],
              y.dims[i],
              strides[i],
              scale_of(param_double(per_axis[i]), x.dims[i], y.dims[i]),
              param_double(per_axis[rank + i]),
              param_double(per_axis[2 * rank + i]),
              0,
              1};
      if (!axis.whole() && mode != kNearest) {
        const double support = mode == kLinear ? 1 : 2;
        const double stretch = antialias ? std::min(axis.scale, 1.0) : 1.0;
        axis.first_tap = static_cast<int64_t>(std::floor(-support / stretch)) + 1;
        axis.taps = 2 - 2 * axis.first_tap;
      }
      table_taps += axis.to * axis.taps;
      if (i + 1 < rank) leading_taps *= axis.taps;
    }
  }

  // The tables, and for each axis a row of x along its last axis.
  int64_t scratch() const {
    return table_taps * static_cast<int64_t>(sizeof(Tap)) + rank * axes[rank - 1].from * static_cast<int64_t>(8);
  }

  // Where in x position `i` of the output lies. The scale may not be the ratio of the sizes: `length` is what the
  // output's size was before it was rounded.
  double source(const Axis& axis, int64_t i) const {
    const double from = static_cast<double>(axis.from), at = static_cast<double>(i), length = axis.scale * from;
    const double half_pixel = (at + 0.5) / axis.scale - 0.5;
    switch (coordinates) {
      case kAsymmetric:
        return at / axis.scale;
      case kAlignCorners:
        return length == 1 ? 0 : at * ((from - 1) / (length - 1));
      case kPytorch:
        return length == 1 ? -0.5 : half_pixel;
      case kSymmetric:
        return half_pixel + from * 0.5 * (1 - static_cast<double>(axis.to) / length);
      case kCrop: {
        const double span = (axis.roi_end - axis.roi_start) * (from - 1);
        return (length == 1 ? span * 0.5 : at * span / (length - 1)) + axis.roi_start * (from - 1);
      }
      default:
        return half_pixel;
    }
  }

  double filter(double distance) const {
    const double d = std::fabs(distance);
    if (mode == kLinear) return std::max(0.0, 1 - d);
    if (d <= 1) return ((cubic + 2) * d - (cubic + 3)) * (d * d) + 1;
    if (d < 2) return ((d - 5) * d + 8) * d * cubic - 4 * cubic;
    return 0;
  }

  double rounded(double x) const {
    switch (rounding) {
      case kPreferCeil:
        return std::floor(x + 0.5);
      case kFloor:
        return std::floor(x);
      case kCeil:
        return std::ceil(x);
      default:
        return std::ceil(x - 0.5);
    }
  }

  // The taps of position `i`.
  void weigh(const Axis& axis, int64_t i, Tap* taps) const {
    const double last = static_cast<double>(axis.from - 1);
    if (axis.whole()) {
      taps[0] = {i * axis.stride, 1};
      return;
    }
    const double x = source(axis, i);
    if (coordinates == kCrop && !(x >= 0 && x <= last)) {
      for (int64_t k = 0; k < axis.taps; ++k) taps[k] = {kOutside, 0};
      return;
    }
    const auto clamped = [&](double at) {
      return static_cast<int64_t>(std::min(std::max(at, 0.0), last)) * axis.stride;
    };
    if (mode == kNearest) {
      taps[0] = {clamped(rounded(x)), 1};
      return;
    }
    const double base = std::floor(x), stretch = antialias ? std::min(axis.scale, 1.0) : 1.0;
    double total = 0;
    for (int64_t k = 0; k < axis.taps; ++k) {
      const double at = base + static_cast<double>(axis.first_tap + k);
      const bool outside = exclude_outside && (at < 0 || at > last);
      taps[k] = {clamped(at), outside ? 0 : filter((at - x) * stretch)};
      total += taps[k].weight;
    }
    const bool normalise = (exclude_outside || antialias) && total != 0;
    for (int64_t k = 0; normalise && k < axis.taps; ++k) taps[k].weight /= total;
  }
};

// Rows of x along its last axis, interpolated along the others: the first axis first, as the operator says.
template <class T, class C>
struct Rows {
  const T* x;
  int64_t width;
  C* rows[MM_MAX_RANK];       // one for each axis
  const Tap* at[MM_MAX_RANK];  // taps of the position along each axis
  const int64_t* taps;         // how many

  // The row at `offset`, interpolated along the axes up to `axis`.
  void read(int32_t axis, int64_t offset, C* row) const {
    while (axis >= 0 && taps[axis] == 1) offset += at[axis--][0].offset;
    if (axis < 0) {
      for (int64_t i = 0; i < width; ++i) row[i] = static_cast<C>(load(x[offset + i]));
      return;
    }
    C* part = rows[axis];
    std::fill(row, row + width, C(0));
    for (int64_t k = 0; k < taps[axis]; ++k) {
      read(axis - 1, offset + at[axis][k].offset, part);
      const C weight = static_cast<C>(at[axis][k].weight);
      for (int64_t i = 0; i < width; ++i) row[i] += weight * part[i];
    }
  }
};

// A task is a row of the output along its last axis.
template <class T>
void run(const mm_call* call, int64_t begin, int64_t end, void* scratch) {
  using C = std::conditional_t<std::is_same_v<Compute<T>, float>, float, double>;
  const Problem p(input_desc(call, 0), output_desc(call, 0), call->params);
  const int32_t last = p.rank - 1;
  const Axis& row_axis = p.axes[last];
  Tap* tables[MM_MAX_RANK];
  int64_t taps[MM_MAX_RANK];
  Tap* next = static_cast<Tap*>(scratch);
  for (int32_t i = 0; i < p.rank; ++i) {
    tables[i] = next;
    taps[i] = p.axes[i].taps;
    for (int64_t position = 0; position < p.axes[i].to; ++position, next += taps[i])
      p.weigh(p.axes[i], position, next);
  }
  Rows<T, C> rows{input<T>(call, 0), row_axis.from, {}, {}, taps};
  for (int32_t i = 0; i < p.rank; ++i) rows.rows[i] = reinterpret_cast<C*>(next) + i * row_axis.from;
  C* line = rows.rows[last];
  const bool copies = p.leading_taps == 1 && row_axis.taps == 1;
  for (int64_t row = begin; row < end; ++row) {
    int64_t offset = 0, rest = row;
    bool outside = false;
    for (int32_t i = last - 1; i >= 0; --i) {
      rows.at[i] = tables[i] + rest % p.axes[i].to * taps[i];
      rest /= p.axes[i].to;
      outside = outside || rows.at[i][0].offset == kOutside;
      offset += rows.at[i][0].offset;
    }
    if (!copies && !outside) rows.read(last - 1, 0, line);
    T* y = output<T>(call, 0) + row * row_axis.to;
    for (int64_t j = 0; j < row_axis.to; ++j) {
      const Tap* at = tables[last] + j * row_axis.taps;
      if (outside || at[0].offset == kOutside) {
        y[j] = Store<T>::from(p.extrapolation);
      } else if (copies) {
        y[j] = rows.x[offset + at[0].offset];
      } else {
        C sum = 0;
        for (int64_t k = 0; k < row_axis.taps; ++k) sum += static_cast<C>(at[k].weight) * line[at[k].offset];
        y[j] = Store<T>::from(std::is_integral_v<T> ? std::nearbyint(sum) : sum);
      }
    }
  }
}

Prepared resize(const Signature& s) {
  s.expect(1, 1, 1, s.n_params);
  const mm_desc& x = s.input(0);
  const mm_desc& y = s.output(0);
  s.expect_same_dtype(x, y);
  if (x.rank < 1 || x.rank != y.rank) refuse("input and output must have one rank, at least 1");
  s.expect_params(kFirstAxisParam + 3 * int64_t{x.rank});
  s.param(0, kNearest, kCubic);
  s.param(1, kHalfPixel, kCrop);
  s.param(2, kPreferFloor, kCeil);
  s.param(3, 0, 1);
  s.param(4, 0, 1);
  for (int32_t i = 0; i < x.rank; ++i) {
    const double scale = scale_of(param_double(s.params()[kFirstAxisParam + i]), x.dims[i], y.dims[i]);
    if (y.count != 0 && !(scale > 1e-6 && scale < 1e9)) refuse("the scale of axis %d is %g", i, scale);
    if (x.dims[i] == 0 && y.dims[i] != 0) refuse("axis %d of the input is empty", i);
  }
  const Problem p(x, y, s.params());
  if (p.scratch() > int64_t{1} << 36) refuse("the filter is too large");
  const int64_t width = y.dims[y.rank - 1], rows = y.count == 0 ? 0 : y.count / width;
  const Axis& last = p.axes[x.rank - 1];
  const double cost = 2.0 * static_cast<double>(width * last.taps + last.from * p.leading_taps);
  return for_scalar(s, x,
                    [&](auto tag) { return Prepared{run<typename decltype(tag)::type>, rows, cost, p.scratch()}; });
}

}  // namespace

extern const LibraryKernel kResizeKernels[] = {{"resize", resize}, {nullptr, nullptr}};

}  // namespace mm
