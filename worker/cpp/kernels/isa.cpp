// The loops for one instruction set; build.rs compiles this file once for each.
#include "attention.h"
#include "rows.h"

namespace grid {
namespace GRID_LEVEL {
namespace {

template <typename T>
constexpr Loops<T> loops() {
  return {attention<T>, attention_gradient<T>, add_norm<T>, add_norm_gradient<T>, swiglu<T>, swiglu_gradient<T>,
          cross_entropy<T>};
}

}  // namespace

extern const Kernels table;
const Kernels table{GRID_NAME, LANES, loops<float>(), loops<Half>()};

}  // namespace GRID_LEVEL
}  // namespace grid
