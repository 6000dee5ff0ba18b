// The choice of an instruction set at run time.
#include "kernels.h"

namespace grid {

#ifdef __x86_64__
namespace avx512 {
extern const Kernels table;
}
namespace avx2 {
extern const Kernels table;
}

const Kernels* kernels() {
  // AVX-512 without bfloat16 products is rare, and the loops would not be faster than with AVX2.
  static const Kernels* const best = [] {
    __builtin_cpu_init();
    const bool has_avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bf16");
    const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    return has_avx512 ? &avx512::table : has_avx2 ? &avx2::table : nullptr;
  }();
  return best;
}
#else
const Kernels* kernels() { return nullptr; }
#endif

}  // namespace grid
