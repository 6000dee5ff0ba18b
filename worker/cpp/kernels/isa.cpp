// The loops for one instruction set. build.rs compiles this file once for each of them.
#include "attention.h"
#include "generation.h"
#include "rows.h"

namespace grid {
namespace GRID_ISA {
namespace {

template <typename T>
constexpr Loops<T> loops() {
  return {
      attention<T>, attention_gradient<T>, add_norm<T>,         add_norm_gradient<T>,
      swiglu<T>,    swiglu_gradient<T>,    cross_entropy<T>,    to_lanes<T>,
      linear<T>,    store_text<T>,         cached_attention<T>, gelu<T>,
  };
}

}  // namespace

extern const Kernels table;
const Kernels table{GRID_ISA_NAME, LANES, QUERIES, loops<float>(), loops<BFloat16>()};

}  // namespace GRID_ISA
}  // namespace grid
