// Gradients as int16 numbers of one scale. Twin in torch: tests/bnn/binary_twin.py.

#pragma once

#include <cmath>

#include "vectors.h"

namespace {

using I16 = int16_t __attribute__((vector_size(LANES * 2)));

// A share in [0, 1) for each of the places from one on: always the same one for a place and a seed.
inline F dither(uint32_t place, uint32_t seed) {
  U32 lanes;
  for (int lane = 0; lane < LANES; lane++) lanes[lane] = lane;
  U32 mixed = (lanes + place) * 0x9e3779b1u + seed;
  mixed = (mixed ^ mixed >> 15) * 0x85ebca77u;
  return __builtin_convertvector((S32)((mixed ^ mixed >> 13) >> 8), F) * 0x1p-24f;
}

// The largest magnitude of [rows, columns], the rows so far apart; NaN or infinity if one is.
template <class T>
float largest(const T* x, int64_t rows, int64_t columns, int64_t step) {
  using V = typename Raw<T>::V;
  const V magnitude = V{} + typename Raw<T>::Scalar(~(uint64_t(1) << (8 * sizeof(T) - 1)));
  V most = {};
  for (int64_t row = 0; row < rows; row++, x += step)
    by_vectors(columns, [&](int64_t at, auto n) {
      V bits = bits_at<V>(x + at, n) & magnitude;
      most = bits > most ? bits : most;
    });
  uint32_t top = 0;
  for (int i = 0; i < LANES; i++)
    if (most[i] > top) top = most[i];
  top <<= 32 - 8 * sizeof(T);
  float found;
  std::memcpy(&found, &top, sizeof found);
  return found;
}

// Whole numbers q of one unit: x = q unit, nearly. q is x / unit rounded up or down by a dither, so
// that the mean over many places is right. To the nearest, many a small number would become 0, and
// sums over all positions of all images were off by a tenth. Zeros stay zeros, and no |q| exceeds
// `most`. The unit is 0 where all are 0, NaN where one is not finite.
struct Quantiser {
  float unit, scale;
  uint32_t seed;  // another one from step to step, and the same when a step is taken again

  Quantiser(float top, int most) : unit(0), scale(0), seed(0) {
    if (!(top < INFINITY)) unit = NAN;
    if (!(top < INFINITY) || top < 1e-30f) return;
    unit = top / (most - 1);
    scale = 1 / unit;
    std::memcpy(&seed, &top, sizeof seed);
  }

  // x is [rows, columns], the rows `step` apart, `place` the first's; q [rows, padded], zero beyond
  // the columns.
  template <class T>
  void quantise(const T* x, int64_t place, int64_t rows, int64_t columns, int64_t step,
                int64_t padded, int16_t* q) const {
    if (scale == 0) {
      std::memset(q, 0, rows * padded * sizeof(int16_t));
      return;
    }
    const F scales = all(scale);
    for (int64_t row = 0; row < rows; row++, x += step, q += padded, place += columns) {
      by_vectors(columns, [&](int64_t at, auto n) {
        F exact = load(x + at, n) * scales + dither(uint32_t(place + at), seed);
        S32 whole = __builtin_convertvector(exact, S32);
        whole += __builtin_convertvector(whole, F) > exact;  // true is -1: rounded down
        I16 narrow = __builtin_convertvector(whole, I16);
        std::memcpy(q + at, &narrow, n * sizeof(int16_t));
      });
      if (padded > columns) std::memset(q + columns, 0, (padded - columns) * sizeof(int16_t));
    }
  }
};

}  // namespace
