// The few operations that torch takes many passes for, each in one or two. Plain C functions,
// called through ctypes; single-threaded, since a worker is one process per core. Every one has a
// twin in torch that it is tested against.

#include "binary_forward.h"
#include "binary_product_gradient.h"
#include "filters.h"
#include "layers.h"

extern "C" int64_t tuner_mask_bytes(int64_t rows, int64_t channels) {
  return rows * row_lanes(channels) * int64_t(sizeof(Lanes));
}

#define LAYERS(T, SUFFIX)                                                                         \
  extern "C" void tuner_norm_sign_##SUFFIX(                                                       \
      const T* x, int64_t groups, int64_t rows, int64_t channels, int training, float eps,        \
      float momentum, float* running_mean, float* running_var, const float* weight,               \
      const float* bias, const T* residual, float* mean, float* invstd, T* z, Lanes* mask,        \
      T* signs) {                                                                                 \
    for (int64_t g = 0; g < groups; g++) {                                                        \
      int64_t c = g * channels, at = c * rows;                                                    \
      if (training)                                                                               \
        moments(x + at, rows, channels, eps, momentum, running_mean + c, running_var + c,         \
                mean + c, invstd + c);                                                            \
      else                                                                                        \
        for (int64_t j = c; j < c + channels; j++)                                                \
          mean[j] = running_mean[j], invstd[j] = 1 / std::sqrt(running_var[j] + eps);             \
      normalise(x + at, rows, channels, mean + c, invstd + c, weight + c, bias + c,               \
                residual ? residual + at : nullptr, z ? z + at : nullptr,                         \
                mask ? mask + g * rows * row_lanes(channels) : nullptr, signs + at);              \
    }                                                                                             \
  }                                                                                               \
  extern "C" void tuner_norm_sign_backward_##SUFFIX(                                              \
      const T* gz, const T* gs, const T* x, const Lanes* mask, int64_t groups, int64_t rows,      \
      int64_t channels, int training, const float* mean, const float* invstd,                     \
      const float* weight, const float* bias, T* inner, T* dx, float* dweight, float* dbias) {    \
    for (int64_t g = 0; g < groups; g++) {                                                        \
      int64_t c = g * channels, at = c * rows;                                                    \
      normalise_backward(gz ? gz + at : nullptr, gs + at, x + at,                                 \
                         mask ? mask + g * rows * row_lanes(channels) : nullptr, rows,            \
                         channels, training != 0, mean + c, invstd + c, weight + c, bias + c,     \
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

#define STEPS(T, SUFFIX)                                                                          \
  extern "C" void tuner_cascade_##SUFFIX(                                                         \
      int64_t tensors, int64_t trials, const int64_t* weights, int64_t* flips,                    \
      const int64_t* settled, T* const* b, float* const* m, float* const* s,                      \
      const T* const* gradient, const float* alpha, const float* gamma) {                         \
    each_trial(tensors, trials, weights, flips, [&](int64_t i, int64_t k, int64_t at) {           \
      return cascade(b[i] + at, from(m[i], at), s[i] + at, gradient[i] + at, alpha[k], gamma[k],  \
                     settled[i] != 0, weights[i]);                                                \
    });                                                                                           \
  }                                                                                               \
  extern "C" void tuner_bop_##SUFFIX(                                                             \
      int64_t tensors, int64_t trials, const int64_t* weights, int64_t* flips,                    \
      const int64_t* settled, T* const* b, float* const* m, const T* const* gradient,             \
      const float* gamma, const float* tau) {                                                     \
    each_trial(tensors, trials, weights, flips, [&](int64_t i, int64_t k, int64_t at) {           \
      return bop(b[i] + at, m[i] + at, gradient[i] + at, gamma[k], tau[k], settled[i] != 0,       \
                 weights[i]);                                                                     \
    });                                                                                           \
  }                                                                                               \
  extern "C" void tuner_latent_sgd_##SUFFIX(                                                      \
      int64_t tensors, int64_t trials, const int64_t* weights, int64_t* flips,                    \
      const int64_t* settled, T* const* p, float* const* w, float* const* m,                      \
      const T* const* gradient, const int64_t* channels, const int64_t* fresh, const float* rate, \
      const float* decay, const float* momentum, const float* clip, const float* scaled,          \
      float dampening, int coupled, int nesterov) {                                               \
    each_trial(tensors, trials, weights, flips, [&](int64_t i, int64_t k, int64_t at) {           \
      LatentOptions o = {rate[k],      decay[k],      momentum[k],   clip[k],                     \
                         dampening,    coupled != 0,  nesterov != 0, fresh[i] != 0,               \
                         settled[i] != 0 && scaled[k] == 0};                                      \
      int64_t flipped =                                                                           \
          latent_sgd(p[i] + at, w[i] + at, from(m[i], at), gradient[i] + at, o, weights[i]);      \
      if (scaled[k] != 0) scale(p[i] + at, w[i] + at, channels[i], weights[i] / channels[i]);     \
      return flipped;                                                                             \
    });                                                                                           \
  }                                                                                               \
  extern "C" void tuner_latent_adam_##SUFFIX(                                                     \
      int64_t tensors, int64_t trials, const int64_t* weights, int64_t* flips,                    \
      const int64_t* settled, T* const* p, float* const* w, float* const* m, float* const* v,     \
      const T* const* gradient, const int64_t* channels, const float* rate, const float* decay,   \
      const float* keep, const float* first, const float* second, const float* unbias,            \
      const float* clip, const float* scaled, float eps, int coupled) {                           \
    each_trial(tensors, trials, weights, flips, [&](int64_t i, int64_t k, int64_t at) {           \
      AdamOptions o = {rate[k], decay[k], keep[k],     first[k],                                  \
                       second[k], unbias[k], eps, clip[k],                                        \
                       coupled != 0, settled[i] != 0 && scaled[k] == 0};                          \
      int64_t flipped = latent_adam(p[i] + at, w[i] + at, m[i] + at, v[i] + at,                   \
                                    gradient[i] + at, o, weights[i]);                             \
      if (scaled[k] != 0) scale(p[i] + at, w[i] + at, channels[i], weights[i] / channels[i]);     \
      return flipped;                                                                             \
    });                                                                                           \
  }

#define BEHIND(T, SUFFIX, WAY)                                                                    \
  extern "C" void tuner_slots_##WAY##_##SUFFIX(                                                   \
      int64_t tensors, int64_t trials, const int64_t* weights, int64_t* flips,                    \
      const int64_t* settled, T* const* b, float* const* states, const T* const* gradient,        \
      int64_t n_slots, const Slot* rows, T* const* kept, const Slot* last_rows, float* most,      \
      float* const* least) {                                                                      \
    each_filter(tensors, trials, weights, flips, states, n_slots, rows,                           \
                [&](int64_t i, int64_t k, int64_t at, const auto& filter) {                       \
                  Bounds bounds = {most + n_slots * (i * trials + k),                             \
                                   least[i] + k * vectors(weights[i])};                           \
                  return slots_##WAY(b[i] + at, filter, gradient[i] + at, kept[i] + at,           \
                                     last_rows + n_slots * k, bounds, settled[i] != 0,            \
                                     weights[i]);                                                 \
                });                                                                               \
  }

#define FILTERS(T, SUFFIX)                                                                        \
  extern "C" void tuner_slots_##SUFFIX(                                                           \
      int64_t tensors, int64_t trials, const int64_t* weights, int64_t* flips, const int64_t*,    \
      T* const* b, float* const* states, const T* const* gradient, int64_t n_slots,               \
      const Slot* rows) {                                                                         \
    each_filter(tensors, trials, weights, flips, states, n_slots, rows,                           \
                [&](int64_t i, int64_t, int64_t at, const auto& filter) {                         \
                  return slots(b[i] + at, filter, gradient[i] + at, weights[i]);                  \
                });                                                                               \
  }                                                                                               \
  BEHIND(T, SUFFIX, ahead)                                                                        \
  BEHIND(T, SUFFIX, behind)

LAYERS(float, f32)
LAYERS(bf16, bf16)
STEPS(float, f32)
STEPS(bf16, bf16)
FILTERS(float, f32)
FILTERS(bf16, bf16)

#ifdef TUNER_BINARY
#define BINARY(T, SUFFIX)                                                                         \
  extern "C" int tuner_binary_pack_##SUFFIX(const T* x, int64_t images, int64_t groups,           \
                                            int64_t height, int64_t width, int64_t channels,      \
                                            uint16_t* bits) {                                     \
    return pack({images, groups, height, width, channels, 0, 1}, x, bits);                        \
  }                                                                                               \
  extern "C" int tuner_binary_pack_weights_##SUFFIX(const T* w, int64_t rows, int64_t channels,   \
                                                    uint16_t* bits) {                             \
    return pack_weights(w, rows, channels, bits);                                                 \
  }                                                                                               \
  extern "C" void tuner_binary_forward_##SUFFIX(                                                  \
      const uint16_t* bits, const uint16_t* weights, int64_t images, int64_t groups,              \
      int64_t height, int64_t width, int64_t channels, int64_t outputs, int64_t stride, T* out) { \
    binary_forward({images, groups, height, width, channels, outputs, stride}, bits, weights,     \
                   out);                                                                          \
  }                                                                                               \
  extern "C" void tuner_binary_backward_##SUFFIX(                                                 \
      const T* g, const uint16_t* bits, const uint16_t* weights, int64_t images, int64_t groups,  \
      int64_t height, int64_t width, int64_t channels, int64_t outputs, int64_t stride, T* dx,    \
      T* dw) {                                                                                    \
    binary_backward({images, groups, height, width, channels, outputs, stride}, g, bits, weights, \
                    dx, dw);                                                                      \
  }
BINARY(float, f32)
BINARY(bf16, bf16)

#define PRODUCT(T, SUFFIX, OUT, OUT_SUFFIX)                                                       \
  extern "C" int tuner_binary_product_##SUFFIX##_##OUT_SUFFIX(                                    \
      const T* x, const T* w, int64_t groups, int64_t rows, int64_t size, int64_t outputs,        \
      OUT* out) {                                                                                 \
    return binary_product({groups, rows, size, outputs}, x, w, out);                              \
  }
#define PRODUCT_BACKWARD(T, SUFFIX)                                                               \
  extern "C" void tuner_binary_product_backward_##SUFFIX(                                         \
      const T* g, const T* x, const T* w, int64_t groups, int64_t rows, int64_t size,             \
      int64_t outputs, T* dx, T* dw) {                                                            \
    binary_product_backward({groups, rows, size, outputs}, g, x, w, dx, dw);                      \
  }
PRODUCT(float, f32, float, f32)
PRODUCT(bf16, bf16, bf16, bf16)
PRODUCT(bf16, bf16, float, f32)
PRODUCT_BACKWARD(float, f32)
PRODUCT_BACKWARD(bf16, bf16)
extern "C" int tuner_binary_most() { return MOST; }
#endif
