// What fused.cpp and generation.cpp share: access to the loops of kernels/ and to the memory of tensors.
#pragma once

#include "ffi.h"
#include "kernels/kernels.h"

#include <ATen/Parallel.h>

#include <cmath>

namespace {

using at::Tensor;

// Calls the body with the loops for activations of this type, and a number of the type that the loops use.
template <typename Body>
auto with_loops(at::ScalarType kind, Body body) {
  const grid::Kernels* kernels = grid::kernels();
  TORCH_CHECK(kernels, "this processor has no fused operations");
  if (kind == at::kBFloat16) return body(kernels->bfloat16, grid::BFloat16());
  TORCH_CHECK(kind == at::kFloat, "fused operations are for float32 and bfloat16, not ", kind);
  return body(kernels->float32, float());
}

template <typename T>
T* data(const Tensor& tensor) {
  return static_cast<T*>(tensor.data_ptr());
}

template <typename T>
const T* read_only(const Tensor& tensor) {
  return tensor.defined() ? static_cast<const T*>(tensor.const_data_ptr()) : nullptr;
}

// `positions` is the number of angles that are needed.
inline grid::Attention attention_shape(
    const Tensor& packed, int64_t positions, int64_t heads, int64_t kv_heads, const Tensor& cosine,
    const Tensor& sine) {
  const int64_t dim = packed.size(2) / (heads + 2 * kv_heads);
  TORCH_CHECK(
      packed.size(2) == (heads + 2 * kv_heads) * dim, "the width of the packed projections does not match the heads");
  TORCH_CHECK(
      !cosine.defined() || (cosine.numel() >= positions * dim / 2 && cosine.is_contiguous() && sine.is_contiguous()),
      "the angles do not match the packed projections");
  const float scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(dim)));
  return {packed.size(1), heads, kv_heads, dim, scale, read_only<float>(cosine), read_only<float>(sine)};
}

}  // namespace
