// What every function that Rust calls has in common: tensors by handle, errors by code.
#pragma once

#include <ATen/ATen.h>

#include <new>
#include <optional>
#include <string>

namespace {

// Borrowed when it comes in; owned by the caller when it is written through an out-parameter.
using Handle = at::Tensor*;

constexpr int OK = 0, FAILED = 1, OUT_OF_MEMORY = 2;

// Null means no tensor.
inline std::optional<at::Tensor> optional(Handle tensor) {
  return tensor ? std::optional<at::Tensor>(*tensor) : std::nullopt;
}

}  // namespace

// The message of this thread's last failure.
std::string& last_error();

// 0, or 1 with a message, or 2 with a message when memory ran out; no exception crosses the border.
template <typename Body>
int guarded(Body body) {
  try {
    body();
    return OK;
  } catch (const c10::OutOfMemoryError& error) {
    last_error() = error.what_without_backtrace();
    return OUT_OF_MEMORY;
  } catch (const c10::Error& error) {
    last_error() = error.what_without_backtrace();
    // The CPU allocator has no exception of its own.
    return last_error().find("DefaultCPUAllocator") == std::string::npos ? FAILED : OUT_OF_MEMORY;
  } catch (const std::bad_alloc& error) {
    last_error() = error.what();
    return OUT_OF_MEMORY;
  } catch (const std::exception& error) {
    last_error() = error.what();
    return FAILED;
  }
}
