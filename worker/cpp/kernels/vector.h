// Vectors as wide as the registers of the instruction set that this file is compiled for.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "kernels.h"

#if defined(__AVX512BF16__) && defined(__AVX512BW__)
#define GRID_ISA avx512
#define GRID_ISA_NAME "AVX-512"
#elif defined(__AVX2__) && defined(__FMA__)
#define GRID_ISA avx2
#define GRID_ISA_NAME "AVX2"
#else
#error "this file must be compiled with the flags in build.rs"
#endif

namespace grid {
namespace GRID_ISA {
namespace {

#ifdef __AVX512F__
constexpr int LANES = 16;
#else
constexpr int LANES = 8;
#endif

typedef float Floats __attribute__((vector_size(4 * LANES)));
typedef int32_t Ints __attribute__((vector_size(4 * LANES)));
typedef uint32_t Words __attribute__((vector_size(4 * LANES)));
typedef uint16_t Shorts __attribute__((vector_size(2 * LANES)));

#define INLINE static inline __attribute__((always_inline))

template <typename V, typename T>
INLINE V read(const T* from) {
  V value;
  std::memcpy(&value, from, sizeof(V));
  return value;
}

template <typename V, typename T>
INLINE void write(T* to, V value) {
  std::memcpy(to, &value, sizeof(V));
}

INLINE Floats splat(float value) { return Floats{} + value; }

INLINE Floats load(const float* from) { return read<Floats>(from); }

INLINE Floats load(const BFloat16* from) { return (Floats)(__builtin_convertvector(read<Shorts>(from), Words) << 16); }

// Rounds to the nearest bfloat16, ties to even; NaN gives NaN.
INLINE Shorts round_to_bf16(Floats x) {
#ifdef __AVX512BF16__
  return (Shorts)_mm512_cvtneps_pbh((__m512)x);
#else
  const Words bits = (Words)x;
  const Words nearest = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  const Words nan = (bits >> 16) | 0x40;
  const Words chosen = x == x ? nearest : nan;
  return __builtin_convertvector(chosen, Shorts);
#endif
}

INLINE float to_float(const float* from) { return *from; }

INLINE float to_float(const BFloat16* from) {
  const uint32_t bits = uint32_t(*from) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

INLINE void store(float* to, Floats x) { write(to, x); }
INLINE void store(BFloat16* to, Floats x) { write(to, round_to_bf16(x)); }

constexpr float LOG2_E = 1.4426950408889634f;

INLINE Floats maximum(Floats a, Floats b) { return a > b ? a : b; }

INLINE float sum(Floats x) {
  float total = 0;
  for (int i = 0; i < LANES; i++) total += x[i];
  return total;
}

// 2^x for x below 128, with an error of at most two units in the last place; 0 below 2^-126; NaN for NaN.
INLINE Floats exp2(Floats x) {
  const Floats floor = splat(-126.0f);
  const Floats y = x < floor ? floor : x;
  const Floats magic = splat(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
  const Floats shifted = y + magic;
  const Floats whole = shifted - magic;
  const Floats f = y - whole;  // -0.5 ..= 0.5
  Floats p = splat(1.535336188319500e-4f);
  p = p * f + 1.339887440266574e-3f;
  p = p * f + 9.618437357674640e-3f;
  p = p * f + 5.550332471162809e-2f;
  p = p * f + 2.402264791363012e-1f;
  p = p * f + 6.931472028550421e-1f;
  p = p * f + 1.0f;
  const Ints exponent = ((Ints)shifted - (Ints)magic + 127) << 23;
  const Floats result = p * (Floats)exponent;
  return x < floor ? Floats{} : result;
}

}  // namespace
}  // namespace GRID_ISA
}  // namespace grid
