// Products of signs with signs, [groups, rows, size] times [groups, outputs, size] -> [groups, rows,
// outputs]: XOR, and the ones counted. Exact. Twin in torch: tests/bnn/binary_twin.py.

#pragma once

#include "binary_forward.h"

#ifdef TUNER_BINARY

namespace {

struct Product {
  int64_t groups, rows, size, outputs;
};

// The signs of a matrix of outputs as words [parts(size, 32), lanes], a lane for each output. False
// where a number is neither +1 nor -1.
template <class T>
bool pack_outputs(const T* w, int64_t outputs, int64_t size, int64_t lanes, uint32_t* words) {
  Bits<T> other = {};
  for (int64_t o = 0; o < outputs; o++, w += size) {
    uint32_t* word = words + o;
    uint32_t lower = 0;
    by_units(size, [&](int64_t at, auto n) {
      uint32_t unit = signs_of(w + at, n, other);
      if (at % (2 * UNIT) == 0)
        *word = lower = unit;
      else
        *word = lower | unit << UNIT, word += lanes;
    });
    if (!is_zero(other)) return false;
  }
  return true;
}

// So many rows' outputs from their bits.
template <int P>
__attribute__((noinline)) void count_rows(const uint16_t* bits, int64_t units,
                                          const uint32_t* words, int64_t lanes, int32_t* counts) {
  constexpr int TWO = 2 * UNIT / WORDS, ONE = UNIT / WORDS;
  int64_t o = 0;
  for (; o + 2 * UNIT <= lanes; o += 2 * UNIT)
    count_differences<P, TWO, 1>(bits, 0, units, units, words + o, lanes, counts + o);
  if (o < lanes)
    count_differences<P, ONE, 1>(bits, 0, units, units, words + o, lanes, counts + o);
}

// False where a number is neither +1 nor -1; `out` is of no use then.
template <class T, class Out>
bool binary_product(const Product& p, const T* x, const T* w, Out* out) {
  static thread_local Scratch words_room, bits_room, counts_room;
  int64_t lanes = parts(p.outputs, UNIT) * UNIT, units = parts(p.size, UNIT);
  uint32_t* words = words_room.room<uint32_t>(parts(units, 2) * lanes);
  uint16_t* bits = bits_room.room<uint16_t>(LONG * units + 1);
  int32_t* counts = counts_room.room<int32_t>(LONG * lanes);
  Bits<T> other = {};
  for (int64_t g = 0; g < p.groups; g++, w += p.outputs * p.size) {
    if (!pack_outputs(w, p.outputs, p.size, lanes, words)) return false;
    for (int64_t row = 0; row < p.rows; row += LONG) {
      int64_t n_rows = p.rows - row < LONG ? p.rows - row : LONG;
      uint16_t* to = bits;
      for (int64_t r = 0; r < n_rows; r++, x += p.size)
        by_units(p.size, [&](int64_t at, auto n) { *to++ = signs_of(x + at, n, other); });
      if (!is_zero(other)) return false;  // most often in the first rows
      count_rows<LONG>(bits, units, words, lanes, counts);
      for (int64_t r = 0; r < n_rows; r++, out += p.outputs)
        by_vectors(p.outputs, [&](int64_t o, auto n) {
          S32 count;
          std::memcpy(&count, counts + r * lanes + o, sizeof count);
          store(out + o, __builtin_convertvector(int32_t(p.size) - 2 * count, F), n);
        });
    }
  }
  return true;
}

}  // namespace

#endif
