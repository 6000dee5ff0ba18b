// A thin C interface over libtorch for what the Rust binding does not expose.
//
// Every function returns 0, or 1 with a message, or 2 with a message when memory ran out; no exception crosses
// the border. Tensors come in as borrowed pointers; those written through an out-parameter are owned by the caller.
// Only ATen and c10 headers: they compile three times faster than torch/torch.h.
#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/DeviceAccelerator.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/grad_mode.h>
#include <torch/version.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <new>
#include <string>
#include <vector>

static_assert(
    TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR == 11 && TORCH_VERSION_PATCH == 0,
    "these are not the headers of libtorch 2.11.0: run `make libtorch`");

namespace {

using Handle = at::Tensor*;

thread_local std::string last_error;

constexpr int OK = 0, FAILED = 1, OUT_OF_MEMORY = 2;

template <typename Body>
int guarded(Body body) {
  try {
    body();
    return OK;
  } catch (const c10::OutOfMemoryError& error) {
    last_error = error.what_without_backtrace();
    return OUT_OF_MEMORY;
  } catch (const c10::Error& error) {
    last_error = error.what_without_backtrace();
    // The CPU allocator has no exception of its own.
    return last_error.find("DefaultCPUAllocator") == std::string::npos ? FAILED : OUT_OF_MEMORY;
  } catch (const std::bad_alloc& error) {
    last_error = error.what();
    return OUT_OF_MEMORY;
  } catch (const std::exception& error) {
    last_error = error.what();
    return FAILED;
  }
}

std::vector<at::Tensor> list(const Handle* tensors, size_t count) {
  std::vector<at::Tensor> result;
  result.reserve(count);
  for (size_t i = 0; i < count; i++) result.push_back(*tensors[i]);
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

}  // namespace

extern "C" {

const char* grid_last_error() { return last_error.c_str(); }

// The configuration text of the library that was loaded, which may differ from the headers.
int grid_configuration(char* text, size_t capacity) {
  return guarded([&] {
    const std::string all = at::show_config();
    const size_t length = std::min(capacity - 1, all.size());
    std::memcpy(text, all.data(), length);
    text[length] = 0;
  });
}

// Global L2 norm of the gradients, as a 0-dim tensor on their device: nothing waits for the device.
int grid_gradient_norm(const Handle* parameters, size_t count, Handle* norm) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    auto norms = at::_foreach_norm(gradients(parameters, count), 2);
    *norm = new at::Tensor(at::linalg_vector_norm(at::stack(norms), 2));
  });
}

// One AdamW step over a list; `steps` is one shared 0-dim counter, already advanced. Gradients are divided by
// `grad_scale` (0-dim) on the way when it is given, which spares the clipping a pass over memory.
int grid_fused_adamw(
    const Handle* parameters, const Handle* first, const Handle* second, size_t count, Handle steps, Handle grad_scale,
    double learning_rate, double beta1, double beta2, double weight_decay, double epsilon) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    std::vector<at::Tensor> counters(count, *steps);
    std::optional<at::Tensor> scale;
    if (grad_scale) scale = *grad_scale;
    at::_fused_adamw_(
        list(parameters, count), gradients(parameters, count), list(first, count), list(second, count), {}, counters,
        learning_rate, beta1, beta2, weight_decay, epsilon, /*amsgrad=*/false, /*maximize=*/false, scale);
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

// Cross entropy of a vocabulary head without ever holding [rows, vocab]: logits, softmax and both gradients are
// made for `chunk` rows at a time. Adds `scale` * d(sum of losses)/d(weight) to weight.grad. Of each target's
// probability the share `smoothing` is spread evenly over the vocabulary (Szegedy et al. 2016, section 7).
//
// hidden [rows, width], weight [vocab, width] float, targets [rows] int64
// -> loss: 0-dim double, sum over rows; hidden_gradient: [rows, width] like hidden, times `scale`; left alone when null.
int grid_head_loss(
    Handle hidden, Handle weight, Handle targets, double scale, double smoothing, int64_t chunk, int bf16, Handle* loss,
    Handle* hidden_gradient) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    const auto kind = bf16 ? at::kBFloat16 : at::kFloat;
    const at::Tensor inputs = hidden->detach().to(kind);
    const at::Tensor matrix = weight->detach().to(kind);
    const int64_t rows = inputs.size(0);
    at::Tensor total = at::zeros({}, inputs.options().dtype(at::kDouble));
    at::Tensor gradient = hidden_gradient ? at::empty_like(*hidden) : at::Tensor();
    for (int64_t start = 0; start < rows; start += chunk) {
      const int64_t length = std::min(chunk, rows - start);
      const at::Tensor x = inputs.narrow(0, start, length);
      const at::Tensor y = targets->narrow(0, start, length).unsqueeze(1);
      at::Tensor scores = at::mm(x, matrix.t());                          // [chunk, vocab]
      scores = at::log_softmax(scores, 1, at::kFloat);                    // log-probabilities
      total.sub_(scores.gather(1, y).sum(at::kDouble).mul_(1 - smoothing));
      if (smoothing > 0) total.sub_(scores.sum(at::kDouble).mul_(smoothing / matrix.size(0)));
      if (!hidden_gradient) continue;
      scores.exp_();                                                      // probabilities
      scores.scatter_add_(1, y, at::full({length, 1}, smoothing - 1, scores.options()));  // d loss / d logits
      if (smoothing > 0) scores.sub_(smoothing / matrix.size(0));
      const at::Tensor d = scores.to(kind);
      gradient.narrow(0, start, length).copy_(at::mm(d, matrix).mul_(scale));
      const at::Tensor scaled = x * scale;
      at::Tensor& sum = weight->mutable_grad();
      if (!sum.defined()) {
        sum = at::mm(d.t(), scaled).to(at::kFloat);
      } else if (bf16) {
        sum.add_(at::mm(d.t(), scaled));
      } else {
        sum.addmm_(d.t(), scaled);
      }
    }
    *loss = new at::Tensor(total);
    if (hidden_gradient) *hidden_gradient = new at::Tensor(gradient);
  });
}

// Log-probabilities of the targets: hidden [rows, width], weight [vocab, width], targets [rows] -> [rows] float.
int grid_target_logprobs(Handle hidden, Handle weight, Handle targets, int64_t chunk, Handle* logprobs) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    const int64_t rows = hidden->size(0);
    at::Tensor result = at::empty({rows}, hidden->options().dtype(at::kFloat));
    for (int64_t start = 0; start < rows; start += chunk) {
      const int64_t length = std::min(chunk, rows - start);
      const at::Tensor scores =
          at::log_softmax(at::mm(hidden->narrow(0, start, length), weight->detach().t()), 1, at::kFloat);
      result.narrow(0, start, length).copy_(scores.gather(1, targets->narrow(0, start, length).unsqueeze(1)).squeeze(1));
    }
    *logprobs = new at::Tensor(result);
  });
}

// Sets automatic casting to bfloat16 of this thread and tells what it was before.
int grid_set_autocast(int cuda, int enabled, int* before) {
  return guarded([&] {
    const auto device = cuda ? at::kCUDA : at::kCPU;
    *before = at::autocast::is_autocast_enabled(device);
    at::autocast::set_autocast_dtype(device, at::kBFloat16);
    at::autocast::set_autocast_enabled(device, enabled);
  });
}

// Brackets a region that shares one cast of each weight; the cache is dropped when the outermost region ends.
int grid_autocast_region(int enter) {
  return guarded([&] {
    if (enter) {
      at::autocast::increment_nesting();
    } else if (at::autocast::decrement_nesting() == 0) {
      at::autocast::clear_cache();
    }
  });
}

// Full float32 products (no TF32), and kernels that give the same bits on every run where there is one.
int grid_set_exact(int exact) {
  return guarded([&] {
    auto& context = at::globalContext();
    context.setFloat32MatmulPrecision(exact ? "highest" : "high");
    context.setAllowTF32CuDNN(!exact);
    context.setDeterministicAlgorithms(exact, /*warn_only=*/true);
    context.setDeterministicFillUninitializedMemory(false);
  });
}

// Bytes on a CUDA device: allocated, peak of it, reserved, free, total.
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
