// Loops over plain memory for which libtorch has no fused operation, compiled once for each instruction set.
//
// This code does not deal with tensors, threads or autograd: fused.cpp passes ranges of rows, or heads. Activations are
// float or bfloat16 (`BFloat16` holds the 16 bits). Sums are always computed in float, in an order that depends on the
// shape alone, so results are the same bit for bit for any number of threads.
#pragma once

#include <cstddef>
#include <cstdint>

namespace grid {

// The upper 16 bits of a float.
enum BFloat16 : uint16_t {};

// The shape of causal attention over packed projections.
//
// The projections are [batch, length, (heads + 2 * kv_heads) * dim]: query heads, key heads, value heads. Query head h
// uses key/value head h / (heads / kv_heads). If `cosine` and `sine` [length, dim / 2] are given, queries and keys are
// rotated first: elements i and i + dim / 2 of a head are a pair (rotary positions in the half-split form).
struct Attention {
  int64_t length, heads, kv_heads, dim;
  float scale;  // a factor of the products of queries and keys
  const float* cosine;
  const float* sine;
};

// Rows `begin` to `end` of matrices of this width.
struct Rows {
  int64_t begin, end, width;
};

// A linear layer of a block of at most `Kernels::block` rows: [rows, inputs] -> [rows, outputs].
struct Linear {
  static constexpr int64_t CHUNK = 48;  // outputs that are computed together
  int64_t rows, inputs, outputs;
};

// A number for each row: `common` times the factor of the row, or `common` for every row if there are no factors
// (null).
struct PerRow {
  float common;
  const float* factors;
};

// The loops of one instruction set over activations of type T.
template <typename T>
struct Loops {
  // Attention of one key/value head and its query heads: `task` is its number out of batch * kv_heads.
  // output [batch, length, heads * dim]; logsum [batch, heads, length]: log2 of the denominators of the softmax.
  void (*attention)(const Attention&, int64_t task, const T* packed, T* output, float* logsum);
  // The gradient of `packed`. All tasks together write all of it.
  void (*attention_gradient)(
      const Attention&, int64_t task, const T* packed, const T* output, const float* logsum, const T* output_gradient,
      T* packed_gradient);

  // residual = x + branch, and its RMSNorm; `inverse` is 1 / root mean square of each row. Without a branch (null), no
  // residual is written.
  void (*add_norm)(
      Rows, const float* x, const T* branch, const float* gain, float epsilon, float* residual, T* normalized,
      float* inverse);
  // The gradient of x, which is also that of the branch (`branch_gradient` may be null). `residual_gradient` may be
  // null or the same memory as `x_gradient`. Adds to `gain_gradient`.
  void (*add_norm_gradient)(
      Rows, const float* residual, const float* inverse, const float* gain, const T* normalized_gradient,
      const float* residual_gradient, float* x_gradient, T* branch_gradient, float* gain_gradient);

  // silu(gate) * up for rows [gate, up]; `width` is the width of each of the two.
  void (*swiglu)(Rows, const T* gate_up, T* inner);
  // The gradient of gate_up, which it overwrites.
  void (*swiglu_gradient)(Rows, T* gate_up, const T* inner_gradient);

  // The cross entropy of rows of logits against targets, in nats: `losses` [rows]. The share `smoothing` of each
  // target's probability is spread evenly over the row. Unless the common scale is 0, the gradients of the logits times
  // `scale` overwrite the logits. `space` has room for `width` floats.
  void (*cross_entropy)(
      Rows, T* logits, const int64_t* targets, PerRow smoothing, PerRow scale, float* losses, float* space);

  // For generation: results of a row do not depend on the other rows or on their number, bit for bit.

  // The input of `linear`: a block of rows [rows, width] with a lane for each row; words [width / numbers per word,
  // block].
  void (*to_lanes)(int64_t rows, int64_t width, const T* x, uint32_t* lanes);
  // The outputs `first` to `first + count` (at most CHUNK) of x @ weight.T + bias; weight [outputs, inputs]; the bias
  // may be null.
  void (*linear)(
      const Linear&, int64_t first, int64_t count, const uint32_t* lanes, const T* weight, const float* bias, T* y);
  // Stores the rotated keys [dim, capacity] and values [capacity, dim] of one key/value head of one text, whose number
  // out of batch * kv_heads is `task`. The capacity is a multiple of `block`.
  void (*store_text)(const Attention&, int64_t task, const T* packed, int64_t capacity, float* keys, float* values);
  // Attention of one more token of a text (length 1) at its position, whose key and value are stored like those before.
  void (*cached_attention)(
      const Attention&, int64_t task, const T* packed, const int64_t* positions, int64_t capacity, float* keys,
      float* values, T* output);
  // GELU in its tanh form of the numbers `begin` to `end`, both multiples of `lanes`.
  void (*gelu)(int64_t begin, int64_t end, const T* x, T* y);
};

struct Kernels {
  const char* name;  // of the instruction set
  int64_t lanes;     // floats in a vector; twice of it must divide `dim` and, except for the cross entropy, `width`
  int64_t block;     // rows that `linear` processes together
  Loops<float> float32;
  Loops<BFloat16> bfloat16;
};

// The best kernels that this processor can run; null if it can run none, so that libtorch's operations must be used.
const Kernels* kernels();

}  // namespace grid
