// The few operations that torch takes many passes for, each in one or two. Plain C, called through
// ctypes; single-threaded, since a worker is one process per core. Every function has a twin in
// torch that it is tested against: tuner/bnn/normsign.py, tuner/optim/flip.py, tuner/optim/latent.py.
//
// Activations are [groups, rows, channels] with channels innermost: [K, N, C] of a fully connected
// network, or channels_last [N, K*C, H, W] as one group of N*H*W rows. T is float or bfloat16.
// Arithmetic is in float, sums over rows in float by blocks of rows and in double over the blocks.

#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#if defined(__clang__)
#define IVDEP _Pragma("clang loop vectorize(assume_safety)")
#else
#define IVDEP _Pragma("GCC ivdep")  // the arrays of one loop never overlap
#endif

namespace {

constexpr int64_t BLOCK = 64;  // rows whose sums stay in float
constexpr int LANES = 16;      // channels of one vector

// Vectors of 16 in GCC's and clang's own notation: compiled for whatever the processor has.
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
inline void store(bf16* to, F x, N n) {  // to nearest, ties to even
  U32 bits = (U32)x;
  U16 rounded = __builtin_convertvector((bits + 0x7fff + ((bits >> 16) & 1)) >> 16, U16);
  std::memcpy(to, &rounded, n * sizeof(bf16));
}

inline F all(float x) { return x - F{}; }
inline F sign(F x) { return x >= 0 ? all(1) : all(-1); }
inline F inside(F x, F gradient) {  // what passes a sign: the straight-through estimator
  return (x < 1) & (x > -1) ? gradient : all(0);
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

// Over the rows of some channels: the sums of g and of g (x - centre), where value(at, i, x - centre)
// gives the g of the i-th vector. Floats in registers over BLOCK rows, doubles over the blocks.
template <int B, class N, class T, class Value>
inline void sum_rows(const T* x, int64_t rows, int64_t channels, Vectors<B>, N n, const F* centre,
                     double* plain, double* scaled, Value value) {
  for (int j = 0; j < B * LANES; j++) plain[j] = scaled[j] = 0;
  for (int64_t start = 0; start < rows; start += BLOCK) {
    int64_t end = start + BLOCK < rows ? start + BLOCK : rows;
    F a[B] = {}, b[B] = {};
    for (int64_t at = start * channels; at < end * channels; at += channels)
      for (int i = 0; i < B; i++) {
        F deviation = load(x + at + i * LANES, n) - centre[i];
        F g = value(at + i * LANES, i, deviation);
        a[i] += g, b[i] += g * deviation;
      }
    for (int j = 0; j < B * LANES; j++)
      plain[j] += a[j / LANES][j % LANES], scaled[j] += b[j / LANES][j % LANES];
  }
}

// Mean and 1/sqrt(variance + eps) of each channel of one group; updates the running statistics.
template <class T>
void moments(const T* x, int64_t rows, int64_t channels, float eps, float momentum,
             float* running_mean, float* running_var, float* mean, float* invstd) {
  by_channels(channels, [&](int64_t c, auto vectors, auto n) {
    double first[4 * LANES], second[4 * LANES];
    F shift[vectors];  // the first row: what is left to square is small beside the deviation
    for (int i = 0; i < vectors; i++) shift[i] = load(x + c + i * LANES, n);
    sum_rows(x + c, rows, channels, vectors, n, shift, first, second,
             [](int64_t, int, F deviation) { return deviation; });
    for (int j = 0; j < (vectors - 1) * LANES + n; j++) {
      double m = first[j] / rows;
      double var = second[j] / rows - m * m;
      if (var < 0) var = 0;
      mean[c + j] = float(shift[j / LANES][j % LANES] + m);
      invstd[c + j] = float(1 / std::sqrt(var + eps));
      running_mean[c + j] += momentum * (mean[c + j] - running_mean[c + j]);
      running_var[c + j] += momentum * (float(var * rows / (rows - 1)) - running_var[c + j]);
    }
  });
}

// Batch norm's numbers of some channels: y = (x - centre) scale + offset.
template <int B>
struct Affine {
  F centre[B], scale[B], offset[B];
  template <class N>
  Affine(int64_t c, N n, const float* mean, const float* invstd, const float* weight,
         const float* bias) {
    for (int i = 0; i < B; i++, c += LANES) {
      centre[i] = load(mean + c, n);
      scale[i] = load(invstd + c, n) * load(weight + c, n);
      offset[i] = load(bias + c, n);
    }
  }
};

// z = batch norm of x, + residual where there is one, written where z is wanted; and its sign.
template <class T>
void normalise(const T* x, int64_t rows, int64_t channels, const float* mean, const float* invstd,
               const float* weight, const float* bias, const T* residual, T* z, T* signs) {
  by_channels(channels, [&](int64_t c, auto vectors, auto n) {
    Affine<vectors> affine(c, n, mean, invstd, weight, bias);
    auto over_rows = [&](auto also) {
      for (int64_t row = c; row < rows * channels; row += channels)
        for (int i = 0; i < vectors; i++) {
          int64_t at = row + i * LANES;
          F y = (load(x + at, n) - affine.centre[i]) * affine.scale[i] + affine.offset[i];
          store(signs + at, sign(also(at, y)), n);
        }
    };
    if (residual)
      over_rows([&](int64_t at, F y) { return y += load(residual + at, n), store(z + at, y, n), y; });
    else if (z)
      over_rows([&](int64_t at, F y) { return store(z + at, y, n), y; });
    else
      over_rows([&](int64_t, F y) { return y; });
  });
}

// Backward of normalise in training. `inner` receives the gradient that reaches batch norm, masked
// to |z| < 1 where it came through the sign; it is the residual's gradient too, and dx is written
// from it. z is what forward wrote, or nullptr: then it is computed again from x.
template <class T>
void normalise_backward(const T* gz, const T* gs, const T* x, const T* z, int64_t rows,
                        int64_t channels, const float* mean, const float* invstd,
                        const float* weight, const float* bias, T* inner, T* dx, float* dweight,
                        float* dbias) {
  by_channels(channels, [&](int64_t c, auto vectors, auto n) {
    double plain[4 * LANES], scaled[4 * LANES];
    Affine<vectors> affine(c, n, mean, invstd, weight, bias);
    auto through_sign = [&](int64_t at, int i, F deviation) {
      return inside(deviation * affine.scale[i] + affine.offset[i], load(gs + c + at, n));
    };
    auto from_z = [&](int64_t at, int, F) {
      F g = inside(load(z + c + at, n), load(gs + c + at, n));
      return store(inner + c + at, g, n), g;
    };
    auto from_both = [&](int64_t at, int, F) {
      F g = inside(load(z + c + at, n), load(gs + c + at, n)) + load(gz + c + at, n);
      return store(inner + c + at, g, n), g;
    };
    auto sum = [&](auto value) {
      sum_rows(x + c, rows, channels, vectors, n, affine.centre, plain, scaled, value);
    };
    if (!z)
      sum(through_sign);
    else if (!gz)
      sum(from_z);
    else
      sum(from_both);
    F along[vectors], constant[vectors];  // dx = scale g + along (x - mean) + constant
    for (int j = 0; j < (vectors - 1) * LANES + n; j++) {
      int i = j / LANES, lane = j % LANES;
      float scale = affine.scale[i][lane];
      double dw = scaled[j] * invstd[c + j];
      dweight[c + j] = float(dw);
      dbias[c + j] = float(plain[j]);
      along[i][lane] = float(-scale * invstd[c + j] * dw / rows);
      constant[i][lane] = float(-scale * plain[j] / rows);
    }
    auto write = [&](auto gradient) {
      for (int64_t row = 0; row < rows * channels; row += channels)
        for (int i = 0; i < vectors; i++) {
          int64_t at = row + i * LANES;
          F d = load(x + c + at, n) - affine.centre[i];
          F g = gradient(at, i, d);
          store(dx + c + at, affine.scale[i] * g + along[i] * d + constant[i], n);
        }
    };
    if (z)
      write([&](int64_t at, int, F) { return load(inner + c + at, n); });
    else
      write(through_sign);
  });
}

// 2x2 maximum of one image [height, width, channels]; `which` is the first of the four that has it.
template <class T>
void pool(const T* x, int64_t height, int64_t width, int64_t channels, T* out, uint8_t* which) {
  for (int64_t i = 0; i < height / 2; i++)
    for (int64_t j = 0; j < width / 2; j++) {
      const T* corner = x + (2 * i * width + 2 * j) * channels;
      int64_t to = (i * (width / 2) + j) * channels;
      auto step = [&](int64_t c, auto n) {
        F best = load(corner + c, n);
        U32 first = {};
        for (uint32_t k = 1; k < 4; k++) {
          F next = load(corner + c + (k / 2 * width + k % 2) * channels, n);
          auto more = (next > best) | (next != next);  // as torch, let NaN win
          best = more ? next : best;
          first = more ? U32{} + k : first;
        }
        store(out + to + c, best, n);
        U8 bytes = __builtin_convertvector(first, U8);
        std::memcpy(which + to + c, &bytes, n);
      };
      by_channels(channels, [&](int64_t c, auto vectors, auto n) {
        for (int v = 0; v < vectors; v++) step(c + v * LANES, n);
      });
    }
}

template <class T>
void pool_backward(const T* g, const uint8_t* which, int64_t height, int64_t width,
                   int64_t channels, T* dx) {
  using V = typename Raw<T>::V;
  for (int64_t i = 0; i < height / 2; i++)
    for (int64_t j = 0; j < width / 2; j++) {
      T* corner = dx + (2 * i * width + 2 * j) * channels;
      int64_t from = (i * (width / 2) + j) * channels;
      auto step = [&](int64_t c, auto n) {
        V gradient = bits_at<V>(g + from + c, n);
        V first = __builtin_convertvector(bits_at<U8>(which + from + c, n), V);
        for (uint32_t k = 0; k < 4; k++) {
          V part = gradient & (V)(first == (V{} + typename Raw<T>::Scalar(k)));
          std::memcpy(corner + c + (k / 2 * width + k % 2) * channels, &part, n * sizeof(T));
        }
      };
      by_channels(channels, [&](int64_t c, auto vectors, auto n) {
        for (int v = 0; v < vectors; v++) step(c + v * LANES, n);
      });
    }
  int64_t row = width * channels;  // what the windows leave over has no part in the maximum
  if (width % 2)
    for (int64_t i = 0; i < height; i++)
      std::memset(dx + (i + 1) * row - channels, 0, channels * sizeof(T));
  if (height % 2) std::memset(dx + (height - 1) * row, 0, row * sizeof(T));
}

inline float lerp(float from, float to, float weight) {  // as torch.lerp rounds it
  return weight < 0.5f ? from + weight * (to - from) : to - (to - from) * (1 - weight);
}

}  // namespace

#define FOR_TYPES(NAME, ...) \
  NAME(float, f32, __VA_ARGS__) NAME(bf16, bf16, __VA_ARGS__)

#define FORWARD(T, SUFFIX, ...)                                                                   \
  extern "C" void tuner_norm_sign_##SUFFIX(                                                       \
      const T* x, int64_t groups, int64_t rows, int64_t channels, int training, float eps,        \
      float momentum, float* running_mean, float* running_var, const float* weight,               \
      const float* bias, const T* residual, float* mean, float* invstd, T* z, T* signs) {         \
    for (int64_t g = 0; g < groups; g++) {                                                        \
      int64_t c = g * channels, at = c * rows;                                                    \
      if (training)                                                                               \
        moments(x + at, rows, channels, eps, momentum, running_mean + c, running_var + c,         \
                mean + c, invstd + c);                                                            \
      else                                                                                        \
        for (int64_t j = c; j < c + channels; j++)                                                \
          mean[j] = running_mean[j], invstd[j] = 1 / std::sqrt(running_var[j] + eps);             \
      normalise(x + at, rows, channels, mean + c, invstd + c, weight + c, bias + c,               \
                residual ? residual + at : nullptr, z ? z + at : nullptr, signs + at);            \
    }                                                                                             \
  }                                                                                               \
  extern "C" void tuner_norm_sign_backward_##SUFFIX(                                              \
      const T* gz, const T* gs, const T* x, const T* z, int64_t groups, int64_t rows,             \
      int64_t channels, const float* mean, const float* invstd, const float* weight,              \
      const float* bias, T* inner, T* dx, float* dweight, float* dbias) {                         \
    for (int64_t g = 0; g < groups; g++) {                                                        \
      int64_t c = g * channels, at = c * rows;                                                    \
      normalise_backward(gz ? gz + at : nullptr, gs + at, x + at, z ? z + at : nullptr, rows,     \
                         channels, mean + c, invstd + c, weight + c, bias + c,                    \
                         inner ? inner + at : nullptr, dx + at, dweight + c, dbias + c);          \
    }                                                                                             \
  }                                                                                               \
  extern "C" void tuner_pool_##SUFFIX(const T* x, int64_t images, int64_t height, int64_t width,  \
                                      int64_t channels, T* out, uint8_t* which) {                 \
    int64_t pooled = (height / 2) * (width / 2) * channels;                                       \
    for (int64_t n = 0; n < images; n++)                                                          \
      pool(x + n * height * width * channels, height, width, channels, out + n * pooled,          \
           which + n * pooled);                                                                   \
  }                                                                                               \
  extern "C" void tuner_pool_backward_##SUFFIX(const T* g, const uint8_t* which, int64_t images,  \
                                               int64_t height, int64_t width, int64_t channels,   \
                                               T* dx) {                                           \
    int64_t pooled = (height / 2) * (width / 2) * channels;                                       \
    for (int64_t n = 0; n < images; n++)                                                          \
      pool_backward(g + n * pooled, which + n * pooled, height, width, channels,                  \
                    dx + n * height * width * channels);                                          \
  }

FOR_TYPES(FORWARD, )

// FilterFlip's step on K rows of P weights: two moving averages, flip where s b > 0. m is nullptr
// for one average. flips [K] receives how many signs changed.
extern "C" void tuner_cascade(float* b, float* m, float* s, const float* gradient,
                              const float* alpha, const float* gamma, int64_t trials,
                              int64_t weights, int64_t* flips) {
  for (int64_t k = 0; k < trials; k++) {
    float *bk = b + k * weights, *mk = m ? m + k * weights : nullptr, *sk = s + k * weights;
    const float* gk = gradient + k * weights;
    float a = alpha[k], c = m ? gamma[k] : 1;
    int64_t flipped = 0;
    for (int64_t start = 0; start < weights; start += 4096) {
      int64_t end = start + 4096 < weights ? start + 4096 : weights;
      int32_t count = 0;
      if (m)
        IVDEP
        for (int64_t i = start; i < end; i++) {
          float average = lerp(mk[i], gk[i], c), next = lerp(sk[i], average, a);
          bool flip = next * bk[i] > 0;
          mk[i] = average, sk[i] = next, bk[i] = flip ? -bk[i] : bk[i];
          count += flip;
        }
      else
        IVDEP
        for (int64_t i = start; i < end; i++) {
          float next = lerp(sk[i], gk[i], a);
          bool flip = next * bk[i] > 0;
          sk[i] = next, bk[i] = flip ? -bk[i] : bk[i];
          count += flip;
        }
      flipped += count;
    }
    flips[k] = flipped;
  }
}

// LatentSGD's step on K rows of P weights. `p` holds the signs, or the scaled signs that forward
// used; it receives the new signs. m is nullptr without momentum; `fresh` says that m is not yet
// set (torch.optim.SGD starts its buffer with the first direction).
extern "C" void tuner_latent_sgd(float* p, float* w, float* m, const float* gradient,
                                 const float* rate, const float* decay, const float* momentum,
                                 const float* clip, float dampening, int coupled, int nesterov,
                                 int fresh, int64_t trials, int64_t weights, int64_t* flips) {
  for (int64_t k = 0; k < trials; k++) {
    float *pk = p + k * weights, *wk = w + k * weights, *mk = m ? m + k * weights : nullptr;
    const float* gk = gradient + k * weights;
    float eta = rate[k], lambda = decay[k], mu = m ? momentum[k] : 0, bound = clip[k];
    float keep = 1 - eta * lambda, fed = mu > 0 ? 1 - dampening : 1;
    int64_t flipped = 0;
    for (int64_t start = 0; start < weights; start += 4096) {
      int64_t end = start + 4096 < weights ? start + 4096 : weights;
      int32_t count = 0;
      auto step = [&](auto move) {
        IVDEP
        for (int64_t i = start; i < end; i++) {
          float next = move(i);
          next = next > bound ? bound : next;
          next = next < -bound ? -bound : next;
          float sign = next >= 0 ? 1.0f : -1.0f;
          count += sign * pk[i] < 0;
          wk[i] = next, pk[i] = sign;
        }
      };
      if (!coupled && !m)
        step([&](int64_t i) { return wk[i] * keep - eta * gk[i]; });
      else if (!coupled)
        step([&](int64_t i) {
          return wk[i] * keep - eta * (mk[i] = lerp(mk[i], gk[i], 1 - mu));
        });
      else if (!m)
        step([&](int64_t i) { return wk[i] - eta * (gk[i] + lambda * wk[i]); });
      else if (fresh)
        step([&](int64_t i) {
          float d = mk[i] = gk[i] + lambda * wk[i];
          return wk[i] - eta * (nesterov ? d + mu * d : d);
        });
      else
        step([&](int64_t i) {
          float d = gk[i] + lambda * wk[i];
          mk[i] = mu * mk[i] + fed * d;
          return wk[i] - eta * (nesterov ? d + mu * mk[i] : mk[i]);
        });
      flipped += count;
    }
    flips[k] = flipped;
  }
}
