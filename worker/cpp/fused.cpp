// Fused operations for CPU tensors: the loops of kernels/ and their gradients, as autograd functions.
//
// Widths must be multiples of twice `grid_fused_lanes`; the Rust side has an implementation in libtorch's operations
// for everything else. A second backward pass over the same graph is refused, because some gradients overwrite what was
// saved for them.
#include "fused.h"

#include <torch/csrc/autograd/custom_function.h>

namespace {

using OptionalTensor = std::optional<Tensor>;  // the type that autograd functions require
using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::Variable;
using torch::autograd::variable_list;

// The number of rows that one thread processes at a time, and that a partial sum covers.
constexpr int64_t ROWS = 64;

// Calls the body for each block of ROWS rows, in parallel.
template <typename Body>
void over_rows(int64_t rows, int64_t width, Body body) {
  at::parallel_for(0, (rows + ROWS - 1) / ROWS, 1, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; block++)
      body(grid::Rows{block * ROWS, std::min(rows, (block + 1) * ROWS), width}, block);
  });
}

// Refuses a second backward pass over what the first one has overwritten.
void check_first_use(AutogradContext* context) {
  TORCH_CHECK(!context->saved_data.count("used"), "a fused operation allows a single backward pass");
  context->saved_data["used"] = true;
}

struct CausalAttention : Function<CausalAttention> {
  static Tensor forward(
      AutogradContext* context, const Tensor& given, int64_t heads, int64_t kv_heads, const OptionalTensor& cosines,
      const OptionalTensor& sines) {
    const Tensor packed = given.contiguous(), cosine = cosines.value_or(Tensor()), sine = sines.value_or(Tensor());
    const auto shape = attention_shape(packed, packed.size(1), heads, kv_heads, cosine, sine);
    const int64_t batch = packed.size(0);
    const Tensor output = at::empty({batch, shape.length, heads * shape.dim}, packed.options());
    const Tensor logsum = at::empty({batch, heads, shape.length}, packed.options().dtype(at::kFloat));
    with_loops(packed.scalar_type(), [&](const auto& loops, auto number) {
      using T = decltype(number);
      at::parallel_for(0, batch * kv_heads, 1, [&](int64_t begin, int64_t end) {
        for (int64_t task = begin; task < end; task++)
          loops.attention(shape, task, read_only<T>(packed), data<T>(output), data<float>(logsum));
      });
    });
    context->save_for_backward({packed, output, logsum, cosine, sine});
    context->saved_data["heads"] = heads;
    context->saved_data["kv_heads"] = kv_heads;
    return output;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const Tensor &packed = saved[0], &output = saved[1], &logsum = saved[2];
    const int64_t heads = context->saved_data["heads"].toInt(), kv_heads = context->saved_data["kv_heads"].toInt();
    const auto shape = attention_shape(packed, packed.size(1), heads, kv_heads, saved[3], saved[4]);
    const Tensor output_gradient = gradients[0].contiguous();
    const Tensor gradient = at::empty_like(packed);
    with_loops(packed.scalar_type(), [&](const auto& loops, auto number) {
      using T = decltype(number);
      at::parallel_for(0, packed.size(0) * kv_heads, 1, [&](int64_t begin, int64_t end) {
        for (int64_t task = begin; task < end; task++)
          loops.attention_gradient(
              shape, task, read_only<T>(packed), read_only<T>(output), read_only<float>(logsum),
              read_only<T>(output_gradient), data<T>(gradient));
      });
    });
    return {gradient, Variable(), Variable(), Variable(), Variable()};
  }
};

struct AddNorm : Function<AddNorm> {
  // Returns the residual (only if there is a branch) and the normalized result.
  static variable_list forward(
      AutogradContext* context, const Tensor& given, const OptionalTensor& branched, const Tensor& gain, double epsilon,
      at::ScalarType kind) {
    const Tensor x = given.contiguous(), branch = branched.value_or(Tensor());
    const int64_t width = x.size(-1), rows = x.numel() / width;
    const Tensor added = branch.defined() ? branch.contiguous() : branch;
    const Tensor residual = branch.defined() ? at::empty_like(x) : x;
    const Tensor normalized = at::empty(x.sizes(), x.options().dtype(kind));
    const Tensor inverse = at::empty({rows}, x.options());
    TORCH_CHECK(!branch.defined() || branch.scalar_type() == kind, "the branch is of another type than the result");
    with_loops(kind, [&](const auto& loops, auto number) {
      using T = decltype(number);
      over_rows(rows, width, [&](grid::Rows some, int64_t) {
        loops.add_norm(
            some, read_only<float>(x), read_only<T>(added), read_only<float>(gain), static_cast<float>(epsilon),
            branch.defined() ? data<float>(residual) : nullptr, data<T>(normalized), data<float>(inverse));
      });
    });
    context->save_for_backward({residual, inverse, gain});
    context->saved_data["branch"] = branch.defined();
    context->set_materialize_grads(false);
    if (!branch.defined()) return {normalized};
    return {residual, normalized};
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    check_first_use(context);
    const auto saved = context->get_saved_variables();
    const Tensor &residual = saved[0], &inverse = saved[1], &gain = saved[2];
    const bool branch = context->saved_data["branch"].toBool();
    const Tensor passed = branch && gradients[0].defined() ? gradients[0].contiguous() : Tensor();
    const Tensor normalized_gradient = gradients[branch ? 1 : 0].contiguous();
    const int64_t width = residual.size(-1), rows = residual.numel() / width;
    // The gradient of the residual is not needed any more, so that of x overwrites it.
    const Tensor x_gradient = passed.defined() ? passed : at::empty_like(residual);
    const bool bf16 = normalized_gradient.scalar_type() == at::kBFloat16;
    const Tensor branch_gradient = branch && bf16 ? at::empty_like(normalized_gradient) : Tensor();
    const Tensor partial = at::zeros({(rows + ROWS - 1) / ROWS, width}, residual.options());
    with_loops(normalized_gradient.scalar_type(), [&](const auto& loops, auto number) {
      using T = decltype(number);
      over_rows(rows, width, [&](grid::Rows some, int64_t block) {
        loops.add_norm_gradient(
            some, read_only<float>(residual), read_only<float>(inverse), read_only<float>(gain),
            read_only<T>(normalized_gradient), read_only<float>(passed), data<float>(x_gradient),
            branch_gradient.defined() ? data<T>(branch_gradient) : nullptr, data<float>(partial) + block * width);
      });
    });
    const Tensor of_branch = !branch ? Tensor() : bf16 ? branch_gradient : x_gradient;
    return {x_gradient, of_branch, partial.sum(0), Variable(), Variable()};
  }
};

struct SwiGlu : Function<SwiGlu> {
  static Tensor forward(AutogradContext* context, const Tensor& given) {
    const Tensor gate_up = given.contiguous();
    const int64_t width = gate_up.size(-1) / 2, rows = gate_up.numel() / (2 * width);
    auto sizes = gate_up.sizes().vec();
    sizes.back() = width;
    const Tensor inner = at::empty(sizes, gate_up.options());
    with_loops(gate_up.scalar_type(), [&](const auto& loops, auto number) {
      using T = decltype(number);
      over_rows(
          rows, width, [&](grid::Rows some, int64_t) { loops.swiglu(some, read_only<T>(gate_up), data<T>(inner)); });
    });
    context->save_for_backward({gate_up});
    return inner;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    check_first_use(context);
    const Tensor gate_up = context->get_saved_variables()[0], inner_gradient = gradients[0].contiguous();
    const int64_t width = gate_up.size(-1) / 2;
    with_loops(gate_up.scalar_type(), [&](const auto& loops, auto number) {
      using T = decltype(number);
      over_rows(gate_up.numel() / (2 * width), width, [&](grid::Rows some, int64_t) {
        loops.swiglu_gradient(some, data<T>(gate_up), read_only<T>(inner_gradient));
      });
    });
    return {gate_up.detach()};
  }
};

}  // namespace

extern "C" {

// The number of floats in a vector of the fused operations, twice of which must divide widths. 0 where there are none.
int64_t grid_fused_lanes() { return grid::kernels() ? grid::kernels()->lanes : 0; }

// The name of the instruction set of the fused operations; null where there are none.
const char* grid_instruction_set() { return grid::kernels() ? grid::kernels()->name : nullptr; }

int grid_causal_attention(Handle packed, int64_t heads, int64_t kv_heads, Handle cosine, Handle sine, Handle* output) {
  return guarded([&] {
    *output = new Tensor(CausalAttention::apply(*packed, heads, kv_heads, optional(cosine), optional(sine)));
  });
}

int grid_add_norm(
    Handle x, Handle branch, Handle gain, double epsilon, int bf16, Handle* residual, Handle* normalized) {
  return guarded([&] {
    const auto kind = bf16 ? at::kBFloat16 : at::kFloat;
    auto results = AddNorm::apply(*x, optional(branch), *gain, epsilon, kind);
    if (branch) *residual = new Tensor(results[0]);
    *normalized = new Tensor(results.back());
  });
}

int grid_swiglu(Handle gate_up, Handle* inner) {
  return guarded([&] { *inner = new Tensor(SwiGlu::apply(*gate_up)); });
}

}  // extern "C"
