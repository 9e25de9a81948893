// cast: any type but complex to any type but complex, by their values.    params [saturate]
//
// To integers: towards zero; floats that do not fit go to the nearest end and NaN to 0, integers wrap. To i1: whether
// not zero. To narrow floats: half to even; what is too large becomes the largest finite number if `saturate`, else
// infinity or NaN.
#include "dtypes.h"

namespace mm {
namespace {

template <class From, class To>
void run(const mm_call* call, int64_t begin, int64_t end, void*) {
  const From* x = input<From>(call, 0);
  To* y = output<To>(call, 0);
  const bool saturate = call->params[0] != 0;
  for (int64_t i = begin; i < end; ++i) y[i] = Store<To>::from(load(x[i]), saturate);
}

Prepared cast(const Signature& s) {
  s.expect(1, 1, 1, 1);
  s.param(0, 0, 1);
  s.expect_same_shape(s.input(0), s.output(0));
  return for_real(s, s.input(0), [&](auto from) {
    using From = typename decltype(from)::type;
    return for_real(s, s.output(0), [&](auto to) {
      using To = typename decltype(to)::type;
      return Prepared{run<From, To>, s.output(0).count, sizeof(To) == 1 ? 8.0 : 1.0};
    });
  });
}

}  // namespace

extern const LibraryKernel kCastKernels[] = {{"cast", cast}, {nullptr, nullptr}};

}  // namespace mm
