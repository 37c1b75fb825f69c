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
#include <vector>

#if defined(__clang__)
#define IVDEP _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define IVDEP _Pragma("GCC ivdep")  // the arrays of one loop never overlap
#else
#define IVDEP
#endif

namespace {

constexpr int64_t BLOCK = 64;  // rows whose sums stay in float

struct bf16 {
  uint16_t bits;
};

inline float load(float x) { return x; }
inline float load(bf16 x) {
  uint32_t bits = uint32_t(x.bits) << 16;
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}
inline void store(float& to, float x) { to = x; }
inline void store(bf16& to, float x) {  // to nearest, ties to even
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  to.bits = uint16_t((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

inline void store_sign(float& to, float x) { to = x >= 0 ? 1.0f : -1.0f; }
inline void store_sign(bf16& to, float x) {
  int32_t bits = x >= 0 ? 0x3f80 : 0xbf80;
  to.bits = uint16_t(bits);
}
inline float inside(float x, float gradient) {  // what passes a sign: the straight-through estimator
  return std::fabs(x) < 1 ? gradient : 0.0f;
}

template <int W>
using Width = std::integral_constant<int, W>;

// Call body(first channel, width) over all channels; most widths are constants, so that the
// compiler keeps the sums of a block of channels in registers.
template <class Body>
inline void by_channels(int64_t channels, Body body) {
  int64_t c = 0;
  for (; c + 64 <= channels; c += 64) body(c, Width<64>());
  if (c + 32 <= channels) body(c, Width<32>()), c += 32;
  if (c + 16 <= channels) body(c, Width<16>()), c += 16;
  if (c < channels) body(c, int(channels - c));
}

// Two sums over the rows of a block of up to 64 channels. add(row, j, a, b) adds one element to a
// and b: floats, kept in registers over BLOCK rows, and in double over the blocks.
template <class W, class Add>
inline void sum_rows(int64_t rows, W width, double* first, double* second, Add add) {
  for (int j = 0; j < width; j++) first[j] = second[j] = 0;
  for (int64_t start = 0; start < rows; start += BLOCK) {
    int64_t end = start + BLOCK < rows ? start + BLOCK : rows;
    float a[64] = {}, b[64] = {};
    for (int64_t r = start; r < end; r++) {
      IVDEP
      for (int j = 0; j < width; j++) add(r, j, a[j], b[j]);
    }
    for (int j = 0; j < width; j++) first[j] += a[j], second[j] += b[j];
  }
}

// Mean and 1/sqrt(variance + eps) of each channel of one group; updates the running statistics.
template <class T>
void moments(const T* x, int64_t rows, int64_t channels, float eps, float momentum,
             float* running_mean, float* running_var, float* mean, float* invstd) {
  by_channels(channels, [&](int64_t c, auto width) {
    double first[64], second[64];
    float shift[64];  // the first row: what is left to square is small beside the deviation
    for (int j = 0; j < width; j++) shift[j] = load(x[c + j]);
    sum_rows(rows, width, first, second, [&](int64_t r, int j, float& sum, float& squares) {
      float v = load(x[r * channels + c + j]) - shift[j];
      sum += v, squares += v * v;
    });
    IVDEP
    for (int j = 0; j < width; j++) {
      double m = first[j] / rows;
      double var = second[j] / rows - m * m;
      if (var < 0) var = 0;
      mean[c + j] = float(shift[j] + m);
      invstd[c + j] = float(1 / std::sqrt(var + eps));
      running_mean[c + j] += momentum * (mean[c + j] - running_mean[c + j]);
      running_var[c + j] += momentum * (float(var * rows / (rows - 1)) - running_var[c + j]);
    }
  });
}

// y = scale x + offset is batch norm; z = y + residual where there is one; sign of z.
template <class T>
void normalise(const T* x, int64_t rows, int64_t channels, const float* mean, const float* invstd,
               const float* weight, const float* bias, const T* residual, T* z, T* signs) {
  by_channels(channels, [&](int64_t c, auto width) {
    float scale[64], offset[64];
    IVDEP
    for (int j = 0; j < width; j++) {
      scale[j] = invstd[c + j] * weight[c + j];
      offset[j] = bias[c + j] - mean[c + j] * scale[j];
    }
    for (int64_t r = 0; r < rows; r++) {
      int64_t at = r * channels + c;
      if (z == nullptr) {
        IVDEP
        for (int j = 0; j < width; j++)
          store_sign(signs[at + j], load(x[at + j]) * scale[j] + offset[j]);
      } else if (residual == nullptr) {
        IVDEP
        for (int j = 0; j < width; j++) {
          float y = load(x[at + j]) * scale[j] + offset[j];
          store(z[at + j], y);
          store_sign(signs[at + j], y);
        }
      } else {
        IVDEP
        for (int j = 0; j < width; j++) {
          float y = load(x[at + j]) * scale[j] + offset[j] + load(residual[at + j]);
          store(z[at + j], y);
          store_sign(signs[at + j], y);
        }
      }
    }
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
  by_channels(channels, [&](int64_t c, auto width) {
    double plain[64], scaled[64];
    float scale[64], offset[64], centre[64];
    for (int j = 0; j < width; j++) {
      centre[j] = mean[c + j];
      scale[j] = invstd[c + j] * weight[c + j];
      offset[j] = bias[c + j] - centre[j] * scale[j];
    }
    auto from_sign = [&](int64_t r, int j, float& sum, float& along_x) {
      int64_t at = r * channels + c + j;
      float v = load(x[at]), g = inside(v * scale[j] + offset[j], load(gs[at]));
      sum += g, along_x += g * (v - centre[j]);
    };
    auto from_z = [&](int64_t r, int j, float& sum, float& along_x) {
      int64_t at = r * channels + c + j;
      float g = inside(load(z[at]), load(gs[at]));
      store(inner[at], g);
      sum += g, along_x += g * (load(x[at]) - centre[j]);
    };
    auto from_both = [&](int64_t r, int j, float& sum, float& along_x) {
      int64_t at = r * channels + c + j;
      float g = inside(load(z[at]), load(gs[at])) + load(gz[at]);
      store(inner[at], g);
      sum += g, along_x += g * (load(x[at]) - centre[j]);
    };
    if (z == nullptr)
      sum_rows(rows, width, plain, scaled, from_sign);
    else if (gz == nullptr)
      sum_rows(rows, width, plain, scaled, from_z);
    else
      sum_rows(rows, width, plain, scaled, from_both);
    float along[64], constant[64];  // dx = scale g + along x + constant
    IVDEP
    for (int j = 0; j < width; j++) {
      double dw = scaled[j] * invstd[c + j];
      dweight[c + j] = float(dw);
      dbias[c + j] = float(plain[j]);
      along[j] = float(-scale[j] * invstd[c + j] * dw / rows);
      constant[j] = float(-scale[j] * plain[j] / rows) - along[j] * centre[j];
    }
    for (int64_t r = 0; r < rows; r++) {
      int64_t at = r * channels + c;
      if (z == nullptr) {
        IVDEP
        for (int j = 0; j < width; j++) {
          float v = load(x[at + j]);
          float g = inside(v * scale[j] + offset[j], load(gs[at + j]));
          store(dx[at + j], scale[j] * g + along[j] * v + constant[j]);
        }
      } else {
        IVDEP
        for (int j = 0; j < width; j++)
          store(dx[at + j], scale[j] * load(inner[at + j]) + along[j] * load(x[at + j]) + constant[j]);
      }
    }
  });
}

// 2x2 maximum of one image [height, width, channels]; `which` is the first of the four that has it.
template <class T>
void pool(const T* x, int64_t height, int64_t width, int64_t channels, T* out, uint8_t* which) {
  for (int64_t i = 0; i < height / 2; i++)
    for (int64_t j = 0; j < width / 2; j++) {
      const T* a = x + (2 * i * width + 2 * j) * channels;
      const T *b = a + channels, *c = a + width * channels, *d = c + channels;
      int64_t at = (i * (width / 2) + j) * channels;
      IVDEP
      for (int64_t k = 0; k < channels; k++) {
        float va = load(a[k]), vb = load(b[k]), vc = load(c[k]), vd = load(d[k]);
        bool right = vb > va, right_below = vd > vc;
        float top = right ? vb : va, below = right_below ? vd : vc;
        bool lower = below > top;
        store(out[at + k], lower ? below : top);
        which[at + k] = uint8_t(lower ? 2 + right_below : right);
      }
    }
}

template <class T>
void pool_backward(const T* g, const uint8_t* which, int64_t height, int64_t width,
                   int64_t channels, T* dx) {
  T none;
  store(none, 0.0f);
  for (int64_t i = 0; i < height / 2; i++)
    for (int64_t j = 0; j < width / 2; j++) {
      T* a = dx + (2 * i * width + 2 * j) * channels;
      T *b = a + channels, *c = a + width * channels, *d = c + channels;
      int64_t at = (i * (width / 2) + j) * channels;
      IVDEP
      for (int64_t k = 0; k < channels; k++) {
        a[k] = which[at + k] == 0 ? g[at + k] : none;
        b[k] = which[at + k] == 1 ? g[at + k] : none;
        c[k] = which[at + k] == 2 ? g[at + k] : none;
        d[k] = which[at + k] == 3 ? g[at + k] : none;
      }
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
