// Operations of generation for CPU tensors: the loops of kernels/generation.h. No gradients are computed.
//
// Widths must be multiples of twice `grid_fused_lanes`, as in fused.cpp.
#include "fused.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>

namespace {

using grid::Linear;

// The number of tasks that one thread takes at least, so that each thread has more to do than it costs to wake it.
int64_t grain(int64_t instructions) { return std::max<int64_t>(1, 20000 / std::max<int64_t>(1, instructions)); }

Tensor linear_rows(const Tensor& given, const Tensor& weight, const Tensor& bias) {
  const Tensor x = given.contiguous();
  const int64_t inputs = x.size(-1), outputs = weight.size(0), rows = x.numel() / inputs;
  TORCH_CHECK(
      weight.dim() == 2 && weight.size(1) == inputs && weight.is_contiguous() && weight.is_cpu() &&
          weight.scalar_type() == x.scalar_type(),
      "the weight does not match the input of a linear layer");
  TORCH_CHECK(
      !bias.defined() || (bias.numel() == outputs && bias.is_contiguous() && bias.scalar_type() == at::kFloat),
      "the bias does not match the weight of a linear layer");
  auto sizes = x.sizes().vec();
  sizes.back() = outputs;
  const Tensor y = at::empty(sizes, x.options());
  with_loops(x.scalar_type(), [&](const auto& loops, auto number) {
    using T = decltype(number);
    const int64_t block = grid::kernels()->block, lanes = grid::kernels()->lanes;
    const int64_t depth = inputs * static_cast<int64_t>(sizeof(T)) / 4;  // in words
    const int64_t blocks = (rows + block - 1) / block, chunks = (outputs + Linear::CHUNK - 1) / Linear::CHUNK;
    const Tensor lane_words = at::empty({blocks, depth, block}, x.options().dtype(at::kInt));
    const auto words_of = [&](int64_t b) { return data<uint32_t>(lane_words) + b * depth * block; };
    const auto rows_of = [&](int64_t b) { return std::min(block, rows - b * block); };
    at::parallel_for(0, blocks, 4, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; b++)
        loops.to_lanes(rows_of(b), inputs, read_only<T>(x) + b * block * inputs, words_of(b));
    });
    const int64_t vectors = (std::min(rows, block) + lanes - 1) / lanes;
    at::parallel_for(0, blocks * chunks, grain(depth * vectors * Linear::CHUNK), [&](int64_t begin, int64_t end) {
      for (int64_t task = begin; task < end; task++) {
        const int64_t b = task / chunks, first = task % chunks * Linear::CHUNK;
        const int64_t count = std::min<int64_t>(Linear::CHUNK, outputs - first);
        loops.linear(
            {rows_of(b), inputs, outputs}, first, count, words_of(b), read_only<T>(weight), read_only<float>(bias),
            data<T>(y) + b * block * outputs);
      }
    });
  });
  return y;
}

// The first `batch` slots of a cache must have the shapes [batch, kv_heads, dim, capacity] and [batch, kv_heads,
// capacity, dim].
void check_cache(const grid::Attention& shape, int64_t batch, const Tensor& keys, const Tensor& values) {
  const int64_t capacity = keys.size(3);
  TORCH_CHECK(
      keys.is_contiguous() && values.is_contiguous() && keys.scalar_type() == at::kFloat &&
          values.scalar_type() == at::kFloat && keys.size(0) >= batch && values.size(0) == keys.size(0) &&
          keys.size(1) == shape.kv_heads && values.size(1) == shape.kv_heads && keys.size(2) == shape.dim &&
          values.size(2) == capacity && values.size(3) == shape.dim && capacity % grid::kernels()->block == 0,
      "the cache does not match the packed projections");
}

void store_texts(
    const Tensor& given, int64_t heads, int64_t kv_heads, const Tensor& cosine, const Tensor& sine, int64_t first,
    const Tensor& all_keys, const Tensor& all_values) {
  const Tensor packed = given.contiguous();
  const int64_t batch = packed.size(0);
  const Tensor keys = all_keys.narrow(0, first, batch), values = all_values.narrow(0, first, batch);
  with_loops(packed.scalar_type(), [&](const auto& loops, auto number) {
    using T = decltype(number);
    const auto shape = attention_shape(packed, packed.size(1), heads, kv_heads, cosine, sine);
    check_cache(shape, batch, keys, values);
    TORCH_CHECK(shape.length <= keys.size(3), "the texts do not fit into the cache");
    at::parallel_for(0, batch * kv_heads, grain(shape.length * shape.dim), [&](int64_t begin, int64_t end) {
      for (int64_t task = begin; task < end; task++)
        loops.store_text(shape, task, read_only<T>(packed), keys.size(3), data<float>(keys), data<float>(values));
    });
  });
}

Tensor cached_attention(
    const Tensor& given, int64_t heads, int64_t kv_heads, const Tensor& cosine, const Tensor& sine,
    const Tensor& positions, int64_t longest, const Tensor& keys, const Tensor& values) {
  const Tensor packed = given.contiguous();
  const int64_t batch = packed.size(0);
  TORCH_CHECK(packed.size(1) == 1, "a step has one token for each text");
  TORCH_CHECK(
      positions.numel() == batch && positions.is_contiguous() && positions.scalar_type() == at::kLong &&
          longest <= keys.size(3) && (positions < longest).all().item<bool>(),
      "the positions do not match the cache");
  return with_loops(packed.scalar_type(), [&](const auto& loops, auto number) {
    using T = decltype(number);
    const auto shape = attention_shape(packed, longest, heads, kv_heads, cosine, sine);
    grid::Attention token = shape;
    token.length = 1;
    check_cache(token, batch, keys, values);
    const Tensor output = at::empty({batch, 1, heads * shape.dim}, packed.options());
    at::parallel_for(0, batch * kv_heads, grain(longest * shape.dim / 4), [&](int64_t begin, int64_t end) {
      for (int64_t task = begin; task < end; task++)
        loops.cached_attention(
            token, task, read_only<T>(packed), read_only<int64_t>(positions), keys.size(3), data<float>(keys),
            data<float>(values), data<T>(output));
    });
    return output;
  });
}

Tensor tanh_gelu(const Tensor& given) {
  const Tensor x = given.contiguous(), y = at::empty_like(x);
  with_loops(x.scalar_type(), [&](const auto& loops, auto number) {
    using T = decltype(number);
    constexpr int64_t PART = 4096;  // numbers of one task
    const int64_t count = x.numel();
    at::parallel_for(0, (count + PART - 1) / PART, 4, [&](int64_t begin, int64_t end) {
      loops.gelu(begin * PART, std::min(count, end * PART), read_only<T>(x), data<T>(y));
    });
  });
  return y;
}

Tensor defined(Handle tensor) { return tensor ? *tensor : Tensor(); }

}  // namespace

extern "C" {

// x [.., inputs] @ weight[outputs, inputs].T + bias: of the kind of x, which is that of the weight. The bias is float,
// or null.
int grid_linear(Handle x, Handle weight, Handle bias, Handle* y) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    *y = new Tensor(linear_rows(*x, *weight, defined(bias)));
  });
}

// Stores the keys and values of new texts, packed [batch, seq, ..], in the slots of a layer's cache from `first` on.
int grid_store_texts(
    Handle packed, int64_t heads, int64_t kv_heads, Handle cosine, Handle sine, int64_t first, Handle keys,
    Handle values) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    store_texts(*packed, heads, kv_heads, defined(cosine), defined(sine), first, *keys, *values);
  });
}

// Attention of one more token of each text, packed [batch, 1, ..], at `positions` [batch] int64, all below `longest`.
int grid_cached_attention(
    Handle packed, int64_t heads, int64_t kv_heads, Handle cosine, Handle sine, Handle positions, int64_t longest,
    Handle keys, Handle values, Handle* output) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    *output = new Tensor(cached_attention(
        *packed, heads, kv_heads, defined(cosine), defined(sine), *positions, longest, *keys, *values));
  });
}

int grid_gelu(Handle x, Handle* y) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    *y = new Tensor(tanh_gelu(*x));
  });
}

}  // extern "C"
