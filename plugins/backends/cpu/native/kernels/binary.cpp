// Element-wise functions of two tensors of one type, with NumPy broadcasting. Inputs a, b. No params.
//
//   add sub mul div maximum minimum pow mod(sign of the divisor) fmod(sign of the dividend)    numbers -> same type
//   equal less less_or_equal                                                                   numbers, i1 -> i1
//   logical_and logical_or logical_xor                                                         i1 -> i1
//   bitwise_and bitwise_or bitwise_xor                                                      integers, i1 -> same type
//   shift_left shift_right                                                                     integers -> same type
//
// Integers wrap. Integer division truncates; by zero it gives 0, as do div, mod and fmod in NumPy. maximum and
// minimum give NaN if either side is NaN.
#include "dtypes.h"
#include "shape.h"

namespace mm {
namespace {

// Integers are added and multiplied without sign, so that they wrap.
template <class T>
using Unsigned = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;
template <class T>
using Wrapping = std::conditional_t<std::is_integral_v<T>, Unsigned<T>, T>;

struct Add {
  template <class T> T operator()(T a, T b) const { return static_cast<T>(Wrapping<T>(a) + Wrapping<T>(b)); }
};
struct Sub {
  template <class T> T operator()(T a, T b) const { return static_cast<T>(Wrapping<T>(a) - Wrapping<T>(b)); }
};
struct Mul {
  template <class T> T operator()(T a, T b) const { return static_cast<T>(Wrapping<T>(a) * Wrapping<T>(b)); }
};
template <class T>
bool divides_by_minus_one(T b) {
  if constexpr (std::is_signed_v<T>) return b == T(-1);
  return false;
}
struct Div {
  template <class T> T operator()(T a, T b) const {
    if constexpr (std::is_floating_point_v<T>) return a / b;
    else if (b == 0) return 0;
    else if (divides_by_minus_one(b)) return Sub()(T(0), a);  // the most negative number wraps
    else return static_cast<T>(a / b);
  }
};
struct Fmod {
  template <class T> T operator()(T a, T b) const {
    if constexpr (std::is_floating_point_v<T>) return std::fmod(a, b);
    else return b == 0 || divides_by_minus_one(b) ? T(0) : static_cast<T>(a % b);
  }
};
struct Mod {
  template <class T> T operator()(T a, T b) const {
    const T rest = Fmod()(a, b);
    if constexpr (std::is_floating_point_v<T>) {
      if (rest == 0) return std::copysign(T(0), b);
    }
    return rest != 0 && (rest < 0) != (b < 0) ? static_cast<T>(rest + b) : rest;
  }
};
struct Pow {
  template <class T> T operator()(T a, T b) const {
    if constexpr (std::is_floating_point_v<T>) {
      return b == T(2) ? a * a : std::pow(a, b);
    } else {
      if (b < 0) return a == 1 ? T(1) : divides_by_minus_one(a) ? (b % 2 == 0 ? T(1) : T(-1)) : T(0);
      T result = 1;
      for (; b != 0; b = static_cast<T>(b >> 1)) {
        if ((b & 1) != 0) result = Mul()(result, a);
        a = Mul()(a, a);
      }
      return result;
    }
  }
};
struct Maximum {
  template <class T> T operator()(T a, T b) const { return a > b || a != a ? a : b; }
};
struct Minimum {
  template <class T> T operator()(T a, T b) const { return a < b || a != a ? a : b; }
};
struct Equal {
  template <class T> bool operator()(T a, T b) const { return a == b; }
};
struct Less {
  template <class T> bool operator()(T a, T b) const { return a < b; }
};
struct LessOrEqual {
  template <class T> bool operator()(T a, T b) const { return a <= b; }
};
struct And {
  template <class T> T operator()(T a, T b) const { return static_cast<T>(a & b); }
};
struct Or {
  template <class T> T operator()(T a, T b) const { return static_cast<T>(a | b); }
};
struct Xor {
  template <class T> T operator()(T a, T b) const { return static_cast<T>(a ^ b); }
};
// Shifting by the width or more moves every bit out.
template <class T>
bool shifts_out(T by) {
  return by < 0 || static_cast<uint64_t>(by) >= sizeof(T) * 8;
}
struct ShiftLeft {
  template <class T> T operator()(T a, T b) const {
    return shifts_out(b) ? T(0) : static_cast<T>(static_cast<std::make_unsigned_t<T>>(a) << b);
  }
};
struct ShiftRight {
  template <class T> T operator()(T a, T b) const {
    return shifts_out(b) ? (a < 0 ? static_cast<T>(-1) : T(0)) : static_cast<T>(a >> b);
  }
};

template <class F, class T, class O>
inline void row(const T* a, int64_t a_step, const T* b, int64_t b_step, O* y, int64_t count) {
  const F f;
  if (a_step == 1 && b_step == 1) {
    for (int64_t i = 0; i < count; ++i) y[i] = Store<O>::from(f(load(a[i]), load(b[i])));
  } else if (a_step == 1 && b_step == 0) {
    const auto right = load(*b);
    for (int64_t i = 0; i < count; ++i) y[i] = Store<O>::from(f(load(a[i]), right));
  } else {
    for (int64_t i = 0; i < count; ++i) y[i] = Store<O>::from(f(load(a[i * a_step]), load(b[i * b_step])));
  }
}

template <class F, class O>
MM_CLONES void float_row(const float* a, int64_t a_step, const float* b, int64_t b_step, O* y, int64_t count) {
  row<F>(a, a_step, b, b_step, y, count);
}

template <class F, class T, class O>
void run(const mm_call* call, int64_t begin, int64_t end, void*) {
  const T* a = input<T>(call, 0);
  const T* b = input<T>(call, 1);
  O* y = output<O>(call, 0);
  Walk<3> walk = broadcast_walk<3>(call);
  const int64_t a_step = walk.inner(1), b_step = walk.inner(2);
  walk.rows(begin, end, [&](const int64_t* at, int64_t count) {
    if constexpr (std::is_same_v<T, float>) float_row<F>(a + at[1], a_step, b + at[2], b_step, y + at[0], count);
    else row<F>(a + at[1], a_step, b + at[2], b_step, y + at[0], count);
  });
}

Prepared checked(const Signature& s, mm_kernel kernel, double cost) {
  s.expect_same_dtype(s.input(0), s.input(1));
  expect_broadcast(s.input(0), s.output(0));
  expect_broadcast(s.input(1), s.output(0));
  return {kernel, s.output(0).count, cost};
}

template <class F>
Prepared numbers(const Signature& s) {
  s.expect(2, 2, 1, 0);
  return for_number(s, s.input(0), [&](auto tag) {
    using T = typename decltype(tag)::type;
    s.expect_same_dtype(s.input(0), s.output(0));
    return checked(s, run<F, T, T>, std::is_same_v<F, Pow> || std::is_same_v<F, Mod> ? 20 : 1);
  });
}

template <class F>
Prepared comparison(const Signature& s) {
  s.expect(2, 2, 1, 0);
  return for_scalar(s, s.input(0), [&](auto tag) {
    using T = typename decltype(tag)::type;
    s.expect_dtype(s.output(0), MM_BOOL);
    return checked(s, run<F, T, Bool>, 1);
  });
}

template <class F>
Prepared integers(const Signature& s) {
  s.expect(2, 2, 1, 0);
  return for_integer(s, s.input(0), [&](auto tag) {
    using T = typename decltype(tag)::type;
    s.expect_same_dtype(s.input(0), s.output(0));
    return checked(s, run<F, T, T>, 1);
  });
}

template <class F>
Prepared logical(const Signature& s) {
  s.expect(2, 2, 1, 0);
  s.expect_dtype(s.input(0), MM_BOOL);
  s.expect_dtype(s.output(0), MM_BOOL);
  return checked(s, run<F, Bool, Bool>, 1);
}

template <class F>
Prepared bitwise(const Signature& s) {
  s.expect(2, 2, 1, 0);
  return s.input(0).dtype == MM_BOOL ? logical<F>(s) : integers<F>(s);
}

}  // namespace

extern const LibraryKernel kBinaryKernels[] = {
    {"add", numbers<Add>},
    {"sub", numbers<Sub>},
    {"mul", numbers<Mul>},
    {"div", numbers<Div>},
    {"pow", numbers<Pow>},
    {"mod", numbers<Mod>},
    {"fmod", numbers<Fmod>},
    {"maximum", numbers<Maximum>},
    {"minimum", numbers<Minimum>},
    {"equal", comparison<Equal>},
    {"less", comparison<Less>},
    {"less_or_equal", comparison<LessOrEqual>},
    {"logical_and", logical<And>},
    {"logical_or", logical<Or>},
    {"logical_xor", logical<Xor>},
    {"bitwise_and", bitwise<And>},
    {"bitwise_or", bitwise<Or>},
    {"bitwise_xor", bitwise<Xor>},
    {"shift_left", integers<ShiftLeft>},
    {"shift_right", integers<ShiftRight>},
    {nullptr, nullptr},
};

}  // namespace mm
