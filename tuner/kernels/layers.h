// Batch norm with sign, and pooling. Twins in torch: tuner/bnn/normsign.py.
//
// Activations are [groups, rows, channels] with channels innermost: [K, N, C] of a fully connected
// network, or channels_last [N, K*C, H, W] as one group of N*H*W rows. T is float or bf16.
// Arithmetic is in float, sums over rows in float by blocks of rows and in double over the blocks.

#pragma once

#include <cmath>

#include "vectors.h"

namespace {

constexpr int64_t BLOCK = 64;  // rows whose sums stay in float

// Over the rows of some channels: the sums of g and of g (x - centre), where value(at, i, x -
// centre) gives the g of the i-th vector. Floats in registers over BLOCK rows, doubles over the blocks.
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

// The vectors of a row, each of which has one `Lanes` of a row's mask.
inline int64_t row_lanes(int64_t channels) { return (channels + LANES - 1) / LANES; }

// z = batch norm of x, + residual where there is one, written where z is wanted; and its sign. With
// z goes the mask of what passes the sign: backward then reads a bit instead of z.
template <class T>
void normalise(const T* x, int64_t rows, int64_t channels, const float* mean, const float* invstd,
               const float* weight, const float* bias, const T* residual, T* z, Lanes* mask,
               T* signs) {
  by_channels(channels, [&](int64_t c, auto vectors, auto n) {
    Affine<vectors> affine(c, n, mean, invstd, weight, bias);
    Lanes* passed = mask + (mask ? c / LANES : 0);
    const int64_t next = mask ? row_lanes(channels) : 0;
    auto over_rows = [&](auto also) {
      for (int64_t row = c; row < rows * channels; row += channels, passed += next)
        for (int i = 0; i < vectors; i++) {
          int64_t at = row + i * LANES;
          F y = (load(x + at, n) - affine.centre[i]) * affine.scale[i] + affine.offset[i];
          store_sign(signs + at, also(at, i, y), n);
        }
    };
    auto keep = [&](int64_t at, int i, F y) {
      store(z + at, y, n);
      passed[i] = lanes_inside<T>(y);
      return y;
    };
    if (residual)
      over_rows([&](int64_t at, int i, F y) { return keep(at, i, y + load(residual + at, n)); });
    else if (z)
      over_rows(keep);
    else
      over_rows([&](int64_t, int, F y) { return y; });
  });
}

// Backward of normalise; outside training the statistics are constants. `inner` receives the
// gradient that reaches batch norm, masked to |z| < 1 where it came through the sign; it is the
// residual's gradient too, and dx is written from it. The mask is what forward wrote, or nullptr: then
// it is computed again from x.
template <class T>
void normalise_backward(const T* gz, const T* gs, const T* x, const Lanes* mask, int64_t rows,
                        int64_t channels, bool training, const float* mean, const float* invstd,
                        const float* weight, const float* bias, T* inner, T* dx, float* dweight,
                        float* dbias) {
  by_channels(channels, [&](int64_t c, auto vectors, auto n) {
    double plain[4 * LANES], scaled[4 * LANES];
    Affine<vectors> affine(c, n, mean, invstd, weight, bias);
    auto through_sign = [&](int64_t at, int i, F deviation) {
      return inside(deviation * affine.scale[i] + affine.offset[i], load(gs + c + at, n));
    };
    const Lanes* passed = mask + (mask ? c / LANES : 0);
    auto from_signs = [&](int64_t at, int i, F) {
      F g = of_lanes(passed[i], load(gs + c + at, n));
      if (i == vectors - 1) passed += row_lanes(channels);
      return store(inner + c + at, g, n), g;
    };
    auto from_both = [&](int64_t at, int i, F) {
      F g = of_lanes(passed[i], load(gs + c + at, n)) + load(gz + c + at, n);
      if (i == vectors - 1) passed += row_lanes(channels);
      return store(inner + c + at, g, n), g;
    };
    auto sum = [&](auto value) {
      sum_rows(x + c, rows, channels, vectors, n, affine.centre, plain, scaled, value);
    };
    if (!mask)
      sum(through_sign);
    else if (!gz)
      sum(from_signs);
    else
      sum(from_both);
    F along[vectors] = {}, constant[vectors] = {};  // dx = scale g + along (x - mean) + constant
    for (int j = 0; j < (vectors - 1) * LANES + n; j++) {
      int i = j / LANES, lane = j % LANES;
      float scale = affine.scale[i][lane];
      double dw = scaled[j] * invstd[c + j];
      dweight[c + j] = float(dw);
      dbias[c + j] = float(plain[j]);
      if (!training) continue;
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
    if (mask)
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

}  // namespace
