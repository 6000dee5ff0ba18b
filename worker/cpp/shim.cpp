// A thin C interface to functions of libtorch that the Rust binding does not expose; ffi.h has the conventions.
//
// Includes only headers of ATen and c10, which compile three times faster than torch/torch.h.
#include "ffi.h"
#include "kernels/kernels.h"

#include <ATen/Context.h>
#include <ATen/DeviceAccelerator.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <ATen/core/grad_mode.h>
#include <torch/version.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

static_assert(
    TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR == 11 && TORCH_VERSION_PATCH == 0,
    "these are not the headers of libtorch 2.11.0: run `make libtorch`");

std::string& last_error() {
  static thread_local std::string message;
  return message;
}

namespace {

std::vector<at::Tensor> tensors_of(const Handle* handles, size_t count) {
  std::vector<at::Tensor> result;
  result.reserve(count);
  for (size_t i = 0; i < count; i++) result.push_back(*handles[i]);
  return result;
}

std::vector<at::Tensor> gradients(const Handle* parameters, size_t count) {
  std::vector<at::Tensor> result;
  result.reserve(count);
  for (size_t i = 0; i < count; i++) {
    TORCH_CHECK(parameters[i]->grad().defined(), "parameter ", i, " has no gradient");
    result.push_back(parameters[i]->grad());
  }
  return result;
}

// What differs from row to row of a cross entropy; a tensor that is not defined has the same value for all rows.
struct TokenOptions {
  at::Tensor weights;    // [rows] float, factors of the gradients
  at::Tensor smoothing;  // [rows] float
  at::Tensor losses;     // [rows] float, an output

  TokenOptions narrow(int64_t start, int64_t length) const {
    const auto part = [&](const at::Tensor& whole) {
      return whole.defined() ? whole.narrow(0, start, length) : at::Tensor();
    };
    return {part(weights), part(smoothing), part(losses)};
  }
};

// Adds the summed cross entropy of logits [rows, vocab] to `total`, and returns the gradient of the logits times
// `scale`, which may be in the memory of the logits. With a scale of 0 the result is unspecified.
at::Tensor logits_gradient(
    at::Tensor& logits, const at::Tensor& targets, double smoothing, double scale, TokenOptions options,
    at::Tensor& total) {
  const int64_t rows = logits.size(0), vocab = logits.size(1);
  if (logits.is_cpu() && grid::kernels()) {
    const at::Tensor losses =
        options.losses.defined() ? options.losses : at::empty({rows}, logits.options().dtype(at::kFloat));
    const auto per_row = [](const at::Tensor& factors, double common) {
      return grid::PerRow{static_cast<float>(common), factors.defined() ? factors.const_data_ptr<float>() : nullptr};
    };
    const grid::PerRow smoothings = per_row(options.smoothing, options.smoothing.defined() ? 1 : smoothing);
    const grid::PerRow scales = per_row(options.weights, scale);
    const auto run = [&](const auto& loops, auto* numbers) {
      at::parallel_for(0, rows, 8, [&](int64_t begin, int64_t end) {
        const at::Tensor space = at::empty({vocab}, logits.options().dtype(at::kFloat));
        loops.cross_entropy(
            {begin, end, vocab}, numbers, targets.const_data_ptr<int64_t>(), smoothings, scales,
            losses.mutable_data_ptr<float>(), space.mutable_data_ptr<float>());
      });
    };
    if (logits.scalar_type() == at::kFloat) {
      run(grid::kernels()->float32, static_cast<float*>(logits.data_ptr()));
    } else {
      run(grid::kernels()->bfloat16, static_cast<grid::BFloat16*>(logits.data_ptr()));
    }
    total.add_(losses.sum(at::kDouble));
    return logits;
  }
  const at::Tensor chosen = targets.unsqueeze(1);
  at::Tensor scores = at::log_softmax(logits, 1, at::kFloat);
  const bool is_smoothed = options.smoothing.defined() || smoothing > 0;
  if (options.smoothing.defined() || options.losses.defined()) {
    const at::Tensor share = options.smoothing.defined()
        ? options.smoothing
        : at::full({rows}, smoothing, scores.options().dtype(at::kFloat));
    at::Tensor losses = scores.gather(1, chosen).squeeze(1).mul_(share - 1);
    if (is_smoothed) losses.sub_(scores.mean(1).mul_(share));
    if (options.losses.defined()) options.losses.copy_(losses);
    total.add_(losses.sum(at::kDouble));
  } else {
    total.sub_(scores.gather(1, chosen).sum(at::kDouble).mul_(1 - smoothing));
    if (smoothing > 0) total.sub_(scores.sum(at::kDouble).mul_(smoothing / vocab));
  }
  if (scale == 0) return scores;
  scores.exp_();
  if (options.smoothing.defined()) {
    const at::Tensor share = options.smoothing.unsqueeze(1);
    scores.scatter_add_(1, chosen, share - 1).sub_(share / vocab);
  } else {
    scores.scatter_add_(1, chosen, at::full({rows, 1}, smoothing - 1, scores.options()));
    if (smoothing > 0) scores.sub_(smoothing / vocab);
  }
  if (options.weights.defined()) scores.mul_(options.weights.unsqueeze(1));
  return scores.mul_(scale).to(logits.scalar_type());
}

}  // namespace

extern "C" {

const char* grid_last_error() { return last_error().c_str(); }

// The build configuration of the library that was loaded, whose version may differ from that of the headers.
int grid_configuration(char* text, size_t capacity) {
  return guarded([&] {
    const std::string all = at::show_config();
    const size_t length = std::min(capacity - 1, all.size());
    std::memcpy(text, all.data(), length);
    text[length] = 0;
  });
}

// The global L2 norm of the gradients, as a 0-dim tensor on their device. Does not wait for the device.
int grid_gradient_norm(const Handle* parameters, size_t count, Handle* norm) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    auto norms = at::_foreach_norm(gradients(parameters, count), 2);
    *norm = new at::Tensor(at::linalg_vector_norm(at::stack(norms), 2));
  });
}

// One AdamW step of a list of parameters. `steps` is a shared 0-dim counter that has already been incremented. If
// `grad_scale` (0-dim) is given, the step divides the gradients by it, so that clipping needs no separate pass over
// memory.
int grid_fused_adamw(
    const Handle* parameters, const Handle* first, const Handle* second, size_t count, Handle steps, Handle grad_scale,
    double learning_rate, double beta1, double beta2, double weight_decay, double epsilon) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    std::vector<at::Tensor> counters(count, *steps);
    std::optional<at::Tensor> scale;
    if (grad_scale) scale = *grad_scale;
    at::_fused_adamw_(
        tensors_of(parameters, count), gradients(parameters, count), tensors_of(first, count),
        tensors_of(second, count), {}, counters, learning_rate, beta1, beta2, weight_decay, epsilon, /*amsgrad=*/false,
        /*maximize=*/false, scale);
  });
}

int grid_clear_gradients(const Handle* parameters, size_t count) {
  return guarded([&] {
    for (size_t i = 0; i < count; i++) parameters[i]->mutable_grad() = at::Tensor();
  });
}

int grid_backward(Handle output, Handle gradient) {
  return guarded([&] { output->backward(*gradient); });
}

// The cross entropy of a vocabulary head, without ever holding [rows, vocab]: logits, softmax and both gradients are
// computed for `chunk` rows at a time. Adds `scale` * d(sum of weighted losses)/d(weight) to weight.grad. The share
// `smoothing` of each target's probability is spread evenly over the vocabulary (Szegedy et al. 2016, section 7).
//
// hidden [rows, width], weight [vocab, width] float, targets [rows] int64
// row_weights: [rows] float, factors of the gradients; null for 1
// row_smoothing: [rows] float, in place of `smoothing`; may be null
// -> loss: 0-dim double, the sum over rows, not weighted
//    row_losses: [rows] float; not returned if the pointer is null
//    hidden_gradient: [rows, width], of the type of hidden, times `scale`; not computed if the pointer is null
int grid_head_loss(
    Handle hidden, Handle weight, Handle targets, Handle row_weights, Handle row_smoothing, double scale,
    double smoothing, int64_t chunk, int bf16, Handle* loss, Handle* row_losses, Handle* hidden_gradient) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    const auto kind = bf16 ? at::kBFloat16 : at::kFloat;
    const at::Tensor inputs = hidden->detach().to(kind);
    const at::Tensor matrix = weight->detach().to(kind);
    const int64_t rows = inputs.size(0);
    at::Tensor total = at::zeros({}, inputs.options().dtype(at::kDouble));
    at::Tensor gradient = hidden_gradient ? at::empty_like(*hidden) : at::Tensor();
    const double slope = hidden_gradient ? scale : 0;
    const at::TensorOptions floats = inputs.options().dtype(at::kFloat);
    const TokenOptions options{
        row_weights ? *row_weights : at::Tensor(), row_smoothing ? *row_smoothing : at::Tensor(),
        row_losses ? at::empty({rows}, floats) : at::Tensor()};
    at::Tensor space;  // the logits of one chunk at a time
    for (int64_t start = 0; start < rows; start += chunk) {
      const int64_t length = std::min(chunk, rows - start);
      const at::Tensor x = inputs.narrow(0, start, length);
      const at::Tensor y = targets->narrow(0, start, length);
      if (!space.defined()) space = at::empty({length, matrix.size(0)}, inputs.options());
      at::Tensor scores = space.narrow(0, 0, length);  // [chunk, vocab]
      at::mm_out(scores, x, matrix.t());
      const at::Tensor d = logits_gradient(scores, y, smoothing, slope, options.narrow(start, length), total);
      if (!hidden_gradient) continue;
      at::Tensor part = gradient.narrow(0, start, length);
      if (part.scalar_type() == kind) {
        at::mm_out(part, d, matrix);
      } else {
        part.copy_(at::mm(d, matrix));
      }
      at::Tensor& sum = weight->mutable_grad();
      if (!sum.defined()) {
        sum = at::mm(d.t(), x).to(at::kFloat);
      } else if (bf16) {
        sum.add_(at::mm(d.t(), x));
      } else {
        sum.addmm_(d.t(), x);
      }
    }
    *loss = new at::Tensor(total);
    if (row_losses) *row_losses = new at::Tensor(options.losses);
    if (hidden_gradient) *hidden_gradient = new at::Tensor(gradient);
  });
}

// The log-probabilities of the targets: hidden [rows, width], weight [vocab, width], targets [rows] -> [rows] float.
int grid_target_logprobs(Handle hidden, Handle weight, Handle targets, int64_t chunk, Handle* logprobs) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    const int64_t rows = hidden->size(0);
    at::Tensor result = at::empty({rows}, hidden->options().dtype(at::kFloat));
    for (int64_t start = 0; start < rows; start += chunk) {
      const int64_t length = std::min(chunk, rows - start);
      const at::Tensor scores =
          at::log_softmax(at::mm(hidden->narrow(0, start, length), weight->detach().t()), 1, at::kFloat);
      result.narrow(0, start, length)
          .copy_(scores.gather(1, targets->narrow(0, start, length).unsqueeze(1)).squeeze(1));
    }
    *logprobs = new at::Tensor(result);
  });
}

// Selects full float32 products (no TF32), and deterministic kernels where libtorch has them.
int grid_set_exact(int exact) {
  return guarded([&] {
    auto& context = at::globalContext();
    context.setFloat32MatmulPrecision(exact ? "highest" : "high");
    context.setAllowTF32CuDNN(!exact);
    context.setDeterministicAlgorithms(exact, /*warn_only=*/true);
    context.setDeterministicFillUninitializedMemory(false);
  });
}

// Memory of a CUDA device in bytes: allocated, peak of allocated, reserved, free, total.
int grid_memory(int device, int64_t* bytes) {
  return guarded([&] {
    const auto index = static_cast<c10::DeviceIndex>(device);
    const auto statistics = at::accelerator::getDeviceStats(index);
    const auto memory = at::accelerator::getMemoryInfo(index);
    bytes[0] = statistics.allocated_bytes[0].current;
    bytes[1] = statistics.allocated_bytes[0].peak;
    bytes[2] = statistics.reserved_bytes[0].current;
    bytes[3] = static_cast<int64_t>(memory.first);
    bytes[4] = static_cast<int64_t>(memory.second);
  });
}

int grid_empty_cache() {
  return guarded([] { at::accelerator::emptyCache(); });
}

}  // extern "C"
