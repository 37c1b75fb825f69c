// Products of signs with signs, backward: the gradients of both are sums of int16 numbers, those of
// the output's gradient, with signs, looked up as in binary_gradient.h. Exact but for the rounding to
// int16. Twin in torch: tests/bnn/binary_twin.py.

#pragma once

#include "binary_gradient.h"
#include "binary_product.h"

#ifdef TUNER_BINARY

namespace {

constexpr int CHUNK = SUMMED * OCTET;  // numbers whose lookups are added as int16

// Sums of rows of numbers with the signs [size, columns], 8 rows and V times 16 columns at once.
template <int V>
class SignedSums {
 public:
  SignedSums(const uint16_t* bits, int64_t size, int64_t columns)
      : columns_(columns), units_(parts(columns, UNIT)), chunks_(parts(size, CHUNK)),
        tables_of_eight_(chunks_ * OCTET * SUMMED) {
    static thread_local Scratch index, tables;
    index_ = index.room<Index>(parts(units_, V) * chunks_ * SUMMED * V);
    tables_ = tables.room<Table>(2 * tables_of_eight_);
    Index* to = index_;  // [block of units, chunk, octet, unit]
    for (int64_t block = 0; block < units_; block += V)
      for (int64_t octet = 0; octet < chunks_ * SUMMED; octet++)
        for (int v = 0; v < V; v++) {
          uint16_t signs[OCTET] = {};
          if (block + v < units_)
            for (int j = 0; j < OCTET && octet * OCTET + j < size; j++)
              signs[j] = bits[(octet * OCTET + j) * units_ + block + v];
          *to++ = index_of(signs);
        }
  }

  // Take 8 rows of q, which has whole chunks of columns.
  void take_rows(const int16_t* q) {
    for (int r = 0; r < OCTET; r++)
      for (int64_t chunk = 0; chunk < chunks_; chunk++, q += CHUNK)
        build_octets(q, tables_ + (chunk * OCTET + r) * SUMMED, SUMMED);
  }

  // Take 16 columns of q as rows, whose columns lie so far apart and are whole chunks.
  void take_columns(const int16_t* q, int64_t step) {
    for (int64_t octet = 0; octet < chunks_ * SUMMED; octet++, q += OCTET * step)
      build_images(q, 0, step, 1,
                   tables_ + octet / SUMMED * OCTET * SUMMED + octet % SUMMED, SUMMED,
                   tables_of_eight_);
  }

  // Write n of the first (0) or second (1) 8 rows.
  template <class T>
  void write(int which, int64_t n, float unit, T* to) const {
    const Index* index = index_;
    for (int64_t c = 0; c < columns_; c += V * UNIT) {
      Total totals[OCTET][V];
      const Table* tables = tables_ + which * tables_of_eight_;
      for (int64_t chunk = 0; chunk < chunks_; chunk++) {
        add_images<SUMMED, V>(totals, index, tables);
        index += SUMMED * V, tables += OCTET * SUMMED;
      }
      int32_t sums[OCTET][V * UNIT];
#pragma GCC unroll 8
      for (int r = 0; r < OCTET; r++)
#pragma GCC unroll 2
        for (int v = 0; v < V; v++) totals[r][v].store(sums[r] + v * UNIT);
      for (int r = 0; r < n; r++)
        by_vectors(columns_ - c < V * UNIT ? columns_ - c : V * UNIT, [&](int64_t at, auto n) {
          S32 sum;
          std::memcpy(&sum, sums[r] + at, sizeof sum);
          store(to + r * columns_ + c + at, __builtin_convertvector(sum, F) * unit, n);
        });
    }
  }

 private:
  const int64_t columns_, units_, chunks_, tables_of_eight_;
  Index* index_;
  Table* tables_;
};

// The signs of rows, as units.
template <class T>
const uint16_t* packed_rows(const T* x, int64_t rows, int64_t size) {
  static thread_local Scratch room;
  Bits<T> other = {};
  uint16_t* bits = room.room<uint16_t>(rows * parts(size, UNIT));
  for (uint16_t* to = bits; rows > 0; rows--, x += size)
    by_units(size, [&](int64_t at, auto n) { *to++ = signs_of(x + at, n, other); });
  return bits;
}

// What one group's x and w get.
template <int V, class T>
void group_product_backward(const Product& p, const T* g, const T* x, const T* w, T* dx, T* dw) {
  static thread_local Scratch quantised;
  int64_t rows = parts(p.rows, CHUNK) * CHUNK, columns = parts(p.outputs, CHUNK) * CHUNK;
  int16_t* q = quantised.room<int16_t>(rows * columns + NUMBERS);
  Quantiser quantiser(largest(g, p.rows, p.outputs, p.outputs), MOST);
  quantiser.quantise(g, 0, p.rows, p.outputs, p.outputs, columns, q);
  std::memset(q + p.rows * columns, 0, ((rows - p.rows) * columns + NUMBERS) * sizeof(int16_t));
  if (dx) {
    SignedSums<V> sums(packed_rows(w, p.outputs, p.size), p.outputs, p.size);
    for (int64_t row = 0; row < p.rows; row += OCTET, dx += OCTET * p.size) {
      sums.take_rows(q + row * columns);
      sums.write(0, p.rows - row < OCTET ? p.rows - row : OCTET, quantiser.unit, dx);
    }
  }
  if (dw) {
    SignedSums<V> sums(packed_rows(x, p.rows, p.size), p.rows, p.size);
    for (int64_t o = 0; o < p.outputs; o += OCTET, dw += OCTET * p.size) {
      int which = o % (2 * OCTET) != 0;
      if (!which) sums.take_columns(q + o, columns);
      sums.write(which, p.outputs - o < OCTET ? p.outputs - o : OCTET, quantiser.unit, dw);
    }
  }
}

// The gradients of x and w, each where it is wanted; both are +1 and -1.
template <class T>
void binary_product_backward(const Product& p, const T* g, const T* x, const T* w, T* dx, T* dw) {
  auto backward = p.size <= UNIT ? group_product_backward<1, T> : group_product_backward<2, T>;
  for (int64_t i = 0; i < p.groups; i++)
    backward(p, g + i * p.rows * p.outputs, x + i * p.rows * p.size, w + i * p.outputs * p.size,
             dx ? dx + i * p.rows * p.size : nullptr, dw ? dw + i * p.outputs * p.size : nullptr);
}

}  // namespace

#endif
