// Steps of filters in slots; what a slot is: tuner/optim/designed/slots.py. Twin in torch:
// tuner/optim/designed/running.py. T and the rest are as in steps.h.
//
// On many weights memory is most of what counts, and state is most of it: each of its numbers is
// read and written. But a step's signs need no more than one of a slot's two numbers, and its
// gradient may enter the state a step later. So there are three ways to take a step, to the same
// bits: `slots` takes it at once; `slots_ahead` finds the signs and keeps the gradient,
// `slots_behind` has a kept gradient enter and takes its own step in the same pass.

#pragma once

#include <array>
#include <limits>
#include <utility>
#include <vector>

#include "steps.h"

namespace {

struct Slot {
  float feed, out, b, a, c, d, e, order;
};
// Whether it changes nothing, and is there for other trials that have more slots.
inline bool fills_up(const Slot& slot) { return slot.order == 0 && slot.feed == 1; }
struct Place {  // of a slot's state; what its order does not use may be nullptr
  float *w, *v;
};
struct State {
  F w, v;
};

// Load what is gone through in order, beside so many others that a processor is late to see it.
template <class T, class N>
inline F streamed(const T* from, int64_t i, N n) {
  __builtin_prefetch(from + i + 128);
  return load(from + i, n);
}

template <class Order, class N>
inline State streamed(const Place& place, Order order, int64_t i, N n) {
  State state = {};
  if (order > 0) state.w = streamed(place.w, i, n);
  if (order == 2) state.v = streamed(place.v, i, n);
  return state;
}
template <class Order, class N>
inline void store(const Place& place, Order order, int64_t i, const State& state, N n) {
  if (order > 0) store(place.w + i, state.w, n);
  if (order == 2) store(place.v + i, state.v, n);
}

template <class Order>
inline F through(const Slot& slot, Order order, F x, F w) {  // what a slot makes of x
  F fed = slot.feed * x;
  return order == 0 ? fed : fused(all(slot.out), w, fed);
}

template <class Order>
inline void enter(const Slot& slot, Order order, F x, State& state) {  // x enters a slot's state
  F change = fused(all(-slot.a), state.w, slot.b * x);
  if (order == 2) {
    change = fused(all(slot.c), state.v, change);
    state.v = state.v + fused(all(-slot.e), state.w, slot.d * x);
  }
  state.w = state.w + change;
}

// A filter of any slots. `each` calls body(a slot's number, its order), `each_of` makes room for
// a value of each.
struct Looped {
  int64_t count;
  const Slot* rows;
  const Place* places;

  template <class Body>
  void each(const Body& body) const {
    for (int64_t s = 0; s < count; s++) body(s, int(rows[s].order));
  }
  template <class V>
  std::vector<V> each_of() const {
    return std::vector<V>(count);
  }
  template <class V>
  std::vector<V> each_of(const V* values) const {
    return std::vector<V>(values, values + count);
  }
};

// A filter of slots whose orders the compiler knows: nothing is asked of a slot in a loop over
// weights, and the numbers of all slots may stay in registers.
template <int... ORDERS>
struct Unrolled {
  static constexpr int64_t count = sizeof...(ORDERS);
  std::array<Slot, count> rows;
  std::array<Place, count> places;

  explicit Unrolled(const Looped& filter)
      : rows(each_of(filter.rows)), places(each_of(filter.places)) {}

  static bool is(const Looped& filter) {
    const Slot* slot = filter.rows;
    return filter.count == count && ((slot++->order == ORDERS) && ...);
  }
  template <class Body>
  static void each(const Body& body) {
    each(body, std::make_index_sequence<count>());
  }
  template <class Body, size_t... S>
  static void each(const Body& body, std::index_sequence<S...>) {
    (body(std::integral_constant<int64_t, S>(), std::integral_constant<int, ORDERS>()), ...);
  }
  template <class V>
  static std::array<V, count> each_of() {
    return {};
  }
  template <class V>
  static std::array<V, count> each_of(const V* values) {
    std::array<V, count> copies;
    std::copy_n(values, count, copies.begin());
    return copies;
  }
};

// Call step(the filter), unrolled if its orders are those of a design.
template <class Step>
inline int64_t unrolled(const Looped& filter, Step step) {
  if (Unrolled<1>::is(filter)) return step(Unrolled<1>(filter));
  if (Unrolled<2>::is(filter)) return step(Unrolled<2>(filter));
  if (Unrolled<2, 1>::is(filter)) return step(Unrolled<2, 1>(filter));
  if (Unrolled<2, 2>::is(filter)) return step(Unrolled<2, 2>(filter));
  return step(filter);
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

// As count_flips, of step(i, n, states) with each slot's state, which it may change.
//
// All is read before any is written: large tensors begin at the same place in a page, and what was
// just stored to one holds up what is read from the same place in another's page.
template <class Filter, class Step>
inline int64_t count_flips(const Filter& filter, int64_t weights, Step step) {
  auto states = filter.template each_of<State>();
  return count_flips(weights, [&](int64_t i, auto n) {
    filter.each([&](auto s, auto order) { states[s] = streamed(filter.places[s], order, i, n); });
    S32 flips = step(i, n, states);
    filter.each([&](auto s, auto order) { store(filter.places[s], order, i, states[s], n); });
    return flips;
  });
}

// The step on P weights. Flip where y b > 0.
template <class T, class Filter>
[[gnu::flatten]] int64_t slots(T* b, const Filter& given, const T* gradient, int64_t weights) {
  const Filter filter = given;  // of its own: no store may be to it
  return count_flips(filter, weights, [&](int64_t i, auto n, auto& states) {
    F y = streamed(gradient, i, n);
    filter.each([&](auto s, auto order) {
      F x = y;
      y = through(filter.rows[s], order, x, states[s].w);
      enter(filter.rows[s], order, x, states[s]);
    });
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
template <class Rows, class Parts>
inline double foretelling(const Rows& rows, Parts& parts) {
  double passed = 1;
  for (int64_t s = parts.size() - 1; s >= 0; s--) {
    parts[s] = rows[s].order == 0 ? 0 : float(rows[s].out * passed);
    passed *= rows[s].feed;
  }
  return passed;
}

// The signs of a step, whose gradient is kept for `slots_behind`. No state is written.
//
// Where what was foretold (by the rows of the last step) is larger than what may be added to it,
// y has its sign, as the last y had, and b (settled: what that step left) needs no look.
template <class T, class Filter>
int64_t slots_ahead(T* b, const Filter& given, const T* gradient, T* kept, const Slot* last_rows,
                    Bounds bounds, bool settled, int64_t weights) {
  constexpr double rounding = 1e-6;  // more than that of all additions
  const Filter filter = given;
  auto parts = filter.template each_of<float>(), foretold = parts;
  double share = (1 + rounding) * std::fabs(foretelling(filter.rows, parts)), other = 0;
  foretelling(last_rows, foretold);
  for (int64_t s = 0; s < filter.count; s++) {
    double differs = std::fabs(double(parts[s]) - foretold[s]);
    other += (differs + rounding * std::fabs(parts[s])) * bounds.most[s];
  }
  F slope = all(float(share) + std::numeric_limits<float>::min());
  F level = all(float(other) + std::numeric_limits<float>::min());
  return count_flips(weights, [&](int64_t i, auto n) {
    F y = streamed(gradient, i, n);
    keep(kept + i, gradient + i, n);
    S32 near = ~(fused(slope, magnitude(y), level) < all(bounds.least[i / LANES]));
    if (settled && !any((U32)near)) return near;
    filter.each([&](auto s, auto order) {
      y = through(filter.rows[s], order, y, order > 0 ? load(filter.places[s].w + i, n) : F{});
    });
    return flip_where(b + i, y, n);
  });
}

struct Most {
  F w;
};

// The step after `slots_ahead`: what it kept enters by its own rows, then this gradient. Writes the
// bounds for the next `slots_ahead`.
template <class T, class Filter>
[[gnu::flatten]] int64_t slots_behind(T* b, const Filter& given, const T* gradient, const T* kept,
                     const Slot* last_rows, Bounds bounds, bool settled, int64_t weights) {
  const Filter filter = given;
  const auto first = filter.each_of(last_rows);
  auto parts = filter.template each_of<float>();
  auto most = filter.template each_of<Most>();
  foretelling(filter.rows, parts);
  int64_t flips = count_flips(filter, weights, [&](int64_t i, auto n, auto& states) {
    F before = streamed(kept, i, n), y = streamed(gradient, i, n), foretold = {};
    filter.each([&](auto s, auto order) {
      F x = before;
      before = through(first[s], order, x, states[s].w);
      enter(first[s], order, x, states[s]);
      x = y;
      y = through(filter.rows[s], order, x, states[s].w);
      enter(filter.rows[s], order, x, states[s]);
      most[s].w = larger(magnitude(states[s].w), most[s].w);
      foretold = fused(all(parts[s]), states[s].w, foretold);
    });
    S32 agree = y * foretold > 0;
    bounds.least[i / LANES] = smallest((F)((U32)magnitude(foretold) & (U32)agree));
    S32 keeps = y * before > 0;  // and b was set against `before`
    if (settled && !any(~(U32)keeps)) return keeps ^ keeps;
    return flip_where(b + i, y, n);
  });
  for (int64_t s = 0; s < filter.count; s++) bounds.most[s] = largest(most[s].w);
  return flips;
}

// As each_trial, with the trial's filter.
template <class Step>
inline void each_filter(int64_t tensors, int64_t trials, const int64_t* weights, int64_t* flips,
                        float* const* states, int64_t n_slots, const Slot* rows, Step step) {
  std::vector<Place> places(n_slots);
  each_trial(tensors, trials, weights, flips, [&](int64_t i, int64_t k, int64_t at) {
    float* const* state = states + i;
    for (Place& place : places) {
      place = {from(state[0], at), from(state[tensors], at)};
      state += 2 * tensors;
    }
    Looped filter = {n_slots, rows + n_slots * k, places.data()};
    while (filter.count > 1 && fills_up(filter.rows[filter.count - 1])) filter.count--;
    return unrolled(filter, [&](const auto& known) { return step(i, k, at, known); });
  });
}

}  // namespace
