"""Attention of one query a head, as in decoding: each key and value is read once, so memory is the limit."""

from __future__ import annotations

from .access import VectorAccess
from .attention_spec import Addresses, AttentionSpec
from .kernel_source import KernelSource, Parameters, kernel_source
from .operations import literal
from .rows import REDUCTIONS, reduce_row

_SIDE_BY_SIDE = 4  # keys whose sums run at the same time, to hide the latency of a multiply-add


def attention_step(spec: AttentionSpec) -> KernelSource:
    """The kernel of a `spec` with one query. A task is one head; scratch holds its scores."""
    parameters = Parameters()
    at, c = Addresses(spec, parameters), parameters.c

    def exponential(tail: bool) -> str:
        load = VectorAccess().load("v", "scores", "f32", "1", tail)
        return f"{load} const mm_vf e = mm_exp(v - shift); {VectorAccess().store('scores', 'e', 'f32', tail)}"

    largest = reduce_row(
        REDUCTIONS["max"], "largest", "v", lambda tail: VectorAccess().load("v", "scores", "f32", "1", tail)
    )
    text = f"""static void KERNEL_NAME(const mm_call* call, int64_t begin, int64_t end, void* scratch) {{
  float* scores = (float*)scratch;
  const int64_t all_keys = {c(spec.keys)}, count = {at.visible_keys("1")};
  for (int64_t task = begin; task < end; task++) {{
    {at.task("task")}
    {at.pointer("query", spec.query, "head")}
    {at.pointer("keys", spec.key, "key_head")}
    {at.pointer("values", spec.value, "key_head")}
    float* output = (float*)call->data[{spec.n_inputs}] + {at.offset(spec.output, "head")};
    {at.mask("0")}
    int64_t key = 0;
    for (; key + {_SIDE_BY_SIDE} <= count; key += {_SIDE_BY_SIDE}) {{ {_scores(spec, parameters, _SIDE_BY_SIDE)} }}
    for (; key < count; key++) {{ {_scores(spec, parameters, 1)} }}
    {largest}
    const float shift = largest == -__builtin_inff() ? 0.0f : largest;  /* no key is seen: zeros, not NaN */
    {reduce_row(REDUCTIONS["sum"], "total", "e", exponential)}
    const float share = total == 0 ? 0.0f : 1.0f / total;
    int64_t column = 0;
    for (; column + MM_LANES <= {spec.value_size}; column += MM_LANES) {{ {_column(spec, parameters, False)} }}
    if (column < {spec.value_size}) {{ {_column(spec, parameters, True)} }}
  }}
}}
"""
    return kernel_source(
        "attention",
        text,
        tasks=spec.batch * spec.heads,
        scratch_bytes=4 * spec.keys,
        params=tuple(parameters.dims),
        note="one query a task",
    )


def _scores(spec: AttentionSpec, parameters: Parameters, keys: int) -> str:
    """C of the scores of `keys` keys from `key` on."""
    each, stride = range(keys), parameters.c(spec.key.row)
    whole = f"mm_load(keys + (key + {{0}}) * {stride} + d)"
    rest = f"mm_load_tail(keys + (key + {{0}}) * {stride} + d, {spec.size} - d)"
    products = [" ".join(f"s{k} += q * {load.format(k)};" for k in each) for load in (whole, rest)]
    stores = []
    for k in each:
        score = f"mm_lanes_sum(s{k}) * {literal(spec.scale, 'f32')}"
        if spec.mask is not None:
            element = f"mask[(key + {k}) * {parameters.c(spec.mask.key)}]"
            score = f"({element} ? {score} : -__builtin_inff())" if spec.mask.dtype == "i1" else f"{score} + {element}"
        stores.append(f"scores[key + {k}] = {score};")
    return f"""mm_vf {", ".join(f"s{k} = {{0}}" for k in each)};
      int64_t d = 0;
      for (; d + MM_LANES <= {spec.size}; d += MM_LANES) {{ const mm_vf q = mm_load(query + d); {products[0]} }}
      if (d < {spec.size}) {{ const mm_vf q = mm_load_tail(query + d, {spec.size} - d); {products[1]} }}
      {" ".join(stores)}"""


def _column(spec: AttentionSpec, parameters: Parameters, tail: bool) -> str:
    """C of one vector of the result: the values' columns weighted by the scores."""
    row = f"values + (key + {{0}}) * {parameters.c(spec.value.row)} + column"
    load = f"mm_load_tail({row}, {spec.value_size} - column)" if tail else f"mm_load({row})"
    each = range(_SIDE_BY_SIDE)
    result = f"({' + '.join(f'r{k}' for k in each)}) * share"
    store = f"mm_store_tail(output + column, {result}, {spec.value_size} - column);"
    return f"""mm_vf {", ".join(f"r{k} = {{0}}" for k in each)};
      int64_t key = 0;
      for (; key + {_SIDE_BY_SIDE} <= count; key += {_SIDE_BY_SIDE}) {{
        {" ".join(f"r{k} += scores[key + {k}] * {load.format(k)};" for k in each)}
      }}
      for (; key < count; key++) r0 += scores[key] * {load.format(0)};
      {store if tail else f"mm_store(output + column, {result});"}"""
