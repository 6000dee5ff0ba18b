// Part of isa.cpp: norms, gates and losses, in one pass over each row while it is in the cache.
#pragma once

#include "vector.h"

namespace grid {
namespace GRID_ISA {
namespace {

// Two independent sums, so that an addition does not wait for the previous one.
struct Sum {
  Floats even = Floats{}, odd = Floats{};
  float total() const { return sum(even + odd); }
};

template <typename T>
void add_norm(
    Rows rows, const float* x, const T* branch, const float* gain, float epsilon, float* residual, T* normalized,
    float* inverse) {
  const int64_t width = rows.width;
  for (int64_t r = rows.begin; r < rows.end; r++) {
    const float* row = x + r * width;
    Sum squares;
    if (branch) {
      float* to = residual + r * width;
      for (int64_t i = 0; i < width; i += 2 * LANES) {
        const Floats a = load(row + i) + load(branch + r * width + i);
        const Floats b = load(row + i + LANES) + load(branch + r * width + i + LANES);
        store(to + i, a);
        store(to + i + LANES, b);
        squares.even += a * a;
        squares.odd += b * b;
      }
      row = to;
    } else {
      for (int64_t i = 0; i < width; i += 2 * LANES) {
        const Floats a = load(row + i), b = load(row + i + LANES);
        squares.even += a * a;
        squares.odd += b * b;
      }
    }
    const float factor = 1.0f / __builtin_sqrtf(squares.total() / width + epsilon);
    inverse[r] = factor;
    for (int64_t i = 0; i < width; i += LANES)
      store(normalized + r * width + i, load(row + i) * factor * load(gain + i));
  }
}

// With y = x f g, f = 1 / rms(x): dx = f (g dy - x f² mean(x g dy)), dg = sum over rows of dy x f.
template <typename T>
void add_norm_gradient(
    Rows rows, const float* residual, const float* inverse, const float* gain, const T* normalized_gradient,
    const float* residual_gradient, float* x_gradient, T* branch_gradient, float* gain_gradient) {
  const int64_t width = rows.width;
  for (int64_t r = rows.begin; r < rows.end; r++) {
    const float* x = residual + r * width;
    const T* dy = normalized_gradient + r * width;
    const float factor = inverse[r];
    Sum dot;
    for (int64_t i = 0; i < width; i += 2 * LANES) {
      const Floats a = load(x + i) * load(dy + i), b = load(x + i + LANES) * load(dy + i + LANES);
      store(gain_gradient + i, load(gain_gradient + i) + a * factor);
      store(gain_gradient + i + LANES, load(gain_gradient + i + LANES) + b * factor);
      dot.even += a * load(gain + i);
      dot.odd += b * load(gain + i + LANES);
    }
    const float pull = dot.total() / width * factor * factor * factor;
    for (int64_t i = 0; i < width; i += LANES) {
      Floats dx = load(gain + i) * load(dy + i) * factor - load(x + i) * pull;
      if (residual_gradient) dx += load(residual_gradient + r * width + i);
      store(x_gradient + r * width + i, dx);
      if (branch_gradient) store(branch_gradient + r * width + i, dx);
    }
  }
}

// 2^x only has an exponent for x < 128; above 126, the sigmoid is as good as 0. NaN gives NaN.
INLINE Floats sigmoid(Floats x) {
  const Floats power = x * -LOG2_E, most = splat(126.0f);
  return 1.0f / (1.0f + exp2(power > most ? most : power));
}

template <typename T>
void swiglu(Rows rows, const T* gate_up, T* inner) {
  const int64_t width = rows.width;
  for (int64_t r = rows.begin; r < rows.end; r++) {
    const T* gate = gate_up + 2 * r * width;
    const T* up = gate + width;
    for (int64_t i = 0; i < width; i += LANES) {
      const Floats g = load(gate + i);
      store(inner + r * width + i, g * sigmoid(g) * load(up + i));
    }
  }
}

template <typename T>
void swiglu_gradient(Rows rows, T* gate_up, const T* inner_gradient) {
  const int64_t width = rows.width;
  for (int64_t r = rows.begin; r < rows.end; r++) {
    T* gate = gate_up + 2 * r * width;
    T* up = gate + width;
    for (int64_t i = 0; i < width; i += LANES) {
      const Floats g = load(gate + i), u = load(up + i), d = load(inner_gradient + r * width + i);
      const Floats s = sigmoid(g), silu = g * s;
      store(gate + i, d * u * (s + silu * (1.0f - s)));
      store(up + i, d * silu);
    }
  }
}

inline float of_row(PerRow numbers, int64_t row) {
  return numbers.factors ? numbers.common * numbers.factors[row] : numbers.common;
}

// With p = softmax(logits), s the smoothing, V the width: loss = log(sum(exp(logits))) - (1 - s) logits[target]
// - s mean(logits), and its gradient p - s / V - (1 - s) [target].
template <typename T>
void cross_entropy(
    Rows rows, T* logits, const int64_t* targets, PerRow smoothings, PerRow scales, float* losses, float* space) {
  constexpr int BLOCK = 2 * LANES;
  const int64_t width = rows.width, whole = width / BLOCK * BLOCK;
  for (int64_t r = rows.begin; r < rows.end; r++) {
    const float smoothing = of_row(smoothings, r), scale = of_row(scales, r);
    T* row = logits + r * width;
    const float own = to_float(row + targets[r]);
    T rest[BLOCK];  // the logits after the last whole block, padded with copies of the target's
    for (int64_t i = 0; i < BLOCK; i++) rest[i] = row[whole + i < width ? whole + i : targets[r]];

    Floats even = load(rest), odd = load(rest + LANES);
    Sum plain;
    for (int64_t i = 0; i < whole; i += BLOCK) {
      const Floats a = load(row + i), b = load(row + i + LANES);
      even = maximum(a, even);
      odd = maximum(b, odd);
      plain.even += a;
      plain.odd += b;
    }
    const Floats highest = maximum(even, odd);
    float most = own, mean = plain.total();
    for (int i = 0; i < LANES; i++) most = highest[i] > most ? highest[i] : most;
    for (int64_t i = whole; i < width; i++) mean += to_float(rest + i - whole);
    mean /= width;

    const float shift = most * LOG2_E;
    Sum exponentials;
    for (int64_t i = 0; i < whole; i += BLOCK) {
      const Floats a = exp2(load(row + i) * LOG2_E - shift), b = exp2(load(row + i + LANES) * LOG2_E - shift);
      store(space + i, a);
      store(space + i + LANES, b);
      exponentials.even += a;
      exponentials.odd += b;
    }
    float tail[BLOCK];
    store(tail, exp2(load(rest) * LOG2_E - shift));
    store(tail + LANES, exp2(load(rest + LANES) * LOG2_E - shift));
    float total = exponentials.total();
    for (int64_t i = whole; i < width; i++) total += tail[i - whole];
    losses[r] = most - own + __builtin_logf(total) + smoothing * (own - mean);

    if (scales.common == 0) continue;
    const float share = scale / total, spread = scale * smoothing / width;
    for (int64_t i = 0; i < whole; i += LANES) store(row + i, load(space + i) * share - spread);
    for (int i = 0; i < BLOCK; i += LANES) store(rest + i, load(tail + i) * share - spread);
    for (int64_t i = whole; i < width; i++) row[i] = rest[i - whole];
    store(rest, exp2(splat(own * LOG2_E - shift)) * share - spread - scale * (1.0f - smoothing));
    row[targets[r]] = rest[0];
  }
}

}  // namespace
}  // namespace GRID_ISA
}  // namespace grid
