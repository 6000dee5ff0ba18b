// Part of isa.cpp: the loops of generation, forward only.
//
// Each number of a result is computed by the same instructions in the same order, whatever the other rows, the number
// of rows and the number of threads are: sums are sequential along the depth, one multiply-add after the other, and
// rows are lanes or separate accumulators that never mix. The multiply-adds are explicit, so that the compiler cannot
// choose for one size of a tile to round the products.
#include "attention.h"
#include "rows.h"

namespace grid {
namespace GRID_ISA {
namespace {

INLINE Floats fused_multiply_add(Floats a, Floats b, Floats sum) {
#ifdef __AVX512F__
  return (Floats)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)sum);
#else
  return (Floats)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)sum);
#endif
}

INLINE Floats exact_multiply_add(float, Floats sum, Words a, Words b) {
  return fused_multiply_add((Floats)a, (Floats)b, sum);
}

INLINE Floats exact_multiply_add(BFloat16, Floats sum, Words a, Words b) {
#ifdef __AVX512BF16__
  return (Floats)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
#else
  sum = fused_multiply_add((Floats)(a << 16), (Floats)(b << 16), sum);
  return fused_multiply_add((Floats)(a & 0xffff0000), (Floats)(b & 0xffff0000), sum);
#endif
}

// C[R rows][G vectors] = A[R rows][depth words] B[depth words][G vectors].
template <typename T, int R, int G>
INLINE void exact_tile(
    int64_t depth, const uint32_t* a, int64_t lda, const uint32_t* b, int64_t ldb, float* c, int64_t ldc) {
  Floats sums[R][G] = {};
  for (int64_t k = 0; k < depth; k++) {
    Words row[G];
    for (int g = 0; g < G; g++) row[g] = read<Words>(b + k * ldb + g * LANES);
    for (int r = 0; r < R; r++) {
      const Words one = Words{} + a[r * lda + k];
      for (int g = 0; g < G; g++) sums[r][g] = exact_multiply_add(T(), sums[r][g], one, row[g]);
    }
  }
  for (int r = 0; r < R; r++)
    for (int g = 0; g < G; g++) store(c + r * ldc + g * LANES, sums[r][g]);
}

template <typename T, int G>
void exact_product(
    int64_t rows, int64_t depth, const uint32_t* a, int64_t lda, const uint32_t* b, int64_t ldb, float* c,
    int64_t ldc) {
  constexpr int R = G == 1 ? LANES == 16 ? 16 : 12 : (LANES == 16 ? 24 : 12) / G;  // sums in registers
  int64_t r = 0;
  for (; r + R <= rows; r += R) exact_tile<T, R, G>(depth, a + r * lda, lda, b, ldb, c + r * ldc, ldc);
  for (; r < rows; r++) exact_tile<T, 1, G>(depth, a + r * lda, lda, b, ldb, c + r * ldc, ldc);
}

// Transposes up to QUERIES rows of this width into words: [width / per_word][QUERIES]; the other lanes are 0.
template <typename T>
void to_lanes(int64_t rows, int64_t width, const T* x, uint32_t* lanes) {
  const int64_t depth = width / Depth<T>::per_word;
  if (rows == QUERIES) return transpose(QUERIES, depth, words(x), depth, lanes, QUERIES);
  const Array<T> padded(QUERIES * width);
  std::memcpy(padded, x, rows * width * sizeof(T));
  std::memset(padded + rows * width, 0, (QUERIES - rows) * width * sizeof(T));
  transpose(QUERIES, depth, words(padded.data), depth, lanes, QUERIES);
}

template <typename T>
void linear(
    const Linear& shape, int64_t first, int64_t count, const uint32_t* lanes, const T* weight, const float* bias,
    T* y) {
  constexpr int64_t CHUNK = Linear::CHUNK;
  const int64_t depth = shape.inputs / Depth<T>::per_word;
  float across[CHUNK * QUERIES], rows[QUERIES * CHUNK];
  const uint32_t* a = words(weight + first * shape.inputs);
  switch ((shape.rows + LANES - 1) / LANES) {
    case 1:
      exact_product<T, 1>(count, depth, a, depth, lanes, QUERIES, across, QUERIES);
      break;
    case 2:
      exact_product<T, 2>(count, depth, a, depth, lanes, QUERIES, across, QUERIES);
      break;
    case 3:
      exact_product<T, 3>(count, depth, a, depth, lanes, QUERIES, across, QUERIES);
      break;
    default:
      exact_product<T, 4>(count, depth, a, depth, lanes, QUERIES, across, QUERIES);
  }
  transpose(CHUNK, (shape.rows + LANES - 1) / LANES * LANES, words(across), QUERIES, (uint32_t*)rows, CHUNK);
  float added[CHUNK] = {};
  if (bias) std::memcpy(added, bias + first, count * sizeof(float));
  for (int64_t r = 0; r < shape.rows; r++) {
    T* to = y + r * shape.outputs + first;
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES) store(to + i, load(rows + r * CHUNK + i) + load(added + i));
    if (i == count) continue;
    T rest[LANES];
    store(rest, load(rows + r * CHUNK + i) + load(added + i));
    std::memcpy(to + i, rest, (count - i) * sizeof(T));
  }
}

// A head of one token, as floats.
template <typename T>
void gather_token(const Attention& shape, bool rotate, const T* from, float* to) {
  const Array<T> row(shape.dim);
  gather(shape, rotate, 0, 1, 1, from, shape.dim, row.data);
  for (int64_t i = 0; i < shape.dim; i += LANES) store(to + i, load(row + i));
}

template <typename T>
void store_text(const Attention& shape, int64_t task, const T* qkv, int64_t capacity, float* keys, float* values) {
  const Offsets at(shape, task);
  const int64_t length = shape.length, dim = shape.dim;
  const Array<T> rows(at.padded * dim);
  const Array<float> floats(at.padded * dim);
  gather(shape, true, 0, length, at.padded, qkv + at.key(shape), at.ld, rows.data);
  for (int64_t i = 0; i < at.padded * dim; i += LANES) store(floats + i, load(rows + i));
  transpose(at.padded, dim, words(floats.data), dim, (uint32_t*)keys + task * dim * capacity, capacity);
  const T* value = qkv + at.value(shape);
  for (int64_t n = 0; n < length; n++)
    for (int64_t i = 0; i < dim; i += LANES)
      store(values + (task * capacity + n) * dim + i, load(value + n * at.ld + i));
}

// Replaces the scores of `length` keys by the weights of a softmax, and those after them, up to a whole block, by 0.
void softmax_weights(int64_t length, float factor, float* scores) {
  const int64_t padded = (length + QUERIES - 1) / QUERIES * QUERIES;
  for (int64_t n = length; n < padded; n++) scores[n] = -__builtin_inff();
  Floats highest = splat(-__builtin_inff());
  for (int64_t n = 0; n < padded; n += LANES) highest = maximum(load(scores + n), highest);
  float most = highest[0];
  for (int i = 1; i < LANES; i++) most = highest[i] > most ? highest[i] : most;
  Floats total = Floats{};
  for (int64_t n = 0; n < padded; n += LANES) {
    const Floats weight = exp2((load(scores + n) - most) * factor);
    total += weight;
    store(scores + n, weight);
  }
  const Floats share = splat(1.0f / sum(total));
  for (int64_t n = 0; n < padded; n += LANES) store(scores + n, load(scores + n) * share);
}

template <typename T>
void cached_attention(
    const Attention& shape, int64_t task, const T* qkv, const int64_t* positions, int64_t capacity, float* keys,
    float* values, T* output) {
  const Offsets at(shape, task);
  const int64_t dim = shape.dim, position = positions[at.batch], length = position + 1;
  const int64_t padded = (length + QUERIES - 1) / QUERIES * QUERIES;
  Attention token = shape;
  if (shape.cosine) {
    token.cosine += position * (dim / 2);
    token.sine += position * (dim / 2);
  }
  keys += task * dim * capacity;
  values += task * capacity * dim;
  const Array<float> key(dim), queries(at.group * dim), scores(at.group * padded), mixed(dim);
  gather_token(token, true, qkv + at.key(shape), key.data);
  for (int64_t i = 0; i < dim; i++) keys[i * capacity + position] = key[i];
  gather_token(token, false, qkv + at.value(shape), values + position * dim);
  for (int64_t q = 0; q < at.group; q++)
    gather_token(token, true, qkv + at.query(shape, at.kv_head * at.group + q), queries + q * dim);
  for (int64_t n = 0; n < padded; n += QUERIES)
    for (int64_t q = 0; q < at.group; q++)
      exact_tile<float, 1, GROUP>(
          dim, words(queries + q * dim), dim, words(keys + n), capacity, scores + q * padded + n, QUERIES);
  for (int64_t q = 0; q < at.group; q++) {
    float* weights = scores + q * padded;
    softmax_weights(length, shape.scale * LOG2_E, weights);
    int64_t i = 0;
    for (; i + GROUP * LANES <= dim; i += GROUP * LANES)
      exact_tile<float, 1, GROUP>(length, words(weights), 0, words(values + i), dim, mixed + i, dim);
    for (; i < dim; i += LANES)
      exact_tile<float, 1, 1>(length, words(weights), 0, words(values + i), dim, mixed + i, dim);
    T* to = output + at.output(shape, at.kv_head * at.group + q);
    for (i = 0; i < dim; i += LANES) store(to + i, load(mixed + i));
  }
}

// In its tanh form: x sigmoid(2 sqrt(2 / pi) (x + 0.044715 x³)).
template <typename T>
void gelu(int64_t begin, int64_t end, const T* x, T* y) {
  for (int64_t i = begin; i < end; i += LANES) {
    const Floats v = load(x + i);
    const Floats cubic = fused_multiply_add(v * v, v * 0.044715f, v);
    store(y + i, v * sigmoid(cubic * 1.5957691216057308f));
  }
}

}  // namespace
}  // namespace GRID_ISA
}  // namespace grid
