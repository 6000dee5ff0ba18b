// Part of isa.cpp: causal attention of one head at a time, with exact softmax and without storing length x length
// numbers.
//
// All products have the form C[rows][lanes] += A[rows][depth] B[depth][lanes], in which numbers of A are broadcast, and
// rows of B and C are vectors. Queries are the lanes of the scores (`scores` is keys x queries), so that maxima and
// sums over keys are maxima and sums of vectors. In bfloat16, a 32-bit word holds two numbers that are adjacent along
// the depth, in A and in B; in float, it holds one. `Depth<T>::per_word` is that number.
#pragma once

#include "vector.h"

#include <cstdlib>
#include <new>

namespace grid {
namespace GRID_ISA {
namespace {

constexpr int GROUP = 4;                   // vectors of a row that a tile computes together
constexpr int QUERIES = GROUP * LANES;     // queries in a block, and keys in a block
constexpr int ROWS = LANES == 16 ? 6 : 3;  // rows of a tile, which has GROUP * ROWS sums in registers

template <typename T>
struct Depth;
template <>
struct Depth<float> {
  static constexpr int per_word = 1;
};
template <>
struct Depth<BFloat16> {
  static constexpr int per_word = 2;
};

INLINE Floats multiply_add(float, Floats sum, Words a, Words b) { return sum + (Floats)a * (Floats)b; }

INLINE Floats multiply_add(BFloat16, Floats sum, Words a, Words b) {
#ifdef __AVX512BF16__
  return (Floats)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
#else
  sum += (Floats)(a << 16) * (Floats)(b << 16);
  return sum + (Floats)(a & 0xffff0000) * (Floats)(b & 0xffff0000);
#endif
}

// A tile of R rows and G vectors.
template <typename T, int R, int G, bool ADD>
INLINE void tile(int64_t depth, const uint32_t* a, int64_t lda, const uint32_t* b, int64_t ldb, float* c, int64_t ldc) {
  Floats sums[R][G];
  for (int r = 0; r < R; r++)
    for (int g = 0; g < G; g++) sums[r][g] = ADD ? load(c + r * ldc + g * LANES) : Floats{};
  for (int64_t k = 0; k < depth; k++) {
    Words row[G];
    for (int g = 0; g < G; g++) row[g] = read<Words>(b + k * ldb + g * LANES);
    for (int r = 0; r < R; r++) {
      const Words one = Words{} + a[r * lda + k];
      for (int g = 0; g < G; g++) sums[r][g] = multiply_add(T(), sums[r][g], one, row[g]);
    }
  }
  for (int r = 0; r < R; r++)
    for (int g = 0; g < G; g++) store(c + r * ldc + g * LANES, sums[r][g]);
}

template <typename T, int G, bool ADD>
void columns(
    int64_t rows, int64_t depth, const uint32_t* a, int64_t lda, const uint32_t* b, int64_t ldb, float* c,
    int64_t ldc) {
  int64_t r = 0;
  for (; r + ROWS <= rows; r += ROWS) tile<T, ROWS, G, ADD>(depth, a + r * lda, lda, b, ldb, c + r * ldc, ldc);
  for (; r + 2 <= rows; r += 2) tile<T, 2, G, ADD>(depth, a + r * lda, lda, b, ldb, c + r * ldc, ldc);
  for (; r < rows; r++) tile<T, 1, G, ADD>(depth, a + r * lda, lda, b, ldb, c + r * ldc, ldc);
}

// C[rows][width] (+)= A[rows][depth words] B[depth words][width]; the width in floats is a multiple of LANES.
template <typename T, bool ADD>
void product(
    int64_t rows, int64_t width, int64_t depth, const uint32_t* a, int64_t lda, const uint32_t* b, int64_t ldb,
    float* c, int64_t ldc) {
  int64_t g = 0;
  const int64_t groups = width / LANES;
  for (; g + GROUP <= groups; g += GROUP)
    columns<T, GROUP, ADD>(rows, depth, a, lda, b + g * LANES, ldb, c + g * LANES, ldc);
  for (; g < groups; g++) columns<T, 1, ADD>(rows, depth, a, lda, b + g * LANES, ldb, c + g * LANES, ldc);
}

// to[columns][rows] = from[rows][columns] in words. Rows are read up to a multiple of LANES.
void transpose(int64_t rows, int64_t columns, const uint32_t* from, int64_t ld_from, uint32_t* to, int64_t ld_to) {
  for (int64_t r = 0; r < rows; r += LANES) {
    for (int64_t c = 0; c < columns; c += LANES) {
      Words tile[LANES];
      for (int i = 0; i < LANES; i++) tile[i] = read<Words>(from + (r + i) * ld_from + c);
      Words lane;
      for (int i = 0; i < LANES; i++) lane[i] = i;
#pragma GCC unroll 4
      for (int step = LANES / 2; step; step /= 2) {
        // Swaps the off-diagonal squares of size `step`.
        const Words in_second = lane & step;
        const Words upper = in_second ? lane - step + LANES : lane;
        const Words lower = in_second ? lane + LANES : lane + step;
#pragma GCC unroll 16
        for (int i = 0; i < LANES; i++) {
          if (i & step) continue;
          const Words first = tile[i], second = tile[i + step];
          tile[i] = __builtin_shuffle(first, second, upper);
          tile[i + step] = __builtin_shuffle(first, second, lower);
        }
      }
      for (int i = 0; i < LANES; i++) write(to + (c + i) * ld_to + r, tile[i]);
    }
  }
}

// Copies rows [rows][dim] of a head from a packed tensor, rotated by their positions if `rotate` is set, and zeros up
// to `padded` rows.
template <typename T>
void gather(
    const Attention& shape, bool rotate, int64_t first, int64_t rows, int64_t padded, const T* from, int64_t ld,
    T* to) {
  const int64_t dim = shape.dim, half = dim / 2;
  for (int64_t r = 0; r < rows; r++) {
    const T* x = from + (first + r) * ld;
    T* y = to + r * dim;
    if (rotate && shape.cosine) {
      const float* cosine = shape.cosine + (first + r) * half;
      const float* sine = shape.sine + (first + r) * half;
      for (int64_t i = 0; i < half; i += LANES) {
        const Floats low = load(x + i), high = load(x + half + i), c = load(cosine + i), s = load(sine + i);
        store(y + i, low * c - high * s);
        store(y + half + i, high * c + low * s);
      }
    } else {
      std::memcpy(y, x, dim * sizeof(T));
    }
  }
  std::memset(to + rows * dim, 0, (padded - rows) * dim * sizeof(T));
}

// The gradient of `gather`, times `scale`.
template <typename T>
void scatter(
    const Attention& shape, bool rotate, float scale, int64_t first, int64_t rows, const float* from, T* to,
    int64_t ld) {
  const int64_t dim = shape.dim, half = dim / 2;
  for (int64_t r = 0; r < rows; r++) {
    const float* x = from + r * dim;
    T* y = to + (first + r) * ld;
    if (rotate && shape.cosine) {
      const float* cosine = shape.cosine + (first + r) * half;
      const float* sine = shape.sine + (first + r) * half;
      for (int64_t i = 0; i < half; i += LANES) {
        const Floats low = load(x + i) * scale, high = load(x + half + i) * scale;
        const Floats c = load(cosine + i), s = load(sine + i);
        store(y + i, low * c + high * s);
        store(y + half + i, high * c - low * s);
      }
    } else {
      for (int64_t i = 0; i < dim; i += LANES) store(y + i, load(x + i) * scale);
    }
  }
}

// Two bfloat16 numbers in each word.
INLINE Words pair(Floats first, Floats second) {
  return __builtin_convertvector(round_to_bf16(first), Words) |
      __builtin_convertvector(round_to_bf16(second), Words) << 16;
}

// Packs adjacent rows into words: [rows][dim] -> [rows / per_word][dim] words.
const uint32_t* along_rows(int64_t, int64_t, const float* from, uint32_t*) { return (const uint32_t*)from; }

const uint32_t* along_rows(int64_t rows, int64_t dim, const BFloat16* from, uint32_t* to) {
  for (int64_t r = 0; r < rows; r += 2)
    for (int64_t i = 0; i < dim; i += LANES) {
      const Words first = __builtin_convertvector(read<Shorts>(from + r * dim + i), Words);
      const Words second = __builtin_convertvector(read<Shorts>(from + (r + 1) * dim + i), Words);
      write(to + r / 2 * dim + i, first | second << 16);
    }
  return to;
}

// Aligned memory of one task. Throws std::bad_alloc, which `guarded` turns into an out-of-memory code.
template <typename T>
struct Array {
  T* data;
  explicit Array(size_t count) : data((T*)std::aligned_alloc(64, (count * sizeof(T) + 64) & ~size_t(63))) {
    if (!data) throw std::bad_alloc();
  }
  Array(const Array&) = delete;
  ~Array() { std::free(data); }
  operator T*() const { return data; }
};

template <typename T>
const uint32_t* words(const T* numbers) {
  return (const uint32_t*)numbers;
}

// Offsets of the heads of a task.
struct Offsets {
  int64_t batch, kv_head, group, ld, padded;
  Offsets(const Attention& shape, int64_t task)
      : batch(task / shape.kv_heads),
        kv_head(task % shape.kv_heads),
        group(shape.heads / shape.kv_heads),
        ld((shape.heads + 2 * shape.kv_heads) * shape.dim),
        padded((shape.length + QUERIES - 1) / QUERIES * QUERIES) {}
  // In the packed projections.
  int64_t query(const Attention& shape, int64_t head) const { return batch * shape.length * ld + head * shape.dim; }
  int64_t key(const Attention& shape) const { return query(shape, shape.heads + kv_head); }
  int64_t value(const Attention& shape) const { return query(shape, shape.heads + shape.kv_heads + kv_head); }
  // In the output.
  int64_t output(const Attention& shape, int64_t head) const {
    return (batch * shape.length * shape.heads + head) * shape.dim;
  }
  // In the logarithms of the softmax denominators.
  int64_t logsum(const Attention& shape, int64_t head) const { return (batch * shape.heads + head) * shape.length; }
};

// Excludes keys that come after the query.
INLINE Floats masked(Floats score, int64_t key, int64_t first_query) {
  Ints query;
  for (int i = 0; i < LANES; i++) query[i] = i;
  return query < (int32_t)(key - first_query) ? splat(-__builtin_inff()) : score;
}

// Replaces scores [keys][QUERIES] by exponentials; the keys from `diagonal` on are at the positions of the queries. In
// bfloat16, two rows become one row of words. `sums` are the denominators of the softmax; `logs` are the logarithms
// (base 2) of what each exponential is divided by, including the shift by the maximum.
template <typename T>
void softmax(int64_t keys, int64_t diagonal, float factor, float* scores, float* sums, float* logs) {
  for (int g = 0; g < GROUP; g++) {
    float* column = scores + g * LANES;
    Floats highest[2] = {splat(-__builtin_inff()), splat(-__builtin_inff())};
    for (int64_t n = 0; n < diagonal; n += 2)
      for (int i = 0; i < 2; i++) highest[i] = maximum(load(column + (n + i) * QUERIES), highest[i]);
    for (int64_t n = diagonal; n < keys; n++) {
      const Floats score = masked(load(column + n * QUERIES), n, diagonal + g * LANES);
      store(column + n * QUERIES, score);
      highest[0] = maximum(score, highest[0]);
    }
    const Floats most = maximum(highest[0], highest[1]) * factor;
    Floats total[2] = {Floats{}, Floats{}};
    for (int64_t n = 0; n < keys; n += 2) {
      const Floats first = exp2(load(column + n * QUERIES) * factor - most);
      const Floats second = exp2(load(column + (n + 1) * QUERIES) * factor - most);
      total[0] += first;
      total[1] += second;
      if (Depth<T>::per_word == 1) {
        store(column + n * QUERIES, first);
        store(column + (n + 1) * QUERIES, second);
      } else {
        write(column + n / 2 * QUERIES, pair(first, second));
      }
    }
    const Floats all = total[0] + total[1];
    store(sums + g * LANES, all);
    for (int i = 0; i < LANES; i++) logs[g * LANES + i] = most[i] + __builtin_log2f(all[i]);
  }
}

template <typename T>
void attention(const Attention& shape, int64_t task, const T* qkv, T* output, float* logsum) {
  constexpr int PER_WORD = Depth<T>::per_word;
  const Offsets at(shape, task);
  const int64_t length = shape.length, dim = shape.dim, padded = at.padded;
  const Array<T> rows(padded * dim);
  const Array<uint32_t> paired(padded * dim);
  const Array<uint32_t> values(padded * dim);  // [dim][padded / PER_WORD]
  gather(shape, false, 0, length, padded, qkv + at.value(shape), at.ld, rows.data);
  transpose(padded / PER_WORD, dim, along_rows(padded, dim, rows, paired), dim, values, padded / PER_WORD);
  gather(shape, true, 0, length, padded, qkv + at.key(shape), at.ld, rows.data);
  const uint32_t* keys = words(rows.data);  // [padded][dim / PER_WORD]

  const Array<T> query_rows(QUERIES * dim);
  const Array<uint32_t> queries(QUERIES * dim);  // [dim / PER_WORD][QUERIES]
  const Array<float> scores(padded * QUERIES);
  const Array<float> across(dim * QUERIES), mixed(QUERIES * dim);
  float sums[QUERIES], logs[QUERIES];
  for (int64_t head = at.kv_head * at.group; head < (at.kv_head + 1) * at.group; head++) {
    for (int64_t first = 0; first < length; first += QUERIES) {
      const int64_t count = length - first < QUERIES ? length - first : QUERIES, seen = first + QUERIES;
      gather(shape, true, first, count, QUERIES, qkv + at.query(shape, head), at.ld, query_rows.data);
      transpose(QUERIES, dim / PER_WORD, words(query_rows.data), dim / PER_WORD, queries, QUERIES);
      product<T, false>(seen, QUERIES, dim / PER_WORD, keys, dim / PER_WORD, queries, QUERIES, scores, QUERIES);
      softmax<T>(seen, first, shape.scale * LOG2_E, scores, sums, logs);
      product<T, false>(
          dim, QUERIES, seen / PER_WORD, values, padded / PER_WORD, words(scores.data), QUERIES, across, QUERIES);
      for (int g = 0; g < GROUP; g++) {
        const Floats share = 1.0f / load(sums + g * LANES);
        for (int64_t d = 0; d < dim; d++) {
          float* place = across + d * QUERIES + g * LANES;
          store(place, load(place) * share);
        }
      }
      transpose(dim, QUERIES, words(across.data), QUERIES, (uint32_t*)mixed.data, dim);
      scatter(shape, false, 1, first, count, mixed.data, output + at.output(shape, head), shape.heads * dim);
      std::memcpy(logsum + at.logsum(shape, head) + first, logs, count * sizeof(float));
    }
  }
}

template <typename T>
void attention_gradient(
    const Attention& shape, int64_t task, const T* qkv, const T* output, const float* logsum, const T* output_gradient,
    T* qkv_gradient) {
  constexpr int PER_WORD = Depth<T>::per_word;
  const Offsets at(shape, task);
  const int64_t length = shape.length, dim = shape.dim, padded = at.padded, ld_output = shape.heads * dim;
  const Array<T> key_rows(padded * dim), value_rows(padded * dim);
  const Array<uint32_t> paired(padded * dim);
  const Array<uint32_t> keys(padded * dim);  // [dim][padded / PER_WORD]
  gather(shape, true, 0, length, padded, qkv + at.key(shape), at.ld, key_rows.data);
  gather(shape, false, 0, length, padded, qkv + at.value(shape), at.ld, value_rows.data);
  transpose(padded / PER_WORD, dim, along_rows(padded, dim, key_rows, paired), dim, keys, padded / PER_WORD);

  const Array<float> key_gradient(padded * dim), value_gradient(padded * dim);
  std::memset(key_gradient, 0, padded * dim * sizeof(float));
  std::memset(value_gradient, 0, padded * dim * sizeof(float));
  // For a block of queries: rows [QUERIES][dim], words along the width [dim / PER_WORD][QUERIES] and along the rows.
  const Array<T> query_rows(QUERIES * dim), mixed_rows(QUERIES * dim);
  const Array<uint32_t> queries(QUERIES * dim), gradients(QUERIES * dim);
  const Array<uint32_t> query_pairs(QUERIES * dim), gradient_pairs(QUERIES * dim);
  const Array<float> across(dim * QUERIES), query_gradient(QUERIES * dim);
  // For a block of keys: [QUERIES keys][QUERIES].
  const Array<float> scores(QUERIES * QUERIES), slopes(QUERIES * QUERIES);
  const Array<T> share_rows(QUERIES * QUERIES), slope_rows(QUERIES * QUERIES);
  float deltas[QUERIES], logs[QUERIES];
  const float factor = shape.scale * LOG2_E;

  for (int64_t head = at.kv_head * at.group; head < (at.kv_head + 1) * at.group; head++) {
    for (int64_t first = 0; first < length; first += QUERIES) {
      const int64_t count = length - first < QUERIES ? length - first : QUERIES, seen = first + QUERIES;
      const int64_t wide = dim / PER_WORD;
      gather(shape, true, first, count, QUERIES, qkv + at.query(shape, head), at.ld, query_rows.data);
      transpose(QUERIES, wide, words(query_rows.data), wide, queries, QUERIES);
      const uint32_t* query_words = along_rows(QUERIES, dim, query_rows, query_pairs);

      std::memset(logs, 0, sizeof logs);
      std::memset(deltas, 0, sizeof deltas);
      std::memcpy(logs, logsum + at.logsum(shape, head) + first, count * sizeof(float));
      for (int64_t q = 0; q < count; q++) {
        const int64_t row = at.output(shape, head) + (first + q) * ld_output;
        Floats dot = Floats{};
        for (int64_t i = 0; i < dim; i += LANES) dot += load(output + row + i) * load(output_gradient + row + i);
        deltas[q] = sum(dot);
      }
      gather(shape, false, first, count, QUERIES, output_gradient + at.output(shape, head), ld_output, mixed_rows.data);
      transpose(QUERIES, wide, words(mixed_rows.data), wide, gradients, QUERIES);
      const uint32_t* gradient_words = along_rows(QUERIES, dim, mixed_rows, gradient_pairs);

      std::memset(across, 0, dim * QUERIES * sizeof(float));
      for (int64_t key = 0; key < seen; key += QUERIES) {
        product<T, false>(QUERIES, QUERIES, wide, words(key_rows + key * dim), wide, queries, QUERIES, scores, QUERIES);
        product<T, false>(
            QUERIES, QUERIES, wide, words(value_rows + key * dim), wide, gradients, QUERIES, slopes, QUERIES);
        for (int g = 0; g < GROUP; g++) {
          const Floats log = load(logs + g * LANES), delta = load(deltas + g * LANES);
          for (int64_t n = 0; n < QUERIES; n += 2) {
            Floats share[2], slope[2];
            for (int i = 0; i < 2; i++) {
              const int64_t place = (n + i) * QUERIES + g * LANES;
              Floats score = load(scores + place);
              if (key == first) score = masked(score, n + i, g * LANES);
              share[i] = exp2(score * factor - log);
              slope[i] = share[i] * (load(slopes + place) - delta);
              store(share_rows + place, share[i]);
              store(slope_rows + place, slope[i]);
            }
            if (PER_WORD == 2) write(slopes + n / 2 * QUERIES + g * LANES, pair(slope[0], slope[1]));
          }
        }
        const int64_t deep = QUERIES / PER_WORD;
        product<T, true>(
            QUERIES, dim, deep, words(share_rows.data), deep, gradient_words, dim, value_gradient + key * dim, dim);
        product<T, true>(
            QUERIES, dim, deep, words(slope_rows.data), deep, query_words, dim, key_gradient + key * dim, dim);
        product<T, true>(
            dim, QUERIES, deep, keys + key / PER_WORD, padded / PER_WORD,
            PER_WORD == 2 ? words(slopes.data) : words(slope_rows.data), QUERIES, across, QUERIES);
      }
      transpose(dim, QUERIES, words(across.data), QUERIES, (uint32_t*)query_gradient.data, dim);
      scatter(shape, true, shape.scale, first, count, query_gradient.data, qkv_gradient + at.query(shape, head), at.ld);
    }
  }
  scatter(shape, true, shape.scale, 0, length, key_gradient.data, qkv_gradient + at.key(shape), at.ld);
  scatter(shape, false, 1, 0, length, value_gradient.data, qkv_gradient + at.value(shape), at.ld);
}

}  // namespace
}  // namespace GRID_ISA
}  // namespace grid
