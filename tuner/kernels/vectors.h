// Vectors of 16 in GCC's and clang's own notation: compiled for whatever the processor has.

#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

namespace {

constexpr int LANES = 16;

using F = float __attribute__((vector_size(LANES * 4)));
using U8 = uint8_t __attribute__((vector_size(LANES)));
using U16 = uint16_t __attribute__((vector_size(LANES * 2)));
using U32 = uint32_t __attribute__((vector_size(LANES * 4)));

struct bf16 {
  uint16_t bits;
};
template <class T>
struct Raw {};  // a type's values as bits
template <>
struct Raw<float> {
  using Scalar = uint32_t;
  using V = U32;
};
template <>
struct Raw<bf16> {
  using Scalar = uint16_t;
  using V = U16;
};

using All = std::integral_constant<int, LANES>;
template <int B>
using Vectors = std::integral_constant<int, B>;

// n is All, or the number of the last channels, fewer than a vector.
template <class V, class T, class N>
inline V bits_at(const T* from, N n) {
  V bits = {};
  std::memcpy(&bits, from, n * sizeof(T));
  return bits;
}
template <class N>
inline F load(const float* from, N n) {
  return (F)bits_at<U32>(from, n);
}
template <class N>
inline F load(const bf16* from, N n) {
  return (F)(__builtin_convertvector(bits_at<U16>(from, n), U32) << 16);
}
template <class N>
inline void store(float* to, F x, N n) {
  std::memcpy(to, &x, n * sizeof(float));
}
template <class N>
inline void store(bf16* to, F x, N n) {  // to nearest, ties to even; NaN stays NaN
  U32 bits = (U32)x;
  U32 nearest = x == x ? bits + 0x7fff + ((bits >> 16) & 1) : bits | 0x400000;
  U16 rounded = __builtin_convertvector(nearest >> 16, U16);
  std::memcpy(to, &rounded, n * sizeof(bf16));
}

inline F all(float x) { return x - F{}; }
inline F sign(F x) { return x >= 0 ? all(1) : all(-1); }
inline bool any(U32 mask) {
  using U64 = uint64_t __attribute__((vector_size(LANES * 4)));
  U64 pairs = (U64)mask;
  uint64_t found = 0;
  for (int i = 0; i < LANES / 2; i++) found |= pairs[i];
  return found != 0;
}
inline F inside(F x, F gradient) {  // what passes a sign: the straight-through estimator
  return (x < 1) & (x > -1) ? gradient : all(0);
}

// Call body(first, n) over so many numbers, a vector at a time, then those left over.
template <class Body>
inline void by_vectors(int64_t size, Body body) {
  int64_t i = 0;
  for (; i + LANES <= size; i += LANES) body(i, All());
  if (i < size) body(i, int(size - i));
}

// Call body(first channel, vectors, n) over all channels: four vectors at a time, whose sums stay
// in registers, then two, then one, then the channels left over.
template <class Body>
inline void by_channels(int64_t channels, Body body) {
  int64_t c = 0;
  for (; c + 4 * LANES <= channels; c += 4 * LANES) body(c, Vectors<4>(), All());
  if (c + 2 * LANES <= channels) body(c, Vectors<2>(), All()), c += 2 * LANES;
  if (c + LANES <= channels) body(c, Vectors<1>(), All()), c += LANES;
  if (c < channels) body(c, Vectors<1>(), int(channels - c));
}

}  // namespace
