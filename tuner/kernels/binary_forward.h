// 3x3 convolution of signs, forward: XOR, and the ones counted. Exact.

#pragma once

#include "binary.h"

#ifdef TUNER_BINARY

namespace {

constexpr int FOLD = 24;  // words after which counts that are bytes could overflow, were they 31

// How many signs differ from the weights', at P positions for V vectors of outputs: those of so many
// rows of units. An odd unit at the end of a row is half a word of its own.
template <int P, int V, int ROWS>
inline void count_differences(const uint16_t* bits, int64_t row, int64_t step, int64_t units,
                              const uint32_t* weights, int64_t lanes, int32_t* to) {
  Count counts[P][V];
  const Words lower_half = all_words(0xffff);
  for (int r = 0; r < ROWS; r++, bits += row) {
    auto word = [&](int64_t at, auto whole) {
      Words weight[V];
#pragma GCC unroll 4
      for (int v = 0; v < V; v++) weight[v] = words_at(weights + v * WORDS);
      weights += lanes;
#pragma GCC unroll 8
      for (int p = 0; p < P; p++) {
        uint32_t two_units;
        std::memcpy(&two_units, bits + p * step + at, 4);
        Words signs = all_words(two_units);
#pragma GCC unroll 4
        for (int v = 0; v < V; v++)
          if constexpr (whole)
            counts[p][v].add(weight[v], signs);
          else
            counts[p][v].add(weight[v], signs, lower_half);
      }
    };
    auto fold = [&] {
      for (auto& position : counts)
        for (Count& count : position) count.fold();
    };
    for (int64_t at = 0; at + 1 < units; at += 2) {
      word(at, std::true_type());
      if (at / 2 % FOLD == FOLD - 1) fold();
    }
    if (units % 2) word(units - 1, std::false_type());
    fold();
  }
  for (int p = 0; p < P; p++)
    for (int v = 0; v < V; v++) counts[p][v].store(to + p * lanes + v * WORDS);
}

// Rows of outputs: the weights as words of [3, words of a row of taps, lanes], and for each of 16
// kinds of places, by which sides of the window the frame covers, what a count of 0 stands for.
class Forward {
 public:
  Forward(const Convolution& c, const uint16_t* weights) : c_(c), lanes_(parts(c.outputs, UNIT) * UNIT) {
    static thread_local Scratch words, bases, counts;
    int64_t taps = 3 * c.units(), row = parts(taps, 2);
    words_ = words.room<uint32_t>(3 * row * lanes_);
    std::memset(words_, 0, 3 * row * lanes_ * sizeof(uint32_t));
    bases_ = bases.room<int32_t>(16 * lanes_);
    std::memset(bases_, 0, 16 * lanes_ * sizeof(int32_t));
    counts_ = counts.room<int32_t>((c.out_width() + LONG) * lanes_);
    for (int64_t o = 0; o < c.outputs; o++, weights += TAPS * c.units()) {
      for (int64_t at = 0; at < 3 * taps; at++) {
        int64_t word = at / taps * row + at % taps / 2;
        words_[word * lanes_ + o] |= uint32_t(weights[at]) << (at % taps % 2 * UNIT);
      }
      int64_t negative[TAPS] = {};
      for (int64_t at = 0; at < 3 * taps; at++)
        negative[at / c.units()] += __builtin_popcount(weights[at]);
      for (int sides = 0; sides < 16; sides++) {
        int64_t base = TAPS * c.channels;
        for (int tap = 0; tap < TAPS; tap++)
          if (covered(tap, sides)) base -= c.channels - 2 * negative[tap];
        bases_[sides * lanes_ + o] = int32_t(base);
      }
    }
  }

  // The row y of one image's outputs, from its bits, to every `step`th of T.
  template <class T>
  void row(const uint16_t* bits, int64_t y, T* to, int64_t step) {
    const uint16_t* window = bits + y * c_.stride * c_.row_units();
    bool shorter = parts(c_.out_width(), SHORT) * SHORT < parts(c_.out_width(), LONG) * LONG;
    if (shorter)
      count_row<SHORT>(window);
    else
      count_row<LONG>(window);
    int rows = (y == 0) | (y * c_.stride + 2 > c_.height) << 1;
    for (int64_t x = 0; x < c_.out_width(); x++, to += step) {
      int sides = rows | (x == 0) << 2 | (x * c_.stride + 2 > c_.width) << 3;
      by_vectors(c_.outputs, [&](int64_t o, auto n) {
        S32 base, count;
        std::memcpy(&base, bases_ + sides * lanes_ + o, sizeof base);
        std::memcpy(&count, counts_ + x * lanes_ + o, sizeof count);
        store(to + o, __builtin_convertvector(base - 2 * count, F), n);
      });
    }
  }

 private:
  static bool covered(int tap, int sides) {
    return (tap / 3 == 0 && sides & 1) || (tap / 3 == 2 && sides & 2) ||
           (tap % 3 == 0 && sides & 4) || (tap % 3 == 2 && sides & 8);
  }

  template <int P>
  __attribute__((noinline)) void count_row(const uint16_t* window) {
    constexpr int TWO = 2 * UNIT / WORDS, ONE = UNIT / WORDS;
    int64_t units = c_.units(), step = c_.stride * units, row = c_.row_units();
    for (int64_t x = 0; x < c_.out_width(); x += P) {
      const uint16_t* bits = window + x * step;
      int32_t* to = counts_ + x * lanes_;
      int64_t o = 0;
      for (; o + 2 * UNIT <= lanes_; o += 2 * UNIT)
        count_differences<P, TWO, 3>(bits, row, step, 3 * units, words_ + o, lanes_, to + o);
      if (o < lanes_)
        count_differences<P, ONE, 3>(bits, row, step, 3 * units, words_ + o, lanes_, to + o);
    }
  }

  const Convolution c_;
  const int64_t lanes_;
  uint32_t* words_;
  int32_t* bases_;
  int32_t* counts_;
};

template <class T>
void binary_forward(const Convolution& c, const uint16_t* bits, const uint16_t* weights, T* out) {
  int64_t step = c.groups * c.outputs, row = c.out_width() * step;
  for (int64_t g = 0; g < c.groups; g++) {
    Forward forward(c, weights + g * c.outputs * TAPS * c.units());
    for (int64_t n = 0; n < c.images; n++)
      for (int64_t y = 0; y < c.out_height(); y++)
        forward.row(bits + (g * c.images + n) * c.image_units(), y,
                    out + (n * c.out_height() + y) * row + g * c.outputs, step);
  }
}

}  // namespace

#endif
