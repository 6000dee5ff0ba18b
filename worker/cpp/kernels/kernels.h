// Loops over plain memory that libtorch has no fused form of, compiled once per instruction set.
//
// Nothing here knows of tensors, threads or autograd: fused.cpp hands out ranges of rows, or heads. Activations are
// float or bfloat16 (`Half`, its 16 bits); sums are always made in float, in an order that depends on the shape alone,
// so results repeat bit for bit whatever the number of threads.
#pragma once

#include <cstddef>
#include <cstdint>

namespace grid {

// bfloat16: the upper half of a float.
enum Half : uint16_t {};

// Causal attention over packed projections.
//
// They are [batch, length, (heads + 2 * kv_heads) * dim]: query heads, key heads, value heads. Query head h belongs to
// key/value head h / (heads / kv_heads). With `cosine` and `sine` [length, dim / 2] every query and key is turned
// first: numbers i and i + dim / 2 of a head are a pair (rotary positions in the half-split form).
struct Attention {
  int64_t length, heads, kv_heads, dim;
  float scale;  // of the products of queries and keys
  const float* cosine;
  const float* sine;
};

// Rows `begin` to `end` of matrices of this width.
struct Rows {
  int64_t begin, end, width;
};

// One instruction set's loops over activations of type T.
template <typename T>
struct Loops {
  // One key/value head and its query heads: number `task` of batch * kv_heads.
  // output [batch, length, heads * dim]; logsum [batch, heads, length]: log2 of the softmax's denominators.
  void (*attention)(const Attention&, int64_t task, const T* packed, T* output, float* logsum);
  // The gradient of `packed`, all of whose numbers the tasks write together.
  void (*attention_gradient)(
      const Attention&, int64_t task, const T* packed, const T* output, const float* logsum, const T* output_gradient,
      T* packed_gradient);

  // residual = x + branch, and its RMSNorm; `inverse` is 1 / root mean square of each row. Without a branch (null)
  // there is no residual to write.
  void (*add_norm)(
      Rows, const float* x, const T* branch, const float* gain, float epsilon, float* residual, T* normalised,
      float* inverse);
  // Gradient of x, which is that of the branch, too (`branch_gradient` may be null); `residual_gradient` may be null or
  // the very memory of `x_gradient`. Adds to `gain_gradient`.
  void (*add_norm_gradient)(
      Rows, const float* residual, const float* inverse, const float* gain, const T* normalised_gradient,
      const float* residual_gradient, float* x_gradient, T* branch_gradient, float* gain_gradient);

  // silu(gate) * up of rows [gate, up]; `width` is that of one of them.
  void (*swiglu)(Rows, const T* gate_up, T* inner);
  // The gradient of gate_up; it also takes its place.
  void (*swiglu_gradient)(Rows, T* gate_up, const T* inner_gradient);

  // Cross entropy of rows of logits against targets, in nats: `losses` [rows]. Of each target's probability the share
  // `smoothing` is spread evenly over the row. Unless `scale` is 0 the logits become their own gradients times
  // `scale`. `space` holds `width` floats.
  void (*cross_entropy)(
      Rows, T* logits, const int64_t* targets, float smoothing, float scale, float* losses, float* space);
};

struct Kernels {
  const char* name;
  int64_t lanes;  // floats in a vector; its double must divide `dim` and, but for the cross entropy, `width`
  Loops<float> floats;
  Loops<Half> halves;
};

// The best that this processor can run; null where there is none, and libtorch's own operations must do.
const Kernels* kernels();

}  // namespace grid
