// Steps of filters in slots; what a slot is: tuner/optim/designed/slots.py. Twin in torch:
// tuner/optim/designed/running.py. T and the rest are as in steps.h.
//
// On many weights memory is all that counts, and state is most of it: each of its numbers is read
// and written. But a step's signs need no more than one of a slot's two numbers, and its gradient
// may enter the state a step later. So there are three ways to take a step, to the same bits:
// `slots` takes it at once; `slots_ahead` finds the signs and keeps the gradient, `slots_behind`
// has a kept gradient enter and takes its own step in the same pass.

#pragma once

#include <limits>
#include <vector>

#include "steps.h"

namespace {

struct Slot {
  float feed, out, b, a, c, d, e, order;
};

inline F through(const Slot& slot, F x, F w) {  // what a slot makes of x
  F fed = slot.feed * x;
  return slot.order == 0 ? fed : fused(all(slot.out), w, fed);
}

inline void enter(const Slot& slot, F x, F& w, F& v) {  // x enters a slot's state
  F change = fused(all(-slot.a), w, slot.b * x);
  if (slot.order == 2) {
    change = fused(all(slot.c), v, change);
    v = v + fused(all(-slot.e), w, slot.d * x);
  }
  w = w + change;
}

template <class T, class N>
inline S32 flip_where(T* b, F y, N n) {  // few flip: spares memory
  F before = load(b, n);
  S32 flip = y * before > 0;
  if (any((U32)flip)) store(b, flip ? -before : before, n);
  return flip;
}

// Written past the cache, where it would be in the way: it is read a whole step later.
template <class T, class N>
inline void keep(T* to, const T* from, N n) {
#if defined(__AVX__)
  constexpr int bytes = LANES * sizeof(T);
  if constexpr (std::is_same_v<N, All>) {
    if (reinterpret_cast<uintptr_t>(to) % bytes == 0) {
      if constexpr (bytes == 16)
        _mm_stream_si128((__m128i*)to, _mm_loadu_si128((const __m128i*)from));
      if constexpr (bytes == 32)
        _mm256_stream_si256((__m256i*)to, _mm256_loadu_si256((const __m256i*)from));
#if defined(__AVX512F__)
      if constexpr (bytes == 64) _mm512_stream_si512((__m512i*)to, _mm512_loadu_si512(from));
#endif
      return;
    }
  }
#endif
  std::memcpy(to, from, n * sizeof(T));
}

// The step on P weights. Each slot has two tensors of state, of which those it does not use may be
// nullptr. Flip where y b > 0.
template <class T>
int64_t slots(T* b, float* const* state, const T* gradient, const Slot* rows, int64_t n_slots,
              int64_t weights) {
  return count_flips(weights, [&](int64_t i, auto n) {
    F y = load(gradient + i, n);
    for (int64_t s = 0; s < n_slots; s++) {
      const Slot& slot = rows[s];
      F x = y, w = {}, v = {};
      if (slot.order > 0) w = load(state[2 * s] + i, n);
      if (slot.order == 2) v = load(state[2 * s + 1] + i, n);
      y = through(slot, x, w);
      enter(slot, x, w, v);
      if (slot.order > 0) store(state[2 * s] + i, w, n);
      if (slot.order == 2) store(state[2 * s + 1] + i, v, n);
    }
    return flip_where(b + i, y, n);
  });
}

// What is known of a trial's state between two steps.
struct Bounds {
  float* most;   // of each slot the largest |w|
  float* least;  // of each vector the smallest |foretold|, 0 where y had another sign or is foretold
};               // by nothing
inline int64_t vectors(int64_t weights) { return (weights + 3) / 4; }  // as many at most

// The next y is foretold but for its gradient: the sum of so much of each slot's w. Returns how much
// of the gradient is added.
inline double foretelling(const Slot* rows, int64_t n_slots, std::vector<float>& parts) {
  double passed = 1;
  for (int64_t s = n_slots - 1; s >= 0; s--) {
    parts[s] = rows[s].order == 0 ? 0 : float(rows[s].out * passed);
    passed *= rows[s].feed;
  }
  return passed;
}

// The signs of a step, whose gradient is kept for `slots_behind`. No state is written.
//
// Where what was foretold (by the rows of the last step) is larger than what may be added to it,
// y has its sign, as the last y had, and b (settled: what that step left) needs no look.
template <class T>
int64_t slots_ahead(T* b, float* const* state, const T* gradient, const Slot* rows,
                    int64_t n_slots, T* kept, const Slot* last_rows, Bounds bounds, bool settled,
                    int64_t weights) {
  constexpr double rounding = 1e-6;  // more than that of all additions
  std::vector<float> parts(n_slots), foretold(n_slots);
  double share = (1 + rounding) * std::fabs(foretelling(rows, n_slots, parts)), other = 0;
  foretelling(last_rows, n_slots, foretold);
  for (int64_t s = 0; s < n_slots; s++) {
    double differs = std::fabs(double(parts[s]) - foretold[s]);
    other += (differs + rounding * std::fabs(parts[s])) * bounds.most[s];
  }
  F slope = all(float(share) + std::numeric_limits<float>::min());
  F level = all(float(other) + std::numeric_limits<float>::min());
  return count_flips(weights, [&](int64_t i, auto n) {
    F y = load(gradient + i, n);
    keep(kept + i, gradient + i, n);
    S32 near = ~(fused(slope, magnitude(y), level) < all(bounds.least[i / LANES]));
    if (settled && !any((U32)near)) return near;
    for (int64_t s = 0; s < n_slots; s++)
      y = through(rows[s], y, rows[s].order > 0 ? load(state[2 * s] + i, n) : F{});
    return flip_where(b + i, y, n);
  });
}

// The step after `slots_ahead`: what it kept enters by its own rows, then this gradient. Writes the
// bounds for the next `slots_ahead`.
template <class T>
int64_t slots_behind(T* b, float* const* state, const T* gradient, const Slot* rows,
                     int64_t n_slots, const T* kept, const Slot* last_rows, Bounds bounds,
                     bool settled, int64_t weights) {
  std::vector<float> largest(n_slots * LANES), parts(n_slots);
  foretelling(rows, n_slots, parts);
  int64_t flips = count_flips(weights, [&](int64_t i, auto n) {
    F before = load(kept + i, n), y = load(gradient + i, n), foretold = {};
    for (int64_t s = 0; s < n_slots; s++) {
      const Slot &first = last_rows[s], &second = rows[s];
      F x = before, w = {}, v = {};
      if (second.order > 0) w = load(state[2 * s] + i, n);
      if (second.order == 2) v = load(state[2 * s + 1] + i, n);
      before = through(first, x, w);
      enter(first, x, w, v);
      x = y;
      y = through(second, x, w);
      enter(second, x, w, v);
      if (second.order > 0) store(state[2 * s] + i, w, n);
      if (second.order == 2) store(state[2 * s + 1] + i, v, n);
      F so_far = load(&largest[s * LANES], All());
      store(&largest[s * LANES], magnitude(w) > so_far ? magnitude(w) : so_far, All());
      foretold = fused(all(parts[s]), w, foretold);
    }
    S32 agree = y * foretold > 0;
    bounds.least[i / LANES] = smallest((F)((U32)magnitude(foretold) & (U32)agree));
    S32 keeps = y * before > 0;  // and b was set against `before`
    if (settled && !any(~(U32)keeps)) return keeps ^ keeps;
    return flip_where(b + i, y, n);
  });
  for (int64_t s = 0; s < n_slots; s++)
    bounds.most[s] = *std::max_element(&largest[s * LANES], &largest[s * LANES] + LANES);
  return flips;
}

// As each_trial, with where the trial's state begins in each tensor of it.
template <class Step>
inline void each_filter(int64_t tensors, int64_t trials, const int64_t* weights, int64_t* flips,
                        float* const* states, int64_t n_slots, Step step) {
  std::vector<float*> state(2 * n_slots);
  each_trial(tensors, trials, weights, flips, [&](int64_t i, int64_t k, int64_t at) {
    for (int64_t j = 0; j < 2 * n_slots; j++) state[j] = from(states[j * tensors + i], at);
    return step(i, k, at, state.data());
  });
}

}  // namespace
