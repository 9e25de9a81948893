// Random numbers: -> y of a float type.    params [whether there is a seed, seed, a (double), b (double)]
//
//   random_uniform   a + (b - a) * u, u evenly spread over [0, 1)
//   random_normal    a + b * g, g normally distributed
//
// The stream is MT19937 read as doubles of 53 bits, as numpy's RandomState reads it; without a seed it starts from the
// system's entropy in every run. It has one order, hence one task.
#include <random>

#include "dtypes.h"

namespace mm {
namespace {

class Stream {
 public:
  explicit Stream(const int64_t* params) {
    if (params[0] != 0) {
      twister_.seed(static_cast<uint32_t>(params[1]));
    } else {
      std::random_device entropy;
      std::seed_seq words{entropy(), entropy(), entropy(), entropy(), entropy(), entropy(), entropy(), entropy()};
      twister_.seed(words);
    }
  }

  double uniform() {
    const uint32_t high = static_cast<uint32_t>(twister_()) >> 5, low = static_cast<uint32_t>(twister_()) >> 6;
    return (high * 67108864.0 + low) / 9007199254740992.0;
  }

  // Marsaglia's polar method makes two numbers at a time, the second first.
  double normal() {
    if (kept_) {
      kept_ = false;
      return next_;
    }
    double x, y, square;
    do {
      x = 2 * uniform() - 1;
      y = 2 * uniform() - 1;
      square = x * x + y * y;
    } while (square >= 1 || square == 0);
    const double factor = std::sqrt(-2 * std::log(square) / square);
    kept_ = true;
    next_ = factor * x;
    return factor * y;
  }

 private:
  std::mt19937 twister_;
  bool kept_ = false;
  double next_ = 0;
};

template <class T>
void run_uniform(const mm_call* call, int64_t begin, int64_t end, void*) {
  if (begin == end) return;
  Stream stream(call->params);
  const double low = param_double(call->params[2]), range = param_double(call->params[3]) - low;
  T* y = output<T>(call, 0);
  for (int64_t i = 0; i < output_desc(call, 0).count; ++i) y[i] = Store<T>::from(low + range * stream.uniform());
}

template <class T>
void run_normal(const mm_call* call, int64_t begin, int64_t end, void*) {
  if (begin == end) return;
  Stream stream(call->params);
  const double mean = param_double(call->params[2]), scale = param_double(call->params[3]);
  T* y = output<T>(call, 0);
  for (int64_t i = 0; i < output_desc(call, 0).count; ++i) y[i] = Store<T>::from(mean + scale * stream.normal());
}

Prepared random_uniform(const Signature& s) {
  s.expect(0, 0, 1, 4);
  return for_float(s, s.output(0), [&](auto tag) {
    return Prepared{run_uniform<typename decltype(tag)::type>, 1, 8.0 * static_cast<double>(s.output(0).count)};
  });
}

Prepared random_normal(const Signature& s) {
  s.expect(0, 0, 1, 4);
  return for_float(s, s.output(0), [&](auto tag) {
    return Prepared{run_normal<typename decltype(tag)::type>, 1, 30.0 * static_cast<double>(s.output(0).count)};
  });
}

}  // namespace

extern const LibraryKernel kRandomKernels[] = {
    {"random_uniform", random_uniform}, {"random_normal", random_normal}, {nullptr, nullptr}};

}  // namespace mm
