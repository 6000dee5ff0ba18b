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
  // AVX-512 without bfloat16 products is rare, and no faster here than AVX2.
  static const Kernels* const best = [] {
    __builtin_cpu_init();
    const bool wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bf16");
    const bool narrow = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    return wide ? &avx512::table : narrow ? &avx2::table : nullptr;
  }();
  return best;
}
#else
const Kernels* kernels() { return nullptr; }
#endif

}  // namespace grid
