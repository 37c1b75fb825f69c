// The few operations that torch takes many passes for, each in one or two. Plain C functions,
// called through ctypes; single-threaded, since a worker is one process per core. Every one has a
// twin in torch that it is tested against.

#include "layers.h"
#include "steps.h"

#define LAYERS(T, SUFFIX)                                                                         \
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
      int64_t channels, int training, const float* mean, const float* invstd,                     \
      const float* weight, const float* bias, T* inner, T* dx, float* dweight, float* dbias) {    \
    for (int64_t g = 0; g < groups; g++) {                                                        \
      int64_t c = g * channels, at = c * rows;                                                    \
      normalise_backward(gz ? gz + at : nullptr, gs + at, x + at, z ? z + at : nullptr, rows,     \
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
  extern "C" void tuner_cascade_##SUFFIX(T* b, float* m, float* s, const T* gradient,             \
                                         const float* alpha, const float* gamma, int settled,     \
                                         int64_t trials, int64_t weights, int64_t* flips) {       \
    for (int64_t k = 0; k < trials; k++) {                                                        \
      int64_t at = k * weights;                                                                   \
      flips[k] = cascade(b + at, m ? m + at : nullptr, s + at, gradient + at, alpha[k], gamma[k], \
                         settled != 0, weights);                                                  \
    }                                                                                             \
  }                                                                                               \
  extern "C" void tuner_latent_sgd_##SUFFIX(                                                      \
      T* p, float* w, float* m, const T* gradient, const float* rate, const float* decay,         \
      const float* momentum, const float* clip, const float* scaled, float dampening,             \
      int coupled, int nesterov, int fresh, int settled, int64_t channels, int64_t trials,        \
      int64_t weights, int64_t* flips) {                                                          \
    for (int64_t k = 0; k < trials; k++) {                                                        \
      int64_t at = k * weights;                                                                   \
      LatentOptions o = {rate[k],      decay[k],      momentum[k], clip[k],                       \
                         dampening,    coupled != 0,  nesterov != 0, fresh != 0,                  \
                         settled != 0 && scaled[k] == 0};                                         \
      flips[k] = latent_sgd(p + at, w + at, m ? m + at : nullptr, gradient + at, o, weights);     \
      if (scaled[k] != 0) scale(p + at, w + at, channels, weights / channels);                    \
    }                                                                                             \
  }

LAYERS(float, f32)
LAYERS(bf16, bf16)
STEPS(float, f32)
STEPS(bf16, bf16)
