// Choosing among boxes.
//
//   kernel        inputs                                       outputs       params
//   greedy_nms    boxes [N, B, 4], scores [N, C, B], most      kept (i64)    [center_point_box]
//                 (i64), iou_threshold, score_threshold?       [N, C, B]
//
// For each image and class the numbers of the boxes that remain, by falling score, then -1. The operator's definition
// says which remain.
#include <algorithm>

#include "dtypes.h"

namespace mm {
namespace {

template <class C>
struct Box {
  C low[2], high[2];

  static C extent(C low, C high) { return std::max(high - low, C(0)); }
  C area() const { return extent(low[0], high[0]) * extent(low[1], high[1]); }
};

template <class T>
Box<Compute<T>> read_box(const T* numbers, bool center_point_box) {
  using C = Compute<T>;
  Box<C> box;
  for (int axis = 0; axis < 2; ++axis) {
    C first = load(numbers[axis]), second = load(numbers[axis + 2]);
    if (center_point_box) {
      const C center = first, half = second * C(0.5);
      first = center - half;
      second = center + half;
    }
    // As NumPy has it, a NaN makes both ends NaN.
    box.low[axis] = first < second || first != first ? first : second;
    box.high[axis] = first > second || first != first ? first : second;
  }
  return box;
}

// Intersection over union; 0 where the union is empty.
template <class C>
C overlap(const Box<C>& a, const Box<C>& b) {
  C common = 1;
  for (int axis = 0; axis < 2; ++axis) {
    common *= Box<C>::extent(std::max(a.low[axis], b.low[axis]), std::min(a.high[axis], b.high[axis]));
  }
  const C whole = a.area() + b.area() - common;
  return whole > 0 ? common / whole : C(0);
}

template <class T>
void run_greedy_nms(const mm_call* call, int64_t begin, int64_t end, void* scratch) {
  using C = Compute<T>;
  const mm_desc& shape = input_desc(call, 1);
  const int64_t classes = shape.dims[1], count = shape.dims[2];
  const int64_t most = std::min(*input<int64_t>(call, 2), count);
  const C limit = load(*input<T>(call, 3));
  const T* least = call->n_inputs > 4 ? input<T>(call, 4) : nullptr;
  Box<C>* chosen = static_cast<Box<C>*>(scratch);
  int64_t* heap = reinterpret_cast<int64_t*>(chosen + count);
  for (int64_t task = begin; task < end; ++task) {
    const T* boxes = input<T>(call, 0) + task / classes * count * 4;
    const T* scores = input<T>(call, 1) + task * count;
    int64_t* kept = output<int64_t>(call, 0) + task * count;
    int64_t left = 0, found = 0;
    for (int64_t i = 0; i < count; ++i) {
      const C score = load(scores[i]);
      if (least == nullptr ? score == score : score > load(*least)) heap[left++] = i;
    }
    // Few boxes remain of many, so they are sorted one by one.
    const auto after = [&](int64_t a, int64_t b) {
      const C mine = load(scores[a]), other = load(scores[b]);
      return mine < other || (mine == other && a > b);
    };
    std::make_heap(heap, heap + left, after);
    while (left > 0 && found < most) {
      std::pop_heap(heap, heap + left, after);
      const int64_t number = heap[--left];
      const Box<C> box = read_box(boxes + number * 4, call->params[0] != 0);
      const bool apart = std::all_of(chosen, chosen + found, [&](const Box<C>& other) {
        return overlap(other, box) <= limit;
      });
      if (!apart) continue;
      chosen[found] = box;
      kept[found++] = number;
    }
    std::fill(kept + found, kept + count, -1);
  }
}

Prepared greedy_nms(const Signature& s) {
  s.expect(4, 5, 1, 1);
  s.param(0, 0, 1);
  const mm_desc &boxes = s.input(0), &scores = s.input(1);
  for (const int32_t i : {1, 3, 4}) {
    if (s.has_input(i)) s.expect_same_dtype(boxes, s.input(i));
  }
  if (scores.rank != 3) refuse("scores must have three axes");
  const int64_t count = scores.dims[2];
  s.expect_count(boxes, scores.dims[0] * count * 4);
  s.expect_dtype(s.input(2), MM_I64);
  for (const int32_t i : {2, 3, 4}) {
    if (s.has_input(i)) s.expect_count(s.input(i), 1);
  }
  s.expect_dtype(s.output(0), MM_I64);
  s.expect_same_shape(scores, s.output(0));
  return for_float(s, boxes, [&](auto tag) {
    using T = typename decltype(tag)::type;
    constexpr int64_t kBytes = sizeof(Box<Compute<T>>) + sizeof(int64_t);
    return Prepared{run_greedy_nms<T>, scores.dims[0] * scores.dims[1], 32.0 * static_cast<double>(count),
                    count * kBytes};
  });
}

}  // namespace

extern const LibraryKernel kSuppressionKernels[] = {{"greedy_nms", greedy_nms}, {nullptr, nullptr}};

}  // namespace mm
