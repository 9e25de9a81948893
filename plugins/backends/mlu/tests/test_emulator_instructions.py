"""Every instruction of the emulated units against numpy: float and half, odd counts, NaN and infinity."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from mlu_running import kernels, source_of

Array = np.ndarray
_COUNTS = (1, 7, 64, 1000, 1025)
_TYPES = {"float": np.float32, "half": np.float16}
_HEAD = """
template <typename T> struct Tiles {
  T *a = (T *)mm_nram, *b = (T *)(mm_nram + 8192), *c = (T *)(mm_nram + 16384), *d = (T *)(mm_nram + 24576);
};
"""
_PARAMETERS = "const float *x, const float *y, const float *z, const int *size, float *out"


def _source(instructions: list[tuple[str, str]], inputs: int = 3) -> str:
    """One kernel for each (element type, instruction over the tiles a, b, c into d with n elements)."""
    bodies = []
    for kind, instruction in instructions:
        loads = "\n".join(
            f"__memcpy(t.{tile}, {name}, n * sizeof(T), GDRAM2NRAM);" for tile, name in list(zip("abc", "xyz"))[:inputs]
        )
        bodies.append(
            f"if (taskId) return; typedef {kind} T; Tiles<T> t; T *a = t.a, *b = t.b, *c = t.c, *d = t.d;\n"
            f"const int n = size[0], m = size[1];\n{loads}\n{instruction};\n"
            "__memcpy(out, d, size[2], NRAM2GDRAM);"
        )
    return source_of(bodies, _PARAMETERS, head=_HEAD)


def _run(source: str, kernel: int, inputs: list[Array], n: int, m: int, result: Array) -> Array:
    padded = [*inputs, *(inputs[:1] * (3 - len(inputs)))]
    kernels(source).run(*padded, np.array([n, m, result.nbytes], np.int32), result, kernel=kernel)
    return result


def _numbers(dtype: type, n: int, seed: int) -> Array:
    random = np.random.default_rng(seed)
    values = random.normal(size=n).astype(dtype) * dtype(3)
    special = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 65504, 1e-7, 1.5, 2.5, -2.5], dtype)
    where = random.permutation(n)[: min(n // 2, len(special))]
    values[where] = special[: len(where)]
    values[random.permutation(n)[: n // 4]] = dtype(1.5)
    return values


def _check(found: Array, expected: Array, close: float = 0.0) -> None:
    if close:
        np.testing.assert_allclose(found, expected.astype(found.dtype), rtol=close, atol=0)
    else:
        np.testing.assert_array_equal(found, expected.astype(found.dtype))


def _flag(condition: Array) -> Array:
    return condition.astype(np.float32)


_BINARY: dict[str, Callable[[Array, Array], Array]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "maxequal": np.maximum, "minequal": np.minimum,
    "eq": lambda a, b: _flag(a == b), "ne": lambda a, b: _flag(a != b), "lt": lambda a, b: _flag(a < b),
    "le": lambda a, b: _flag(a <= b), "gt": lambda a, b: _flag(a > b), "ge": lambda a, b: _flag(a >= b),
    "and": lambda a, b: _flag((a != 0) & (b != 0)), "or": lambda a, b: _flag((a != 0) | (b != 0)),
    "xor": lambda a, b: _flag((a != 0) ^ (b != 0)),
}  # fmt: skip
_SCALAR = {
    "add_scalar": "add", "sub_scalar": "sub", "mul_scalar": "mul",
    "maxeq_scalar": "maxequal", "mineq_scalar": "minequal",
    "eq_scalar": "eq", "ne_scalar": "ne", "lt_scalar": "lt", "le_scalar": "le", "gt_scalar": "gt", "ge_scalar": "ge",
}  # fmt: skip
_UNARY: dict[str, Callable[[Array], Array]] = {
    "not": lambda x: _flag(x == 0), "floor": np.floor, "abs": np.abs, "active_abs": np.abs, "square": np.square,
    "recip": lambda x: 1 / x, "active_reciphp": lambda x: 1 / x, "sqrt": np.sqrt, "active_exphp": np.exp,
    "active_sigmoid": lambda x: 1 / (1 + np.exp(-x)), "active_tanh": np.tanh,
    "active_relu": lambda x: np.where(np.isnan(x), x, np.where(x > 0, x, 0)),
}  # fmt: skip
_FUSED: dict[str, Callable[[Array, Array, Array], Array]] = {
    "FMA": lambda a, b, c: a * b + c, "FMS": lambda a, b, c: a * b - c, "FAM": lambda a, b, c: (a + b) * c,
    "FAS": lambda a, b, c: a + b - c, "FSA": lambda a, b, c: a - b + c, "FSM": lambda a, b, c: (a - b) * c,
    "FSS": lambda a, b, c: a - b - c,
}  # fmt: skip


def _exact(values: Array) -> Array:
    return values.astype(np.float64)


def _cases(names: object, form: str) -> list[tuple[str, str]]:
    return [(kind, form.format(name)) for name in names for kind in _TYPES]  # type: ignore[attr-defined]


_BINARY_SOURCE = _source(_cases(_BINARY, "__bang_{}(d, a, b, n)"), 2)
_CYCLE_SOURCE = _source(_cases(_BINARY, "__memcpy(b, y, m * sizeof(T), GDRAM2NRAM); __bang_cycle_{}(d, a, b, n, m)"), 1)
_SCALAR_SOURCE = _source(_cases(_SCALAR, "__bang_{}(d, a, (T)1.5f, n)"), 1)
_UNARY_SOURCE = _source(_cases(_UNARY, "__bang_{}(d, a, n)"), 1)
_FUSED_SOURCE = _source(_cases(_FUSED, "__bang_fusion(FUSION_{}, d, a, b, c, n, n)"), 3)


@pytest.mark.parametrize("kind", list(_TYPES))
@pytest.mark.parametrize("name", list(_BINARY))
def test_binary(name: str, kind: str) -> None:
    dtype, kernel = _TYPES[kind], 2 * list(_BINARY).index(name) + list(_TYPES).index(kind)
    for n in _COUNTS:
        a, b = _numbers(dtype, n, n), _numbers(dtype, n, n + 1)
        with np.errstate(all="ignore"):
            expected = _BINARY[name](_exact(a), _exact(b)).astype(dtype)
        _check(_run(_BINARY_SOURCE, kernel, [a, b], n, 0, np.zeros(n, dtype)), expected)


@pytest.mark.parametrize("kind", list(_TYPES))
@pytest.mark.parametrize("name", list(_BINARY))
def test_cycled(name: str, kind: str) -> None:
    dtype, kernel = _TYPES[kind], 2 * list(_BINARY).index(name) + list(_TYPES).index(kind)
    for cycle, times in ((1, 9), (7, 5), (100, 10)):
        a, b = _numbers(dtype, cycle * times, 3), _numbers(dtype, cycle, 4)
        with np.errstate(all="ignore"):
            expected = _BINARY[name](_exact(a), np.tile(_exact(b), times)).astype(dtype)
        found = _run(_CYCLE_SOURCE, kernel, [a, b], cycle * times, cycle, np.zeros(cycle * times, dtype))
        _check(found, expected)


@pytest.mark.parametrize("kind", list(_TYPES))
@pytest.mark.parametrize("name", list(_SCALAR))
def test_scalar(name: str, kind: str) -> None:
    dtype, kernel = _TYPES[kind], 2 * list(_SCALAR).index(name) + list(_TYPES).index(kind)
    for n in _COUNTS:
        a = _numbers(dtype, n, n)
        with np.errstate(all="ignore"):
            expected = _BINARY[_SCALAR[name]](_exact(a), np.float64(1.5)).astype(dtype)
        _check(_run(_SCALAR_SOURCE, kernel, [a], n, 0, np.zeros(n, dtype)), expected)


@pytest.mark.parametrize("kind", list(_TYPES))
@pytest.mark.parametrize("name", list(_UNARY))
def test_unary(name: str, kind: str) -> None:
    dtype, kernel = _TYPES[kind], 2 * list(_UNARY).index(name) + list(_TYPES).index(kind)
    for n in _COUNTS:
        a = _numbers(dtype, n, n)
        with np.errstate(all="ignore"):
            expected = _UNARY[name](_exact(a)).astype(dtype)
        # A unit in the last place is left to functions that go through double.
        close = 1.2e-7 if dtype == np.float32 else 0
        _check(_run(_UNARY_SOURCE, kernel, [a], n, 0, np.zeros(n, dtype)), expected, close)


@pytest.mark.parametrize("kind", list(_TYPES))
@pytest.mark.parametrize("name", list(_FUSED))
def test_fused(name: str, kind: str) -> None:
    dtype, kernel = _TYPES[kind], 2 * list(_FUSED).index(name) + list(_TYPES).index(kind)
    for n in _COUNTS:
        a, b, c = (_numbers(dtype, n, n + seed) for seed in range(3))
        with np.errstate(all="ignore"):
            expected = _FUSED[name](_exact(a), _exact(b), _exact(c)).astype(dtype)
        # Through double, numpy may round the float results twice.
        close = 1.2e-7 if dtype == np.float32 else 1e-3
        _check(_run(_FUSED_SOURCE, kernel, [a, b, c], n, 0, np.zeros(n, dtype)), expected, close)


def test_bits() -> None:
    names = ("band", "bor", "bxor")
    cases = [("char", f"__bang_{name}(d, a, b, n)") for name in names] + [("char", "__bang_bnot(d, a, n)")]
    source = _source(cases, 2)
    random = np.random.default_rng(0)
    a, b = random.integers(-128, 128, (2, 333)).astype(np.int8)
    for kernel, expected in enumerate((a & b, a | b, a ^ b, ~a)):
        _check(_run(source, kernel, [a, b], 333, 0, np.zeros(333, np.int8)), expected)


def test_fill() -> None:
    kinds = {"float": np.float32, "half": np.float16, "int32_t": np.int32, "int16_t": np.int16, "char": np.int8}
    cases = [(kind, "__bang_write_value(d, n, (T)7)") for kind in kinds]
    cases += [(kind, "__nramset(d, n, (T)7)") for kind in kinds]
    cases += [(kind, "__bang_write_zero(d, n)") for kind in _TYPES]
    source = _source(cases, 0)
    x = np.zeros(8, np.float32)
    for kernel, dtype in enumerate([*kinds.values(), *kinds.values(), *_TYPES.values()]):
        expected = np.full(77, 7 if kernel < 10 else 0, dtype)
        _check(_run(source, kernel, [x], 77, 0, np.ones(77, dtype)), expected)


_CONVERSIONS: list[tuple[str, str, type, type, Callable[[Array], Array]]] = [
    ("half", "__bang_half2float((float *)d, a, n)", np.float16, np.float32, lambda x: x),
    ("float", "__bang_float2half_rn((half *)d, a, n)", np.float32, np.float16, lambda x: x),
    ("float", "__bang_float2int32((int *)d, a, n, 0)", np.float32, np.int32, np.trunc),
    ("float", "__bang_float2int32_tz((int *)d, a, n, 0)", np.float32, np.int32, np.trunc),
    ("float", "__bang_float2int32_rn((int *)d, a, n, 0)", np.float32, np.int32, np.rint),
    ("float", "__bang_float2int32_dn((int *)d, a, n, 0)", np.float32, np.int32, np.floor),
    ("float", "__bang_float2int32_up((int *)d, a, n, 0)", np.float32, np.int32, np.ceil),
    ("int", "__bang_int322float((float *)d, a, n, 0)", np.int32, np.float32, lambda x: x),
    ("int", "__bang_int322float_rn((float *)d, a, n, 0)", np.int32, np.float32, lambda x: x),
    ("int8_t", "__bang_int82float((float *)d, a, n, 0)", np.int8, np.float32, lambda x: x),
    ("int8_t", "__bang_int82half((half *)d, a, n, 0)", np.int8, np.float16, lambda x: x),
    ("unsigned char", "__bang_uchar2float((float *)d, a, n)", np.uint8, np.float32, lambda x: x),
    ("unsigned char", "__bang_uchar2half((half *)d, a, n)", np.uint8, np.float16, lambda x: x),
]
_CONVERSION_SOURCE = _source([(kind, text) for kind, text, *_ in _CONVERSIONS], 1)


_CONVERSION_NAMES = [text.partition("(")[0] for _, text, *_ in _CONVERSIONS]


@pytest.mark.parametrize("kernel", range(len(_CONVERSIONS)), ids=_CONVERSION_NAMES)
def test_conversion(kernel: int) -> None:
    _, _, source, target, convert = _CONVERSIONS[kernel]
    for n in _COUNTS:
        if np.issubdtype(source, np.floating):
            values = _numbers(source, n, n)
            if np.issubdtype(target, np.integer):
                values = np.nan_to_num(values * source(1000), nan=0.5, posinf=3e9, neginf=-3e9).astype(source)
        else:
            limits = np.iinfo(source)
            values = np.random.default_rng(n).integers(limits.min, limits.max, n, endpoint=True).astype(source)
        with np.errstate(all="ignore"):
            expected = convert(_exact(values))
            if np.issubdtype(target, np.integer):
                expected = np.clip(expected, np.iinfo(target).min, np.iinfo(target).max)
            expected = expected.astype(target)
        _check(_run(_CONVERSION_SOURCE, kernel, [values], n, 0, np.zeros(n, target)), expected)


def test_half_toward_zero() -> None:
    source = _source([("float", "__bang_float2half_tz((half *)d, a, n)")], 1)
    values = np.array([1.0009, -1.0009, 70000, -1e-8, 0.3, 2049], np.float32)
    found = _run(source, 0, [values], 6, 0, np.zeros(6, np.float16))
    _check(found, np.array([1.0, -1.0, 65504, -0.0, 0.2998, 2048], np.float16))


def test_halves_of_scalar_code() -> None:
    """The scalar type, over all bit patterns: through float and back, and the same rounding as the vector unit's."""
    body = """
      if (taskId) return;
      const half *from = (const half *)x;
      half *to = (half *)out;
      for (int i = 0; i < 65536; ++i) to[i] = (half)(float)from[i];
      const float *wide = (const float *)y;
      for (int i = 0; i < 4096; ++i) { half h = wide[i]; h += 1.0f; to[65536 + i] = h * (half)2 - h; }
    """
    patterns = np.arange(65536, dtype=np.uint16).view(np.float16)
    random = np.random.default_rng(0)
    wide = (random.normal(size=4096) * 10.0 ** random.integers(-8, 6, 4096)).astype(np.float32)
    found = np.zeros(65536 + 4096, np.float16)
    size = np.zeros(4, np.int32)
    kernels(source_of([body], _PARAMETERS)).run(patterns, wide, size, size, found)
    _check(found[:65536], patterns)
    with np.errstate(all="ignore"):
        halves = (wide.astype(np.float16).astype(np.float32) + 1).astype(np.float16).astype(np.float32)
        _check(found[65536:], (halves * 2 - halves).astype(np.float16))


@pytest.mark.parametrize("kind", list(_TYPES))
def test_argmax_and_argmin(kind: str) -> None:
    dtype = _TYPES[kind]
    source = _source([(kind, "__bang_argmax(d, a, n)"), (kind, "__bang_argmin(d, a, n)")], 1)
    for kernel, best in enumerate((np.argmax, np.argmin)):
        for n in _COUNTS:
            for values in (_numbers(dtype, n, n), np.random.default_rng(n).integers(0, 9, n).astype(dtype)):
                found = _run(source, kernel, [values], n, 0, np.zeros(128 // values.itemsize, dtype))
                index = int(best(values))
                _check(found[:1], values[index : index + 1])
                assert int(np.frombuffer(found.tobytes()[values.itemsize :][:4], np.uint32)[0]) == index


@pytest.mark.parametrize("kind", list(_TYPES))
@pytest.mark.parametrize(
    ("c", "h", "w", "kh", "kw", "sx", "sy"), [(16, 5, 7, 3, 2, 2, 1), (33, 4, 4, 4, 4, 1, 1), (1, 6, 5, 1, 3, 3, 2)]
)
def test_pooling(kind: str, c: int, h: int, w: int, kh: int, kw: int, sx: int, sy: int) -> None:
    dtype = _TYPES[kind]
    names = ("sumpool", "avgpool", "maxpool", "minpool")
    source = _source([(kind, f"__bang_{name}(d, a, {c}, {h}, {w}, {kh}, {kw}, {sx}, {sy})") for name in names], 1)
    values = np.random.default_rng(0).integers(-50, 50, (h, w, c)).astype(dtype)
    values[0, 0, 0] = np.nan
    windows = np.lib.stride_tricks.sliding_window_view(values.astype(np.float64), (kh, kw), axis=(0, 1))[::sy, ::sx]
    expected = (windows.sum((-2, -1)), windows.mean((-2, -1)), windows.max((-2, -1)), windows.min((-2, -1)))
    for kernel, result in enumerate(expected):
        _check(_run(source, kernel, [values], values.size, 0, np.zeros(result.shape, dtype)), result.astype(dtype))


@pytest.mark.parametrize(("kind", "dtype"), [("float", np.float32), ("half", np.float16), ("char", np.int8)])
def test_movement(kind: str, dtype: type) -> None:
    values = np.random.default_rng(0).integers(-100, 100, 64 * 48).astype(dtype)
    width = 64 // values.itemsize
    rows = 1536 // width // 64 * 64 or 64
    filters = np.resize(values, rows * width)
    source = _source([
        (kind, "__bang_transpose(d, a, 33, 21)"),
        (kind, "__bang_pad(d, a, 5, 6, 7, 1, 2, 3, 0)"),
        (kind, f"__bang_reshape_filter(d, a, {rows}, 1, 1, {width})"),
    ], 1)  # fmt: skip
    matrix = values[: 33 * 21].reshape(33, 21)
    _check(_run(source, 0, [values], 33 * 21, 0, np.zeros((21, 33), dtype)), matrix.T)
    image = values[:210].reshape(6, 7, 5)
    _check(_run(source, 1, [values], 210, 0, np.zeros((9, 10, 5), dtype)), np.pad(image, ((1, 2), (3, 0), (0, 0))))
    lanes = filters.reshape(rows // 64, 64, width).transpose(1, 0, 2)
    _check(_run(source, 2, [filters], rows * width, 0, np.zeros(lanes.shape, dtype)), lanes)


_TENSOR_HEAD = """
template <typename Out, typename In>
__mlu_func__ void product(const void *x, const void *y, const int *size, void *out) {
  if (taskId) return;
  const int m = size[0], k = size[1], n = size[2];
  In *left = (In *)mm_nram, *rows = left + 16384, *lanes = rows + 16384;
  Out *result = (Out *)(mm_nram + 262144);
  __memcpy(left, x, m * k * sizeof(In), GDRAM2NRAM);
  __memcpy(rows, y, n * k * sizeof(In), GDRAM2NRAM);
  __bang_reshape_filter(lanes, rows, n, 1, 1, k);
  __memcpy(mm_wram, lanes, n * k * sizeof(In), NRAM2WRAM);
  __bang_matmul(result, left, (In *)mm_wram, m, k, n);
  __memcpy(out, result, m * n * sizeof(Out), NRAM2GDRAM);
}
template <typename Out, typename In> __mlu_func__ void convolve(const void *x, const void *y, const int *s, void *out) {
  if (taskId) return;
  const int ci = s[0], hi = s[1], wi = s[2], hk = s[3], wk = s[4], sx = s[5], sy = s[6], co = s[7];
  In *source = (In *)mm_nram, *rows = source + 8192, *lanes = rows + 28672;
  Out *result = (Out *)(mm_nram + 262144);
  __memcpy(source, x, ci * hi * wi * sizeof(In), GDRAM2NRAM);
  __memcpy(rows, y, co * hk * wk * ci * sizeof(In), GDRAM2NRAM);
  __bang_reshape_filter(lanes, rows, co, hk, wk, ci);
  __memcpy(mm_wram, lanes, co * hk * wk * ci * sizeof(In), NRAM2WRAM);
  __bang_conv(result, source, (In *)mm_wram, ci, hi, wi, hk, wk, sx, sy, co);
  __memcpy(out, result, ((hi - hk) / sy + 1) * ((wi - wk) / sx + 1) * co * sizeof(Out), NRAM2GDRAM);
}
"""
_TENSOR_TYPES = [("float", "float"), ("float", "half"), ("half", "half")]
_TENSOR_SOURCE = source_of(
    [f"{name}<{out}, {kind}>(x, y, size, out);" for name in ("product", "convolve") for out, kind in _TENSOR_TYPES],
    _PARAMETERS, head=_TENSOR_HEAD, nram=524288, wram=262144,
)  # fmt: skip


def _tolerance(out: str) -> float:
    return 2e-6 if out == "float" else 6e-4


@pytest.mark.parametrize("types", range(3), ids=["-".join(types) for types in _TENSOR_TYPES])
@pytest.mark.parametrize(("m", "k", "n"), [(1, 32, 64), (5, 96, 128), (13, 32, 192), (100, 128, 64)])
def test_matmul(types: int, m: int, k: int, n: int) -> None:
    out, kind = _TENSOR_TYPES[types]
    random = np.random.default_rng(m)
    left, right = (random.normal(size=shape).astype(_TYPES[kind]) for shape in ((m, k), (n, k)))
    found = np.zeros((m, n), _TYPES[out])
    ran = kernels(_TENSOR_SOURCE).run(left, right, left, np.array([m, k, n], np.int32), found, kernel=types)
    expected = _exact(left) @ _exact(right).T
    scale = np.abs(_exact(left)) @ np.abs(_exact(right)).T
    assert np.all(np.abs(found - expected) <= _tolerance(out) * np.maximum(scale, np.abs(expected)))
    assert ran.counters["tensor_macs_float" if kind == "float" else "tensor_macs_half"] == m * k * n


@pytest.mark.parametrize("types", range(3), ids=["-".join(types) for types in _TENSOR_TYPES])
@pytest.mark.parametrize(
    ("ci", "hi", "wi", "hk", "wk", "sx", "sy", "co"),
    [(32, 7, 9, 3, 3, 1, 1, 64), (32, 8, 8, 2, 3, 2, 1, 64), (64, 5, 5, 1, 1, 2, 2, 128), (32, 3, 4, 3, 4, 1, 1, 64)],
)
def test_conv(types: int, ci: int, hi: int, wi: int, hk: int, wk: int, sx: int, sy: int, co: int) -> None:
    out, kind = _TENSOR_TYPES[types]
    random = np.random.default_rng(ci)
    source, filters = (random.normal(size=shape).astype(_TYPES[kind]) for shape in ((hi, wi, ci), (co, hk, wk, ci)))
    windows = np.lib.stride_tricks.sliding_window_view(_exact(source), (hk, wk), axis=(0, 1))[::sy, ::sx]
    expected = np.einsum("yxckl,oklc->yxo", windows, _exact(filters))
    scale = np.einsum("yxckl,oklc->yxo", np.abs(windows), np.abs(_exact(filters)))
    found = np.zeros(expected.shape, _TYPES[out])
    sizes = np.array([ci, hi, wi, hk, wk, sx, sy, co], np.int32)
    kernels(_TENSOR_SOURCE).run(source, filters, source, sizes, found, kernel=3 + types)
    assert np.all(np.abs(found - expected) <= _tolerance(out) * scale)


def test_products_keep_nan_and_infinity() -> None:
    left, right = np.zeros((2, 16), np.float32), np.ones((64, 16), np.float32)
    right[3, 5], right[7, 2] = np.nan, np.inf
    found = np.zeros((2, 64), np.float32)
    kernels(_TENSOR_SOURCE).run(left, right, left, np.array([2, 16, 64], np.int32), found, kernel=0)
    assert sorted(set(np.flatnonzero(np.isnan(found)) % 64)) == [3, 7]


def test_filter_that_was_reloaded_is_used() -> None:
    body = """
      if (taskId) return;
      float *left = (float *)mm_nram, *result = left + 1024, *filter = (float *)mm_wram;
      __memcpy(left, x, 64, GDRAM2NRAM);
      for (int round = 0; round < 3; ++round) {
        __memcpy(filter + 1024, y + 1024 * round, 4096, GDRAM2WRAM);
        __bang_matmul(result, left, filter + 1024, 1, 16, 64);
        __memcpy(out + round * 64, result, 256, NRAM2GDRAM);
      }
    """
    left, right = np.ones(16, np.float32), np.repeat(np.float32([1, 2, 3]), 1024)
    found = np.zeros((3, 64), np.float32)
    kernels(source_of([body], _PARAMETERS)).run(left, right, left, np.zeros(4, np.int32), found)
    assert found[:, 0].tolist() == [16, 32, 48]


@pytest.mark.parametrize("asynchronous", ["", "_async"])
def test_strided_copies(asynchronous: str) -> None:
    """Segments of 12 bytes: [4][3][2] of them from one arrangement into another, checked against numpy's views."""
    body = f"""
      if (taskId) return;
      __bang_write_value((float *)mm_nram, 4096, -1.f);
      __sync_compute();
      __memcpy{asynchronous}(mm_nram, x, 12, GDRAM2NRAM, 20, 5, 160, 3, 12, 2, 60, 7);
      __sync();
      __bang_write_value((float *)(mm_nram + 8192), 32, 0.f); __sync_compute();
      __memcpy{asynchronous}(mm_nram + 8192, mm_nram, 20, NRAM2NRAM, 24, 160, 3);
      __sync();
      __memcpy(out, mm_nram, 640, NRAM2GDRAM);
      __memcpy(out + 160, mm_nram + 8192, 92, NRAM2GDRAM);
    """
    x, found = np.arange(256, dtype=np.float32), np.zeros(184, np.float32)
    kernels(source_of([body], _PARAMETERS)).run(x, x, x, np.zeros(4, np.int32), found)
    expected = np.full(160, -1, np.float32)
    for index in range(24):
        source, target = index % 3 * 3 + index // 3 * 15, index % 6 * 5 + index // 6 * 40
        expected[target : target + 3] = x[source : source + 3]
    _check(found[:160], expected)
    for segment in range(4):
        _check(found[160 + segment * 6 :][:5], expected[segment * 40 :][:5])
