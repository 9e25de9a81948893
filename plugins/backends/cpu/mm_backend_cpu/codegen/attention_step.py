"""Attention of one query a head, as in decoding: each key and value is read once, so memory is the limit.

Heads that share keys and values are computed together, block by block of keys that stay in cache meanwhile.
"""

from __future__ import annotations

from .access import VectorAccess
from .attention_spec import Addresses, AttentionSpec
from .isa import Isa
from .kernel_source import LEAST, KernelSource, Parameters, kernel_source
from .operations import literal
from .rows import REDUCTIONS, reduce_row

_SIDE_BY_SIDE = 4  # keys whose sums run at the same time, to hide the latency of a multiply-add
_BLOCK_BYTES = 32 << 10  # of keys or values that the heads of a task read one after the other
_LEAST_TASKS = 4  # heads are kept apart where there would be fewer tasks: threads need some to share
_COLUMNS = 8  # vectors of a result in registers


def attention_step(spec: AttentionSpec, isa: Isa, parameters: Parameters) -> KernelSource:
    """The kernel of a `spec` with one query. A task is some heads with the same keys; scratch holds their scores."""
    at, c = Addresses(spec, parameters), parameters.c
    together = heads_together(spec)
    padded = -(-spec.value_size // isa.lanes) * isa.lanes
    rows = max(_SIDE_BY_SIDE, _BLOCK_BYTES // (4 * max(spec.size, spec.value_size)) // _SIDE_BY_SIDE * _SIDE_BY_SIDE)

    def exponential(tail: bool) -> str:
        load = VectorAccess().load("v", "scores", "f32", "1", tail)
        return f"{load} const mm_vf e = mm_exp(v - shift); {VectorAccess().store('scores', 'e', 'f32', tail)}"

    largest = reduce_row(
        REDUCTIONS["max"], "largest", "v", lambda tail: VectorAccess().load("v", "scores", "f32", "1", tail)
    )
    mask = at.mask("0")
    text = f"""{LEAST}
static void KERNEL_NAME_scores(
    const mm_call* call, const float* query, const float* keys, int64_t key, int64_t stop, int64_t batch, int64_t head,
    float* scores) {{
  {mask}
  for (; key + {_SIDE_BY_SIDE} <= stop; key += {_SIDE_BY_SIDE}) {{ {_scores(spec, parameters, _SIDE_BY_SIDE)} }}
  for (; key < stop; key++) {{ {_scores(spec, parameters, 1)} }}
}}

/* Scores become e^(score - maximum); the result is what they must be multiplied by. */
static float KERNEL_NAME_probabilities(float* scores, int64_t count) {{
  {largest}
  const float shift = largest == -__builtin_inff() ? 0.0f : largest;  /* no key is seen: zeros, not NaN */
  {reduce_row(REDUCTIONS["sum"], "total", "e", exponential)}
  return total == 0 ? 0.0f : 1.0f / total;
}}

static void KERNEL_NAME_values(
    const mm_call* call, const float* scores, const float* values, int64_t start, int64_t stop, float* result) {{
  {_values(spec, isa, parameters)}
}}

static void KERNEL_NAME(const mm_call* call, int64_t begin, int64_t end, void* scratch) {{
  float* all_scores = (float*)scratch;
  const int64_t all_keys = {c(spec.keys)}, count = {at.visible_keys("1")};
  for (int64_t task = begin; task < end; task++) {{
    {at.task(f"(task * {together})")}
    {at.pointer("keys", spec.key, "key_head")}
    {at.pointer("values", spec.value, "key_head")}
    float share[{together}], results[{together} * {padded}] __attribute__((aligned(64))) = {{0}};
    for (int64_t first = 0; first < count; first += {rows})
      for (int64_t h = 0; h < {together}; h++) {{
        {at.pointer("query", spec.query, "(head + h)")}
        const int64_t stop = mm_least(count, first + {rows});
        KERNEL_NAME_scores(call, query, keys, first, stop, batch, head + h, all_scores + h * all_keys);
      }}
    for (int64_t h = 0; h < {together}; h++) share[h] = KERNEL_NAME_probabilities(all_scores + h * all_keys, count);
    for (int64_t first = 0; first < count; first += {rows})
      for (int64_t h = 0; h < {together}; h++)
        KERNEL_NAME_values(call, all_scores + h * all_keys, values, first, mm_least(count, first + {rows}),
                           results + h * {padded});
    for (int64_t h = 0; h < {together}; h++) {{
      float* output = (float*)call->data[{spec.n_inputs}] + {at.offset(spec.output, "(head + h)")};
      for (int64_t d = 0; d < {spec.value_size}; d++) output[d] = results[h * {padded} + d] * share[h];
    }}
  }}
}}
"""
    return kernel_source(
        "attention",
        text,
        tasks=spec.batch * (spec.heads // together),
        scratch_bytes=4 * together * spec.keys,
        params=tuple(parameters.dims),
        note=f"one query, {together} head{'s' if together > 1 else ''} a task",
    )


def heads_together(spec: AttentionSpec) -> int:
    """Heads of one task: those that share keys and values, unless that leaves too few tasks for the threads."""
    group = spec.heads // spec.key_heads
    fitting = [size for size in range(1, group + 1) if group % size == 0 and spec.heads // size >= _LEAST_TASKS]
    return max(fitting, default=1)


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


def _values(spec: AttentionSpec, isa: Isa, parameters: Parameters) -> str:
    """C that adds the values of a block's keys, weighted by their scores, to a result."""
    vectors = -(-spec.value_size // isa.lanes)
    rest = spec.value_size % isa.lanes
    passes = []
    for first in range(0, vectors, _COLUMNS):
        columns = range(first, min(first + _COLUMNS, vectors))
        loads = {v: f"mm_load(row + {v} * MM_LANES)" for v in columns}
        if rest and vectors - 1 in columns:
            loads[vectors - 1] = f"mm_load_tail(row + {vectors - 1} * MM_LANES, {rest})"
        passes.append(f"""{{
    {" ".join(f"mm_vf r{v} = mm_load(result + {v} * MM_LANES);" for v in columns)}
    for (int64_t key = start; key < stop; key++) {{
      const float* row = values + key * {parameters.c(spec.value.row)};
      {" ".join(f"r{v} += scores[key] * {load};" for v, load in loads.items())}
    }}
    {" ".join(f"mm_store(result + {v} * MM_LANES, r{v});" for v in columns)}
  }}""")
    return "\n  ".join(passes)
