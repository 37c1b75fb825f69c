// Steps of update rules: state, signs and the count of flips in one pass. Twins in torch:
// tuner/optim/flip.py, tuner/optim/latent.py. T, the type of weights and gradients, is float or
// bf16; state is float. A call is about many tensors, each of K trials one after the other.

#pragma once

#include <algorithm>

#include "vectors.h"

namespace {

// Call step(tensor, trial, where the trial begins in it) for each; add up the flips it returns.
template <class Step>
inline void each_trial(int64_t tensors, int64_t trials, const int64_t* weights, int64_t* flips,
                       Step step) {
  std::fill_n(flips, trials, 0);
  for (int64_t i = 0; i < tensors; i++)
    for (int64_t k = 0; k < trials; k++) flips[k] += step(i, k, k * weights[i]);
}

template <class T>
inline T* from(T* tensor, int64_t first) {  // a tensor that is not there is nullptr
  return tensor ? tensor + first : nullptr;
}

// Call step(i, n) over the vectors of P weights; returns the sum of the 0 and -1 it gives, negated.
template <class Step>
inline int64_t count_flips(int64_t weights, Step step) {
  using I32 = int32_t __attribute__((vector_size(LANES * 4)));
  I32 counts = {};
  int64_t i = 0, flips = 0;
  for (; i + LANES <= weights; i += LANES) counts -= (I32)step(i, All());
  for (int lane = 0; lane < LANES; lane++) flips += counts[lane];
  if (i < weights) {
    I32 last = (I32)step(i, int(weights - i));
    for (int lane = 0; lane < weights - i; lane++) flips -= last[lane];
  }
  return flips;
}

inline F lerp(F from, F to, float weight) {  // as torch.lerp rounds it
  return weight < 0.5f ? from + weight * (to - from) : to - (1 - weight) * (to - from);
}

// FilterFlip's step on P weights: two moving averages, flip where s b > 0. m is nullptr for one.
// Settled: b is what the last step left, so it differs in sign from s, and where s keeps its sign
// it need not be looked at.
template <class T>
int64_t cascade(T* b, float* m, float* s, const T* gradient, float alpha, float gamma,
                bool settled, int64_t weights) {
  auto step = [&](auto average) {
    return count_flips(weights, [&](int64_t i, auto n) {
      F last = load(s + i, n), next = lerp(last, average(i, n), alpha);
      store(s + i, next, n);
      auto kept = last * next > 0;
      if (settled && !any(~(U32)kept)) return kept ^ kept;
      F before = load(b + i, n);
      auto flip = next * before > 0;
      if (any((U32)flip)) store(b + i, flip ? -before : before, n);  // spares memory: few flip
      return flip;
    });
  };
  if (!m) return step([&](int64_t i, auto n) { return load(gradient + i, n); });
  return step([&](int64_t i, auto n) {
    F average = lerp(load(m + i, n), load(gradient + i, n), gamma);
    return store(m + i, average, n), average;
  });
}

// Bop's step on P weights: one moving average, flip where m b > tau. Settled as in `cascade`.
template <class T>
int64_t bop(T* b, float* m, const T* gradient, float gamma, float tau, bool settled,
            int64_t weights) {
  return count_flips(weights, [&](int64_t i, auto n) {
    F next = lerp(load(m + i, n), load(gradient + i, n), gamma);
    store(m + i, next, n);
    auto strong = (next > tau) | (next < -tau);
    if (settled && !any((U32)strong)) return strong;
    F before = load(b + i, n);
    auto flip = next * before > tau;
    if (any((U32)flip)) store(b + i, flip ? -before : before, n);
    return flip;
  });
}

// A latent rule's step on P weights: `move` gives the next latent weights, which are clipped. `p`
// holds the signs, or the scaled signs that forward used, and receives the new signs. Settled: p is
// what the last step left, the signs of w, and is only looked at where w changes its own.
template <class T, class Move>
inline int64_t latent(T* p, float* w, const T* gradient, float clip, bool settled, int64_t weights,
                      Move move) {
  return count_flips(weights, [&](int64_t i, auto n) {
    F last = load(w + i, n), next = move(i, n, last, load(gradient + i, n));
    next = next > clip ? all(clip) : next;
    next = next < -clip ? all(-clip) : next;
    F after = sign(next);
    store(w + i, next, n);
    auto turned = after != sign(last);
    if (settled && !any((U32)turned)) return turned;
    auto flip = after * load(p + i, n) < 0;
    store(p + i, after, n);
    return flip;
  });
}

struct LatentOptions {
  float rate, decay, momentum, clip, dampening;
  bool coupled, nesterov, fresh, settled;
};

// LatentSGD's step on P weights; see its docstring. m is nullptr without momentum.
template <class T>
int64_t latent_sgd(T* p, float* w, float* m, const T* gradient, const LatentOptions& o,
                   int64_t weights) {
  auto step = [&](auto move) {
    return latent(p, w, gradient, o.clip, o.settled, weights, move);
  };
  float keep = 1 - o.rate * o.decay, fed = o.momentum > 0 ? 1 - o.dampening : 1;
  if (!o.coupled && !m)
    return step([&](int64_t, auto, F x, F g) { return x * keep - o.rate * g; });
  if (!o.coupled)
    return step([&](int64_t i, auto n, F x, F g) {
      F average = lerp(load(m + i, n), g, 1 - o.momentum);
      return store(m + i, average, n), x * keep - o.rate * average;
    });
  if (!m) return step([&](int64_t, auto, F x, F g) { return x - o.rate * (g + o.decay * x); });
  return step([&](int64_t i, auto n, F x, F g) {
    F d = g + o.decay * x;
    F average = o.fresh ? d : o.momentum * load(m + i, n) + fed * d;
    store(m + i, average, n);
    return x - o.rate * (o.nesterov ? d + o.momentum * average : average);
  });
}

struct AdamOptions {
  float rate, decay, keep, first, second, unbias, eps, clip;
  bool coupled, settled;
};

// LatentAdam's step on P weights, or LatentAdamW's if it is not coupled. `rate` holds the first
// average's bias correction, `unbias` is the second's; `first` and `second` weigh what is new.
template <class T>
int64_t latent_adam(T* p, float* w, float* m, float* v, const T* gradient, const AdamOptions& o,
                    int64_t weights) {
  auto move = [&](int64_t i, auto n, F x, F g) {
    if (o.coupled) g = g + o.decay * x;
    F mean = lerp(load(m + i, n), g, o.first), square = lerp(load(v + i, n), g * g, o.second);
    store(m + i, mean, n), store(v + i, square, n);
    F direction = mean / (root(square / o.unbias) + o.eps);
    return o.coupled ? x - o.rate * direction : x * o.keep - o.rate * direction;
  };
  return latent(p, w, gradient, o.clip, o.settled, weights, move);
}

// Multiplies the signs p of each channel by the channel's mean |w|.
template <class T>
void scale(T* p, const float* w, int64_t channels, int64_t size) {
  for (int64_t c = 0; c < channels; c++, p += size, w += size) {
    F sums = {};
    by_vectors(size, [&](int64_t i, auto n) {
      F x = load(w + i, n);
      sums += x < 0 ? -x : x;
    });
    float sum = 0;
    for (int lane = 0; lane < LANES; lane++) sum += sums[lane];
    F mean = all(sum / size);
    by_vectors(size, [&](int64_t i, auto n) { store(p + i, load(p + i, n) * mean, n); });
  }
}

}  // namespace
