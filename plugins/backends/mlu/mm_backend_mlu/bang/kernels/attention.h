// Attention: softmax(Q x K^T * scale + mask) x V for each head, without ever storing the scores.
//
// Q is [batch][heads][rows][size], K [batch][key_heads][keys][size], V [batch][key_heads][keys][value_size]; heads /
// key_heads neighbouring heads share one of K and V. A mask is added (float, or T) or says which keys take part (bool), and
// broadcasts; `causal` lets row i see keys up to i + offset. A row that sees no key gives zeros.
//
// Loop nest     for batch, head, tile of rows (dealt to the tasks), for tile of keys
// Softmax       running: maxima and sums of the keys so far; results so far are scaled when a maximum grows (arXiv 1805.02867)
// Memories      NRAM: Q, K, V and mask tiles in two slots; K and V arranged for WRAM; scores, weights, results in float
//               WRAM: a tile of K, a tile of V
// Precision     products in float, softmax in float; weights are rounded to T before they multiply V, and summed up as they are
//               then, so that rounding does not change what they add up to.
// Pipeline      load tiles | both products and the softmax | store after the last tile of keys.
#ifndef MM_KERNELS_ATTENTION_H_
#define MM_KERNELS_ATTENTION_H_

#include "rows.h"

namespace mm {

// Elements from one batch, head and row to the next; elements of a row are neighbours.
struct HeadSteps {
  int64_t batch, head, row;
};

struct AttentionShape {
  int batch, heads, key_heads, rows, keys, size, value_size;
  HeadSteps q, k, v, y, mask;
  int causal, offset;
  float scale;
  int tile_r, tile_s;  // tile_s: keys in a tile, a multiple of 64
};

struct NoMask {
  typedef float Element;
  static constexpr bool kExists = false;
};
template <typename T>
struct AddedMask {
  typedef T Element;
  static constexpr bool kExists = true;
};
struct KeepingMask {
  typedef unsigned char Element;
  static constexpr bool kExists = true;
};

// Scores of keys that a mask excludes become minus infinity: the smaller of a score and a bound that is infinite, of the
// sign of (value - 1/2), where value is 1 for keys that take part and 0 for others.
__mlu_func__ void exclude(float *scores, float *bounds, int n, int cycle) {
  __bang_sub_scalar(bounds, bounds, 0.5f, cycle);
  __bang_mul_scalar(bounds, bounds, INFINITY, cycle);
  __bang_cycle_minequal(scores, scores, bounds, n, cycle);
}
__mlu_func__ void apply_mask(float *scores, float *mask, float *, int n, int cycle) {
  __bang_cycle_add(scores, scores, mask, n, cycle);
}
__mlu_func__ void apply_mask(float *scores, half *mask, float *wide, int n, int cycle) {
  __bang_half2float(wide, mask, cycle);
  __bang_cycle_add(scores, scores, wide, n, cycle);
}
__mlu_func__ void apply_mask(float *scores, unsigned char *mask, float *wide, int n, int cycle) {
  __bang_uchar2float(wide, mask, cycle);
  exclude(scores, wide, n, cycle);
}

template <typename T, typename Mask>
struct Attention {
  typedef typename Mask::Element MaskElement;

  AttentionShape shape;
  const T *q;
  const T *k;
  const T *v;
  const MaskElement *mask;
  T *y;

  int key_tiles, row_tiles, depth, lanes;
  T *queries[2], *keys[2], *values[2], *results[2], *turned, *arranged, *weights, *keys_wram, *values_wram;
  MaskElement *masks[2];
  float *scores, *bounds, *sum, *partial, *room, *places;
  float *maxima, *old_maxima, *totals, *row_sums;

  struct Place {
    int unit, key_tile, batch, head, key_head, row, rows, key, keys;
  };

  __mlu_device__ void prepare(char *nram, char *wram) {
    key_tiles = divide_up(shape.keys, shape.tile_s);
    row_tiles = divide_up(shape.rows, shape.tile_r);
    depth = round_up(shape.size, kTensorBytes / (int)sizeof(T));
    lanes = round_up(shape.value_size, kLanes);
    const int widest = maximum(depth, lanes), score_count = shape.tile_r * shape.tile_s;
    Carver on_chip = {nram}, in_wram = {wram};
    for (int slot = 0; slot < 2; ++slot) {
      queries[slot] = on_chip.take<T>(shape.tile_r * depth);
      keys[slot] = on_chip.take<T>(shape.tile_s * depth);
      values[slot] = on_chip.take<T>(shape.tile_s * lanes);
      results[slot] = on_chip.take<T>(shape.tile_r * lanes);
      masks[slot] = on_chip.take<MaskElement>(Mask::kExists ? score_count : 0);
    }
    turned = on_chip.take<T>(shape.tile_s * lanes);
    arranged = on_chip.take<T>(shape.tile_s * widest);
    weights = on_chip.take<T>(score_count);
    scores = on_chip.take<float>(score_count);
    bounds = on_chip.take<float>(score_count);
    sum = on_chip.take<float>(shape.tile_r * lanes);
    partial = on_chip.take<float>(shape.tile_r * lanes);
    room = on_chip.take<float>(fold_room(shape.tile_r));
    places = on_chip.take<float>(shape.tile_s);
    maxima = on_chip.take<float>(shape.tile_r);
    old_maxima = on_chip.take<float>(shape.tile_r);
    totals = on_chip.take<float>(shape.tile_r);
    row_sums = on_chip.take<float>(shape.tile_r);
    keys_wram = in_wram.take<T>(shape.tile_s * depth);
    values_wram = in_wram.take<T>(shape.tile_s * lanes);
    for (int i = 0; i < shape.tile_s; ++i) places[i] = (float)i;
  }

  __mlu_device__ Place place(int step) const {
    Place at;
    at.unit = step / key_tiles;
    at.key_tile = step % key_tiles;
    at.row = at.unit % row_tiles * shape.tile_r;
    at.head = at.unit / row_tiles % shape.heads;
    at.batch = at.unit / row_tiles / shape.heads;
    at.key_head = at.head / (shape.heads / shape.key_heads);
    at.rows = minimum(shape.tile_r, shape.rows - at.row);
    at.key = at.key_tile * shape.tile_s;
    at.keys = minimum(shape.tile_s, shape.keys - at.key);
    return at;
  }

  // Rows of a head in a tile of `room` rows with whole `pitch`; zeros where there is nothing to copy.
  __mlu_device__ void load_head(T *tile, const T *source, int count, int room, int columns, int pitch, int64_t step) {
    if (count < room || columns < pitch) fill(tile, room * pitch, (T)0);
    load_rows(tile, source, count, columns, pitch, step);
  }

  __mlu_device__ void load(int step) {
    const Place at = place(step);
    const int slot = step % 2;
    if (at.key_tile == 0) {
      const T *source = q + at.batch * shape.q.batch + at.head * shape.q.head + at.row * shape.q.row;
      load_head(queries[at.unit % 2], source, at.rows, at.rows, shape.size, depth, shape.q.row);
    }
    const T *key = k + at.batch * shape.k.batch + at.key_head * shape.k.head + at.key * shape.k.row;
    const T *value = v + at.batch * shape.v.batch + at.key_head * shape.v.head + at.key * shape.v.row;
    load_head(keys[slot], key, at.keys, shape.tile_s, shape.size, depth, shape.k.row);
    load_head(values[slot], value, at.keys, shape.tile_s, shape.value_size, lanes, shape.v.row);
    if (Mask::kExists) {
      const MaskElement *source =
          mask + at.batch * shape.mask.batch + at.head * shape.mask.head + at.row * shape.mask.row + at.key;
      const int rows = mask_rows(at);
      if (at.keys < shape.tile_s) fill_mask(masks[slot], rows * shape.tile_s);
      load_rows(masks[slot], source, rows, at.keys, shape.tile_s, shape.mask.row);
    }
  }

  // A mask that is the same for all rows is one row.
  __mlu_device__ int mask_rows(const Place &at) const { return shape.mask.row == 0 ? 1 : at.rows; }
  __mlu_device__ void fill_mask(unsigned char *tile, int count) const { fill((char *)tile, count, (char)0); }
  template <typename M>
  __mlu_device__ void fill_mask(M *tile, int count) const { fill(tile, count, (M)0); }

  __mlu_device__ void compute(int step) {
    const Place at = place(step);
    multiply_by_keys(at, step % 2);
    if (Mask::kExists) {
      const int cycle = mask_rows(at) * shape.tile_s;
      apply_mask(scores, masks[step % 2], bounds, at.rows * shape.tile_s, cycle);
    }
    hide_keys(at);
    weigh(at);
    multiply_by_values(at, step % 2);
    if (at.key_tile == key_tiles - 1) finish(at);
  }

  __mlu_device__ void multiply_by_keys(const Place &at, int slot) {
    __bang_reshape_filter(arranged, keys[slot], shape.tile_s, 1, 1, depth);
    __sync_compute();
    __memcpy_async(keys_wram, arranged, shape.tile_s * depth * (int)sizeof(T), NRAM2WRAM);
    __sync_move();
    __bang_matmul(scores, queries[at.unit % 2], keys_wram, at.rows, depth, shape.tile_s);
    __bang_mul_scalar(scores, scores, shape.scale, at.rows * shape.tile_s);
  }

  // Keys that do not exist, and with `causal` those that come after a row.
  __mlu_device__ void hide_keys(const Place &at) {
    if (at.keys < shape.tile_s) {
      __bang_lt_scalar(bounds, places, (float)at.keys, shape.tile_s);
      exclude(scores, bounds, at.rows * shape.tile_s, shape.tile_s);
    }
    if (!shape.causal) return;
    for (int r = 0; r < at.rows; ++r) {
      const int last = at.row + r + shape.offset - at.key;
      if (last >= shape.tile_s - 1) continue;
      __bang_le_scalar(bounds, places, (float)last, shape.tile_s);
      exclude(scores + r * shape.tile_s, bounds, shape.tile_s, shape.tile_s);
    }
  }

  // Scores become weights relative to the running maxima; what was summed up so far is scaled to them.
  __mlu_device__ void weigh(const Place &at) {
    const int count = at.rows * shape.tile_s;
    const bool is_first = at.key_tile == 0;
    if (is_first) {
      __bang_write_value(old_maxima, at.rows, -FLT_MAX);
      __bang_write_value(totals, at.rows, 0.0f);
    }
    fold_rows<MaximumOfRows>(maxima, scores, at.rows, shape.tile_s, room);
    __bang_maxequal(maxima, maxima, old_maxima, at.rows);
    __sync_compute();
    for (int r = 0; r < at.rows; ++r) {
      __bang_sub_scalar(scores + r * shape.tile_s, scores + r * shape.tile_s, maxima[r], shape.tile_s);
    }
    __bang_active_exphp(scores, scores, count);
    narrow(weights, scores, count);
    fold_rows<SumOfRows>(row_sums, widen(weights, scores, count), at.rows, shape.tile_s, room);
    __bang_sub(old_maxima, old_maxima, maxima, at.rows);
    __bang_active_exphp(old_maxima, old_maxima, at.rows);
    __bang_mul(totals, totals, old_maxima, at.rows);
    __bang_add(totals, totals, row_sums, at.rows);
    __sync_compute();
    if (!is_first) {
      for (int r = 0; r < at.rows; ++r) __bang_mul_scalar(sum + r * lanes, sum + r * lanes, old_maxima[r], lanes);
    }
    __bang_maxequal(old_maxima, maxima, maxima, at.rows);
  }

  __mlu_device__ void multiply_by_values(const Place &at, int slot) {
    __bang_transpose(turned, values[slot], shape.tile_s, lanes);
    __bang_reshape_filter(arranged, turned, lanes, 1, 1, shape.tile_s);
    __sync_compute();
    __memcpy_async(values_wram, arranged, lanes * shape.tile_s * (int)sizeof(T), NRAM2WRAM);
    __sync_move();
    const bool is_first = at.key_tile == 0;
    __bang_matmul(is_first ? sum : partial, weights, values_wram, at.rows, shape.tile_s, lanes);
    if (!is_first) __bang_add(sum, sum, partial, at.rows * lanes);
  }

  __mlu_device__ void finish(const Place &at) {
    __sync_compute();
    for (int r = 0; r < at.rows; ++r) {
      const float total = totals[r];
      __bang_mul_scalar(sum + r * lanes, sum + r * lanes, total == 0.0f ? 0.0f : 1.0f / total, lanes);
    }
    narrow(results[at.unit % 2], sum, at.rows * lanes);
  }

  __mlu_device__ void store(int step) {
    const Place at = place(step);
    if (at.key_tile < key_tiles - 1) return;
    T *place = y + at.batch * shape.y.batch + at.head * shape.y.head + at.row * shape.y.row;
    store_rows(place, results[at.unit % 2], at.rows, shape.value_size, lanes, shape.y.row);
  }
};

template <typename T, typename Mask>
__mlu_func__ void attention(const AttentionShape &shape, const T *q, const T *k, const T *v,
                            const typename Mask::Element *mask, T *y, char *nram, char *wram) {
  Attention<T, Mask> kernel;
  kernel.shape = shape;
  kernel.q = q;
  kernel.k = k;
  kernel.v = v;
  kernel.mask = mask;
  kernel.y = y;
  kernel.prepare(nram, wram);
  const Share share = task_share(shape.batch * shape.heads * kernel.row_tiles);
  run_pipeline(kernel, share.begin * kernel.key_tiles, share.end * kernel.key_tiles);
}

}  // namespace mm

#endif  // MM_KERNELS_ATTENTION_H_
