// Conventions of all functions that Rust calls: tensors are passed as handles, errors are returned as codes.
#pragma once

#include <ATen/ATen.h>

#include <new>
#include <optional>
#include <string>

namespace {

// An argument is borrowed. A handle that is written through an out-parameter is owned by the caller.
using Handle = at::Tensor*;

constexpr int OK = 0, FAILED = 1, OUT_OF_MEMORY = 2;

// A null handle means that there is no tensor.
inline std::optional<at::Tensor> optional(Handle tensor) {
  return tensor ? std::optional<at::Tensor>(*tensor) : std::nullopt;
}

}  // namespace

// The message of the last failure on this thread.
std::string& last_error();

// Runs the body and returns a code: OK, or OUT_OF_MEMORY or FAILED with a message in `last_error`. No exception leaves
// it.
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
    // The CPU allocator throws no specific type.
    return last_error().find("DefaultCPUAllocator") == std::string::npos ? FAILED : OUT_OF_MEMORY;
  } catch (const std::bad_alloc& error) {
    last_error() = error.what();
    return OUT_OF_MEMORY;
  } catch (const std::exception& error) {
    last_error() = error.what();
    return FAILED;
  }
}
