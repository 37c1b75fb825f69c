// Vectors of floats in GCC's and clang's own notation, as wide as the processor's registers: wider
// ones are compared one number after the other.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#if defined(__AVX__)
#include <immintrin.h>
#endif

namespace {

#if defined(__AVX512F__)
constexpr int LANES = 16;
#elif defined(__AVX__)
constexpr int LANES = 8;
#else
constexpr int LANES = 4;
#endif

using F = float __attribute__((vector_size(LANES * 4)));
using S32 = int32_t __attribute__((vector_size(LANES * 4)));
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
#if defined(__AVX512BF16__)
  __m256bh rounded = _mm512_cvtneps_pbh((__m512)x);  // what is smaller than 2^-126 becomes 0
#else
  U32 bits = (U32)x;
  U32 nearest = x == x ? bits + 0x7fff + ((bits >> 16) & 1) : bits | 0x400000;
  U16 rounded = __builtin_convertvector(nearest >> 16, U16);
#endif
  std::memcpy(to, &rounded, n * sizeof(bf16));
}

inline F all(float x) { return x - F{}; }
inline F sign(F x) { return x >= 0 ? all(1) : all(-1); }
template <class N>
inline void store_sign(float* to, F x, N n) {
  store(to, sign(x), n);
}
template <class N>
inline void store_sign(bf16* to, F x, N n) {
  const U16 plus = U16{} + 0x3f80, minus = U16{} + 0xbf80;
#if defined(__AVX512BW__) && defined(__AVX512VL__)
  __mmask16 positive = _mm512_cmp_ps_mask((__m512)x, _mm512_setzero_ps(), _CMP_GE_OQ);
  U16 signs = (U16)_mm256_mask_blend_epi16(positive, (__m256i)minus, (__m256i)plus);
#else
  U16 positive = __builtin_convertvector((U32)(x >= 0), U16);
  U16 signs = (plus & positive) | (minus & ~positive);
#endif
  std::memcpy(to, &signs, n * sizeof(bf16));
}
// a b + c, rounded once where the processor can and, unlike what compilers make of the expression,
// alike in any two loops.
inline F fused(F a, F b, F c) {
#if defined(__AVX512F__)
  return (F)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__FMA__)
  return (F)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__FP_FAST_FMAF)
  for (int lane = 0; lane < LANES; lane++) c[lane] = std::fma(a[lane], b[lane], c[lane]);
  return c;
#else
  return a * b + c;
#endif
}
inline F magnitude(F x) { return (F)((U32)x & 0x7fffffff); }
inline F root(F x) {
  F roots;
  for (int lane = 0; lane < LANES; lane++) roots[lane] = std::sqrt(x[lane]);
  return roots;
}
inline bool any(U32 mask) {
#if defined(__AVX512F__)
  return _mm512_test_epi32_mask((__m512i)mask, (__m512i)mask) != 0;
#elif defined(__AVX__)
  return !_mm256_testz_si256((__m256i)mask, (__m256i)mask);
#else
  using U64 = uint64_t __attribute__((vector_size(LANES * 4)));
  U64 pairs = (U64)mask;
  uint64_t found = 0;
  for (int i = 0; i < LANES / 2; i++) found |= pairs[i];
  return found != 0;
#endif
}
inline float smallest(F x) {
#if defined(__AVX512F__)
  return _mm512_reduce_min_ps((__m512)x);
#elif defined(__AVX__)
  __m128 half = _mm_min_ps(_mm256_castps256_ps128((__m256)x), _mm256_extractf128_ps((__m256)x, 1));
  half = _mm_min_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_min_ss(half, _mm_movehdup_ps(half)));
#else
  float least = x[0];
  for (int lane = 1; lane < LANES; lane++) least = std::min(least, x[lane]);
  return least;
#endif
}
inline F larger(F x, F than) {  // `than` where x is NaN
#if defined(__AVX512F__)
  return (F)_mm512_max_ps((__m512)x, (__m512)than);
#elif defined(__AVX__)
  return (F)_mm256_max_ps((__m256)x, (__m256)than);
#else
  return x > than ? x : than;
#endif
}
inline float largest(F x) {
  float most = x[0];
  for (int lane = 1; lane < LANES; lane++) most = std::max(most, x[lane]);
  return most;
}

// Which lanes have passed the sign: a bit each.
using Lanes = std::conditional_t<LANES == 16, uint16_t, uint8_t>;

// Where |x| < 1, for x as T will have it: what bf16 rounds to 1 is not inside.
template <class T>
inline Lanes lanes_inside(F x) {
  constexpr float end = sizeof(T) == 2 ? 1 - 0x1p-9f : 1;
#if defined(__AVX512F__)
  return _mm512_cmp_ps_mask(_mm512_abs_ps((__m512)x), _mm512_set1_ps(end), _CMP_LT_OQ);
#elif defined(__AVX__)
  return Lanes(_mm256_movemask_ps((__m256)((x < end) & (x > -end))));
#else
  Lanes lanes = 0;
  for (int lane = 0; lane < LANES; lane++) lanes |= (x[lane] < end && x[lane] > -end) << lane;
  return lanes;
#endif
}
inline F of_lanes(Lanes lanes, F x) {  // 0 in the others
#if defined(__AVX512F__)
  return (F)_mm512_maskz_mov_ps(lanes, (__m512)x);
#else
  U32 bit;
  for (int lane = 0; lane < LANES; lane++) bit[lane] = 1u << lane;
  return (F)((U32)x & (U32)(((U32{} + uint32_t(lanes)) & bit) == bit));
#endif
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
