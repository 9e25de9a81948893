// Element-wise functions of one tensor. Input x, output of the same shape and, but for is_nan and is_inf (i1), type.
//
//   kernel                                                     params
//   abs neg sign                                               -
//   floor ceil round(half to even) exp log sqrt erf            -
//   sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh
//   logical_not (i1)   bitwise_not (integers)                  -
//   is_nan                                                     -
//   is_inf                                                     [detect_negative, detect_positive]
//   relu sigmoid silu                                          -
//   leaky_relu                                                 [alpha: double bits]
//   gelu                                                       [approximate: 0 erf, 1 tanh]
#include "shape.h"
#include "vector_math.h"

namespace mm {
namespace {

// The loop over f32 is compiled for several instruction sets; the others convert, compute and convert back.
template <class F>
MM_CLONES void float_row(const float* x, float* y, int64_t count, const int64_t* params) {
  const F f(params);
  for (int64_t i = 0; i < count; ++i) y[i] = f(x[i]);
}

template <class F, class T, class O>
void run(const mm_call* call, int64_t begin, int64_t end, void*) {
  const T* x = input<T>(call, 0);
  O* y = output<O>(call, 0);
  if constexpr (std::is_same_v<T, float> && std::is_same_v<O, float>) {
    float_row<F>(x + begin, y + begin, end - begin, call->params);
  } else {
    const F f(call->params);
    for (int64_t i = begin; i < end; ++i) y[i] = Store<O>::from(f(load(x[i])));
  }
}

template <class F>
Prepared checked(const Signature& s, mm_kernel kernel) {
  s.expect_same_shape(s.input(0), s.output(0));
  return {kernel, s.output(0).count, F::kCost};
}

template <class F>
Prepared floats(const Signature& s) {
  s.expect(1, 1, 1, F::kParams);
  return for_float(s, s.input(0), [&](auto tag) {
    using T = typename decltype(tag)::type;
    s.expect_same_dtype(s.input(0), s.output(0));
    return checked<F>(s, run<F, T, T>);
  });
}

template <class F>
Prepared numbers(const Signature& s) {
  s.expect(1, 1, 1, F::kParams);
  return for_number(s, s.input(0), [&](auto tag) {
    using T = typename decltype(tag)::type;
    s.expect_same_dtype(s.input(0), s.output(0));
    return checked<F>(s, run<F, T, T>);
  });
}

template <class F>
Prepared integers(const Signature& s) {
  s.expect(1, 1, 1, F::kParams);
  return for_integer(s, s.input(0), [&](auto tag) {
    using T = typename decltype(tag)::type;
    s.expect_same_dtype(s.input(0), s.output(0));
    return checked<F>(s, run<F, T, T>);
  });
}

template <class F>
Prepared float_tests(const Signature& s) {
  s.expect(1, 1, 1, F::kParams);
  return for_any_float(s, s.input(0), [&](auto tag) {
    using T = typename decltype(tag)::type;
    s.expect_dtype(s.output(0), MM_BOOL);
    return checked<F>(s, run<F, T, Bool>);
  });
}

struct Plain {
  static constexpr int64_t kParams = 0;
  static constexpr double kCost = 1;
  explicit Plain(const int64_t*) {}
};

// -x and |x| of the most negative integer wrap, as in NumPy.
template <class T>
T negated(T x) {
  if constexpr (std::is_integral_v<T>) {
    return static_cast<T>(std::make_unsigned_t<T>(0) - static_cast<std::make_unsigned_t<T>>(x));
  } else {
    return -x;
  }
}

struct Neg : Plain {
  using Plain::Plain;
  template <class T> T operator()(T x) const { return negated(x); }
};
struct Abs : Plain {
  using Plain::Plain;
  template <class T> T operator()(T x) const {
    if constexpr (std::is_floating_point_v<T>) return std::fabs(x);
    else if constexpr (std::is_signed_v<T>) return x < 0 ? negated(x) : x;
    else return x;
  }
};
struct Sign : Plain {
  using Plain::Plain;
  template <class T> T operator()(T x) const {
    if constexpr (std::is_floating_point_v<T>) return x != x ? x : static_cast<T>((x > 0) - (x < 0));
    else return static_cast<T>((x > 0) - (x < T(0)));
  }
};
struct BitwiseNot : Plain {
  using Plain::Plain;
  template <class T> T operator()(T x) const { return static_cast<T>(~x); }
};
struct LogicalNot : Plain {
  using Plain::Plain;
  bool operator()(bool x) const { return !x; }
};
struct IsNan : Plain {
  using Plain::Plain;
  template <class T> bool operator()(T x) const { return x != x; }
};
struct IsInf {
  static constexpr int64_t kParams = 2;
  static constexpr double kCost = 1;
  explicit IsInf(const int64_t* params) : negative(params[0] != 0), positive(params[1] != 0) {}
  template <class T> bool operator()(T x) const {
    constexpr T kInfinity = std::numeric_limits<T>::infinity();
    return (positive && x == kInfinity) || (negative && x == -kInfinity);
  }
  bool negative, positive;
};

#define MM_FUNCTION(Name, cost, expression)                         \
  struct Name {                                                     \
    static constexpr int64_t kParams = 0;                           \
    static constexpr double kCost = cost;                           \
    explicit Name(const int64_t*) {}                                \
    template <class T> T operator()(T x) const { return expression; } \
  };
MM_FUNCTION(Floor, 1, std::floor(x))
MM_FUNCTION(Ceil, 1, std::ceil(x))
MM_FUNCTION(Round, 1, std::nearbyint(x))
MM_FUNCTION(Sqrt, 2, std::sqrt(x))
MM_FUNCTION(Exp, 4, fast_exp(x))
MM_FUNCTION(Erf, 8, fast_erf(x))
MM_FUNCTION(Tanh, 6, fast_tanh(x))
MM_FUNCTION(Log, 20, std::log(x))
MM_FUNCTION(Sin, 20, std::sin(x))
MM_FUNCTION(Cos, 20, std::cos(x))
MM_FUNCTION(Tan, 20, std::tan(x))
MM_FUNCTION(Asin, 20, std::asin(x))
MM_FUNCTION(Acos, 20, std::acos(x))
MM_FUNCTION(Atan, 20, std::atan(x))
MM_FUNCTION(Sinh, 20, std::sinh(x))
MM_FUNCTION(Cosh, 20, std::cosh(x))
MM_FUNCTION(Asinh, 20, std::asinh(x))
MM_FUNCTION(Acosh, 20, std::acosh(x))
MM_FUNCTION(Atanh, 20, std::atanh(x))
MM_FUNCTION(Relu, 1, x < T(0) ? T(0) : x)  // NaN passes
MM_FUNCTION(Sigmoid, 5, fast_sigmoid(x))
MM_FUNCTION(Silu, 6, x * fast_sigmoid(x))
MM_FUNCTION(GeluErf, 10, T(0.5) * x * (T(1) + fast_erf(x * T(0.70710678118654752))))
MM_FUNCTION(GeluTanh, 10, T(0.5) * x * (T(1) + fast_tanh(T(0.79788456080286536) * (x + T(0.044715) * x * x * x))))
#undef MM_FUNCTION

struct LeakyRelu {
  static constexpr int64_t kParams = 1;
  static constexpr double kCost = 1;
  explicit LeakyRelu(const int64_t* params) : alpha(param_double(params[0])) {}
  template <class T> T operator()(T x) const { return x < T(0) ? static_cast<T>(alpha) * x : x; }
  double alpha;
};

Prepared logical_not(const Signature& s) {
  s.expect(1, 1, 1, 0);
  s.expect_dtype(s.input(0), MM_BOOL);
  s.expect_dtype(s.output(0), MM_BOOL);
  return checked<LogicalNot>(s, run<LogicalNot, Bool, Bool>);
}

Prepared gelu(const Signature& s) {
  s.expect(1, 1, 1, 1);
  const bool approximate = s.param(0, 0, 1) != 0;
  const Signature plain(&s.input(0), s.n_inputs, s.n_outputs, s.params(), 0);
  return approximate ? floats<GeluTanh>(plain) : floats<GeluErf>(plain);
}

}  // namespace

extern const LibraryKernel kUnaryKernels[] = {
    {"neg", numbers<Neg>},     {"abs", numbers<Abs>},         {"sign", numbers<Sign>},   {"floor", floats<Floor>},
    {"ceil", floats<Ceil>},    {"round", floats<Round>},      {"exp", floats<Exp>},      {"log", floats<Log>},
    {"sqrt", floats<Sqrt>},    {"sin", floats<Sin>},          {"cos", floats<Cos>},      {"tan", floats<Tan>},
    {"asin", floats<Asin>},    {"acos", floats<Acos>},        {"atan", floats<Atan>},    {"sinh", floats<Sinh>},
    {"cosh", floats<Cosh>},    {"tanh", floats<Tanh>},        {"asinh", floats<Asinh>},  {"acosh", floats<Acosh>},
    {"atanh", floats<Atanh>},  {"erf", floats<Erf>},          {"logical_not", logical_not},
    {"bitwise_not", integers<BitwiseNot>},                    {"is_nan", float_tests<IsNan>},
    {"is_inf", float_tests<IsInf>},                           {"relu", numbers<Relu>},   {"sigmoid", floats<Sigmoid>},
    {"silu", floats<Silu>},    {"leaky_relu", floats<LeakyRelu>}, {"gelu", gelu},        {nullptr, nullptr},
};

}  // namespace mm
