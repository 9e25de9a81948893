"""Scaled dot-product attention as one kernel: scores, mask, softmax and the product with the values stay in cache.

A task is a block of queries of one head. Scores are computed transposed, keys by queries: then only the queries' block
needs transposing, the softmax runs down the lanes without horizontal steps, and the product with the values reads the
probabilities as a matmul reads a packed panel. Keys come in blocks with a running maximum (Milakov and Gimelshein,
arXiv 1805.02867; Dao et al., arXiv 2205.14135), so scratch does not grow with the sequence.
"""

from __future__ import annotations

from dataclasses import replace

from mm_core.types import ceildiv, dim_max

from .access import store_vector
from .attention_spec import Addresses, AttentionSpec, Heads, Mask
from .attention_step import attention_step, heads_together
from .isa import Isa
from .kernel_source import KernelSource, Parameters, kernel_source
from .operations import C_TYPES, VECTOR_TYPES, literal

__all__ = ["AttentionSpec", "Heads", "Mask", "attention"]

_KEY_BLOCK = 256  # keys of a block: its scores and values stay in the second-level cache


def attention(spec: AttentionSpec, isa: Isa) -> KernelSource:
    """A kernel with `spec.n_inputs` inputs and one output. A task is a block of queries of one head.

    One query is another matter: see `attention_step`. Where running tells how many there are, the kernel does both.
    """
    parameters = Parameters()
    if spec.queries == 1:
        return attention_step(spec, isa, parameters)
    blocks = _Writer(spec, isa, parameters).kernel()
    if isinstance(spec.queries, int):
        return blocks
    step = attention_step(replace(spec, queries=1), isa, parameters)
    together = heads_together(spec)
    text = f"""{blocks.code}
{step.code}
static void KERNEL_NAME(const mm_call* call, int64_t begin, int64_t end, void* scratch) {{
  if ({parameters.c(spec.queries)} == 1)  /* then a task is one head */
    {step.symbol}(call, (begin + {together - 1}) / {together}, (end + {together - 1}) / {together}, scratch);
  else
    {blocks.symbol}(call, begin, end, scratch);
}}
"""
    return kernel_source(
        "attention",
        text,
        tasks=blocks.tasks,
        scratch_bytes=dim_max(blocks.scratch_bytes, step.scratch_bytes),
        params=tuple(parameters.dims),
        note=f"{blocks.note}; or {step.note}",
    )


class _Writer:
    """Text of the kernel for one specification and instruction set.

    Scratch holds the transposed queries, a block's scores (keys by queries), its values where they do not fill vectors,
    the results so far, and of each query the running maximum, total, correction, and what the results are at last
    multiplied by. Where one block holds all keys, results go from registers to the output.
    """

    def __init__(self, spec: AttentionSpec, isa: Isa, parameters: Parameters) -> None:
        self.spec, self.isa, self.parameters = spec, isa, parameters
        self.addresses = Addresses(spec, self.parameters)
        widest = 4 if isa.registers >= 32 else 2
        lanes, queries = isa.lanes, spec.queries
        self.vectors = min(widest, max(1, -(-queries // lanes))) if isinstance(queries, int) else widest
        self.block = self.vectors * lanes
        if isinstance(queries, int):
            counts = {-(-min(self.block, queries - q) // lanes) for q in range(0, queries, self.block)}
        else:
            counts = set(range(1, self.vectors + 1))
        self.vector_counts = sorted(counts, reverse=True)
        self.value_vectors = -(-spec.value_size // lanes)
        self.columns = min(widest, self.value_vectors)
        self.query_rows = self.tile_rows(self.columns)
        self.copy_values = spec.value_size % lanes != 0
        self.one_block = isinstance(spec.keys, int) and spec.keys <= _KEY_BLOCK

    def tile_rows(self, vectors: int) -> int:
        """Rows of a register tile of `vectors` columns: sums, a row of operands and a broadcast fill the registers."""
        return min(12, (self.isa.registers - 1) // vectors - 1)

    def kernel(self) -> KernelSource:
        spec, at, c = self.spec, self.addresses, self.parameters.c
        functions = [*map(self.scores, self.vector_counts), *map(self.probabilities, self.vector_counts), self.values()]
        padded = self.value_vectors * self.isa.lanes
        rows = self.block + self.query_rows  # the last tile of results may run over
        sizes = {
            "query": spec.size * self.block,
            "scores": _KEY_BLOCK * self.block + self.query_rows,
            "values": _KEY_BLOCK * padded if self.copy_values else 0,
            "results": 0 if self.one_block else rows * padded,
            "largest": self.block,
            "total": self.block,
            "correction": rows,
            "share": self.block,
        }
        pointers, offset = [], 0
        for name, size in sizes.items():
            pointers.append(f"float* {name} = (float*)scratch + {offset};")
            offset += -(-size // 16) * 16
        newline = "\n    "
        text = "\n".join(functions) + f"""
static void KERNEL_NAME(const mm_call* call, int64_t begin, int64_t end, void* scratch) {{
  const int64_t queries = {c(spec.queries)}, all_keys = {c(spec.keys)}, blocks = {c(ceildiv(spec.queries, self.block))};
  {(newline[:-2]).join(pointers)}
  for (int64_t task = begin; task < end; task++) {{
    const int64_t first_query = task % blocks * {self.block};
    {at.task("(task / blocks)")}
    const int64_t valid = queries - first_query < {self.block} ? queries - first_query : {self.block};
    const int64_t vectors = (valid + MM_LANES - 1) / MM_LANES;
    {at.pointer("query_rows", spec.query, "head")} query_rows += first_query * {c(spec.query.row)};
    {at.pointer("key_rows", spec.key, "key_head")}
    {at.pointer("value_rows", spec.value, "key_head")}
    float* output = (float*)call->data[{spec.n_inputs}] + {at.offset(spec.output, "head")};
    output += first_query * {c(spec.output.row)};
    {at.mask("first_query")}
    for (int64_t d = 0; d < {spec.size}; d++)
      for (int64_t q = valid; q < {self.block}; q++) query[d * {self.block} + q] = 0;
    mm_transpose(query_rows, {c(spec.query.row)}, query, {self.block}, valid, {spec.size});
    for (int64_t q = 0; q < {self.block}; q++) largest[q] = -__builtin_inff(), total[q] = 0;
    const int64_t keys = {at.visible_keys("first_query + valid")};
    for (int64_t first_key = 0; first_key < keys; first_key += {_KEY_BLOCK}) {{
      const int64_t count = keys - first_key < {_KEY_BLOCK} ? keys - first_key : {_KEY_BLOCK};
      {self.dispatch()}
      {self.value_block()}
      const int last = first_key + count >= keys;
      if (last)
        for (int64_t q = 0; q < {self.block}; q++) share[q] = total[q] == 0 ? 0.0f : 1.0f / total[q];
      KERNEL_NAME_values(
          call, scores, value_block, count, correction, valid, results, first_key == 0, last ? share : 0, output);
    }}
    if (keys <= 0)  /* zeros, as where all of them are hidden */
      for (int64_t q = 0; q < valid; q++)
        for (int64_t d = 0; d < {spec.value_size}; d++) output[q * {c(spec.output.row)} + d] = 0;
  }}
}}
"""
        return kernel_source(
            "attention",
            text,
            tasks=spec.batch * spec.heads * ceildiv(spec.queries, self.block),
            scratch_bytes=4 * offset,
            params=tuple(self.parameters.dims),
            note=f"{self.block} queries a task, tiles of {self.tile_rows(self.vectors)}x{self.vectors} and "
            f"{self.query_rows}x{self.columns}",
        )

    # ---- scores and probabilities ----

    def dispatch(self) -> str:
        mask = self.spec.mask
        at = f"mask + first_key * {self.parameters.c(mask.key)}" if mask else "0"
        calls = [
            f"if (vectors == {n}) {{ KERNEL_NAME_scores{n}(call, query, key_rows + first_key * "
            f"{self.parameters.c(self.spec.key.row)}, count, scores, correction, {at}, valid, first_query, first_key); "
            f"KERNEL_NAME_probabilities{n}(scores, count, largest, total, correction); }}"
            for n in self.vector_counts
        ]
        return "\n      else ".join(calls)

    def scores(self, vectors: int) -> str:
        """A function: scores of `count` keys, scaled and masked, and into `maximum` the largest of each query."""
        rows, mask = self.tile_rows(vectors), self.spec.mask
        c_type = C_TYPES[mask.dtype] if mask else "void"
        each = range(vectors)
        return f"""static void KERNEL_NAME_scores{vectors}(
    const mm_call* call, const float* query, const float* keys, int64_t count, float* scores, float* maximum,
    const {c_type}* mask, int64_t valid, int64_t first_query, int64_t first_key) {{
  const mm_vf hidden = mm_splat(-__builtin_inff());
  mm_vf {", ".join(f"m{c} = hidden" for c in each)};
  {self.causal_limits(vectors)}
  if (count >= {rows})
    for (int64_t step = 0; step < count; step += {rows}) {{
      const int64_t key = step + {rows} <= count ? step : count - {rows};  /* the last tile overlaps the one before */
      {self.scores_tile(rows, vectors)}
    }}
  else
    for (int64_t key = 0; key < count; key++) {{
      {self.scores_tile(1, vectors)}
    }}
  {" ".join(f"mm_store(maximum + {c} * MM_LANES, m{c});" for c in each)}
}}
"""

    def causal_limits(self, vectors: int) -> str:
        """For each lane, the last key of this block that its query may see."""
        if self.spec.causal_offset is None:
            return ""
        last = f"(int32_t)(first_query - first_key + {self.parameters.c(self.spec.causal_offset)})"
        return "\n  ".join(
            [f"mm_vi limit0; for (int lane = 0; lane < MM_LANES; lane++) limit0[lane] = {last} + lane;"]
            + [f"const mm_vi limit{c} = limit0 + {c} * MM_LANES;" for c in range(1, vectors)]
        )

    def scores_tile(self, rows: int, vectors: int) -> str:
        stride = self.parameters.c(self.spec.key.row)
        tile = [(r, c) for r in range(rows) for c in range(vectors)]
        products = "\n        ".join(
            f"{{ const mm_vf k = mm_splat(row[{r} * {stride} + d]); "
            + " ".join(f"s{r}_{c} += k * q{c};" for c in range(vectors))
            + " }"
            for r in range(rows)
        )
        finish = "\n      ".join(
            f"{{ {self.mask_lanes(r, c)} const mm_vf score = {self.masked(f's{r}_{c}', r, c)}; "
            f"m{c} = mm_max(m{c}, score); mm_store(scores + (key + {r}) * {self.block} + {c} * MM_LANES, score); }}"
            for r, c in tile
        )
        return f"""const float* row = keys + key * {stride};
      mm_vf {", ".join(f"s{r}_{c} = {{0}}" for r, c in tile)};
      for (int64_t d = 0; d < {self.spec.size}; d++) {{
        {" ".join(f"const mm_vf q{c} = mm_load(query + d * {self.block} + {c} * MM_LANES);" for c in range(vectors))}
        {products}
      }}
      {finish}"""

    def mask_lanes(self, row: int, vector: int) -> str:
        """C that defines `lanes`, the mask of one key and a vector of queries."""
        mask = self.spec.mask
        if mask is None:
            return ""
        c_type = VECTOR_TYPES[mask.dtype]
        at = f"mask[(key + {row}) * {self.parameters.c(mask.key)}"
        value = "-({}] != 0)" if mask.dtype == "i1" else "{}]"
        if mask.query == 0:
            splat = "mm_splat_i" if mask.dtype == "i1" else "mm_splat"
            return f"const {c_type} lanes = {splat}({value.format(at)});"
        first = f"{vector} * MM_LANES"
        element = value.format(f"{at} + ({first} + lane) * {self.parameters.c(mask.query)}")
        return (
            f"{c_type} lanes = {{0}}; for (int64_t lane = 0; lane < MM_LANES; lane++) "
            f"if ({first} + lane < valid) lanes[lane] = {element};"
        )

    def masked(self, score: str, row: int, vector: int) -> str:
        score = f"{score} * {literal(self.spec.scale, 'f32')}"
        if self.spec.mask is not None:
            score = f"mm_select(lanes, {score}, hidden)" if self.spec.mask.dtype == "i1" else f"{score} + lanes"
        if self.spec.causal_offset is not None:
            score = f"mm_select(mm_splat_i((int32_t)key + {row}) <= limit{vector}, {score}, hidden)"
        return score

    def probabilities(self, vectors: int) -> str:
        """A function: scores to e^(score - maximum), with the totals and what earlier results must be multiplied by."""
        vector = [f" + {c} * MM_LANES" for c in range(vectors)]
        start = "\n  ".join(
            f"""const mm_vf old{c} = mm_load(largest{at}), new{c} = mm_max(old{c}, mm_load(correction{at}));
  /* where every key so far is hidden, e^(-inf - shift) must be 0 and not NaN */
  const mm_vf shift{c} = mm_select(new{c} == -__builtin_inff(), (mm_vf){{0}}, new{c});
  const mm_vf factor{c} = mm_exp(old{c} - shift{c});
  mm_vf total{c} = mm_load(total{at}) * factor{c};"""
            for c, at in enumerate(vector)
        )
        body = "\n    ".join(
            f"const mm_vf e{c} = mm_exp(mm_load(row{at}) - shift{c}); total{c} += e{c}; mm_store(row{at}, e{c});"
            for c, at in enumerate(vector)
        )
        finish = "\n  ".join(
            f"mm_store(largest{at}, new{c}); mm_store(total{at}, total{c}); mm_store(correction{at}, factor{c});"
            for c, at in enumerate(vector)
        )
        return f"""static void KERNEL_NAME_probabilities{vectors}(
    float* scores, int64_t count, float* largest, float* total, float* correction) {{
  {start}
  for (int64_t key = 0; key < count; key++) {{
    float* row = scores + key * {self.block};
    {body}
  }}
  {finish}
}}
"""

    # ---- values ----

    def value_block(self) -> str:
        stride, padded = self.parameters.c(self.spec.value.row), self.value_vectors * self.isa.lanes
        rows = f"value_rows + first_key * {stride}"
        if not self.copy_values:
            return f"const float* value_block = {rows};"
        size, lanes = self.spec.value_size, self.isa.lanes
        whole = size // lanes * lanes
        moves = [f"mm_store(to + {k}, mm_load(from + {k}));" for k in range(0, whole, lanes)]
        if size % lanes:
            moves.append(f"mm_store(to + {whole}, mm_load_tail(from + {whole}, {size % lanes}));")
        return f"""for (int64_t key = 0; key < count; key++) {{
        const float* from = {rows} + key * {stride}; float* to = values + key * {padded};
        {" ".join(moves)}
      }}
      const float* value_block = values;"""

    def values(self) -> str:
        """A function: results = results * correction + probabilities x values, for `valid` queries. With a `share` they
        are multiplied by it and are the output."""
        starts = range(0, self.value_vectors, self.columns)
        tiles = "\n    ".join(
            self.values_tile(start, min(self.columns, self.value_vectors - start)) for start in starts
        )
        return f"""static void KERNEL_NAME_values(
    const mm_call* call, const float* scores, const float* values, int64_t count, const float* correction,
    int64_t valid, float* results, int first, const float* share, float* output) {{
  for (int64_t q = 0; q < valid; q += {self.query_rows}) {{
    {tiles}
  }}
}}
"""

    def values_tile(self, start: int, columns: int) -> str:
        spec, lanes, c = self.spec, self.isa.lanes, self.parameters.c
        padded, at = self.value_vectors * lanes, start * lanes
        step = str(padded) if self.copy_values else c(spec.value.row)
        tile = [(row, v) for row in range(self.query_rows) for v in range(columns)]
        place = {(row, v): f"results + (q + {row}) * {padded} + {at + v * lanes}" for row, v in tile}
        products = "\n        ".join(
            f"{{ const mm_vf p = mm_splat(weights[{row}]); "
            + " ".join(f"r{row}_{v} += p * v{v};" for v in range(columns))
            + " }"
            for row in range(self.query_rows)
        )
        vectors = {v: f"values + key * {step} + {at + v * lanes}" for v in range(columns)}
        loads = " ".join(f"const mm_vf v{v} = mm_load({address});" for v, address in vectors.items())
        stores = []
        for row in range(self.query_rows):
            store = []
            for v in range(columns):
                tail = min(lanes, spec.value_size - at - v * lanes)
                value = f"r{row}_{v} * mm_splat(share[q + {row}])"
                store.append(store_vector(f"to + {v * lanes}", value, "f32", "" if tail == lanes else str(tail)) + ";")
            to = f"float* to = output + (q + {row}) * {c(spec.output.row)} + {at};"
            stores.append(f"if (q + {row} < valid) {{ {to} {' '.join(store)} }}")
        finish = "\n      ".join(stores)
        if not self.one_block:
            kept = " ".join(f"mm_store({place[each]}, r{each[0]}_{each[1]});" for each in tile)
            finish = f"if (share) {{\n      {finish}\n      }} else {{ {kept} }}"
        names = " = ".join(f"r{row}_{v}" for row, v in tile)
        earlier = " ".join(f"r{row}_{v} = mm_load({place[row, v]}) * correction[q + {row}];" for row, v in tile)
        return f"""{{
      mm_vf {", ".join(f"r{row}_{v}" for row, v in tile)};
      {names} = (mm_vf){{0}};
      {"" if self.one_block else f"if (!first) {{ {earlier} }}"}
      for (int64_t key = 0; key < count; key++) {{
        const float* weights = scores + key * {self.block} + q;
        {loads}
        {products}
      }}
      {finish}
    }}"""
