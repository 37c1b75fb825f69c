// 3x3 convolution of signs, backward. The gradients of input and weights are sums of numbers with
// signs: of the output's gradient, an int16 each, with the signs of the weights or of the input.
// Instead of multiplying, a table is made of the signed sums of every four numbers, and looked up
// by four signs at once for 16 channels. What is added as int16 cannot overflow, so all is exact.

#pragma once

#include "binary.h"
#include "quantise.h"

#ifdef TUNER_BINARY

namespace {

constexpr int OCTET = 8;
constexpr int PAIR = 2;  // octets of outputs whose lookups are added as int16, for a row of taps
constexpr int ADDED = SUMMED > 3 * PAIR ? SUMMED : 3 * PAIR;  // lookups at most
constexpr int MOST = 32767 / (4 * ADDED);                     // of a number's magnitude

inline int64_t padded_outputs(const Convolution& c) { return parts(c.outputs, 16) * 16; }

// Add what so many neighbouring taps of a row give to R positions, for 16 channels and two octets
// of outputs. Each table, of a position's octet, is loaded once for all the positions it counts for.
template <int R, int WIDE>
inline void add_row_of_taps(Total (&totals)[R], const Index* index, int64_t tap,
                            const Table* tables, int64_t octets) {
  Index signs[WIDE][PAIR];
#pragma GCC unroll 3
  for (int k = 0; k < WIDE; k++)
#pragma GCC unroll 2
    for (int e = 0; e < PAIR; e++) signs[k][e] = index[k * tap + e];
  Sum sums[R];
#pragma GCC unroll 16
  for (int p = 0; p < R + WIDE - 1; p++) {
#pragma GCC unroll 2
    for (int e = 0; e < PAIR; e++) {
      Table table = table_at(tables + p * octets + e);
#pragma GCC unroll 3
      for (int k = 0; k < WIDE; k++) {
        int r = p - (WIDE - 1) + k;
        if (r < 0 || r >= R) continue;
        if (k == WIDE - 1 && e == 0)
          sums[r].start(signs[k][e], table);
        else
          sums[r].add(signs[k][e], table);
      }
    }
    if (p >= WIDE - 1) totals[p - (WIDE - 1)].add(sums[p - (WIDE - 1)]);
  }
}

// Add what K octets of images give to the weights of 8 outputs and V times 16 channels.
template <int K, int V>
inline void add_images(Total (&totals)[OCTET][V], const Index* index, const Table* tables) {
  Index signs[K][V];
#pragma GCC unroll 8
  for (int e = 0; e < K; e++)
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) signs[e][v] = index[e * V + v];
#pragma GCC unroll 8
  for (int o = 0; o < OCTET; o++) {
    Sum sums[V];
#pragma GCC unroll 8
    for (int e = 0; e < K; e++) {
      Table table = table_at(tables + o * K + e);
#pragma GCC unroll 2
      for (int v = 0; v < V; v++)
        if (e)
          sums[v].add(signs[e][v], table);
        else
          sums[v].start(signs[e][v], table);
    }
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) totals[o][v].add(sums[v]);
  }
}

// The tables of so many octets that lie one after the other. Not inlined: within the loops over
// them the compiler runs out of registers.
__attribute__((noinline)) inline void build_octets(const int16_t* q, Table* to, int64_t octets) {
  for (int64_t i = 0; i < octets; i += TABLES, q += NUMBERS) {
    Table* at[TABLES];
    for (Table*& table : at) table = to++;
    build(numbers_at(q), at);
  }
}

// [8 images][16 outputs] -> 8 rows; row i: the 8 images of output i, then those of output 8 + i.
inline void transpose(const int16_t* q, int64_t image, __m256i (&rows)[8]) {
  __m256i a[8], b[8];
  for (int i = 0; i < 8; i++) a[i] = _mm256_loadu_si256((const __m256i*)(q + i * image));
  for (int i = 0; i < 4; i++) {
    b[2 * i] = _mm256_unpacklo_epi16(a[2 * i], a[2 * i + 1]);
    b[2 * i + 1] = _mm256_unpackhi_epi16(a[2 * i], a[2 * i + 1]);
  }
  for (int i = 0; i < 2; i++)
    for (int half = 0; half < 2; half++) {
      __m256i first = b[4 * i + half], second = b[4 * i + 2 + half];
      a[4 * i + 2 * half] = _mm256_unpacklo_epi32(first, second);
      a[4 * i + 2 * half + 1] = _mm256_unpackhi_epi32(first, second);
    }
  for (int i = 0; i < 4; i++) {
    rows[2 * i] = _mm256_unpacklo_epi64(a[i], a[4 + i]);
    rows[2 * i + 1] = _mm256_unpackhi_epi64(a[i], a[4 + i]);
  }
}

// The tables of n positions for 16 outputs of 8 images; positions and images lie so far apart.
__attribute__((noinline)) inline void build_images(const int16_t* q, int64_t position,
                                                   int64_t image, int64_t n, Table* to,
                                                   int64_t step, int64_t other) {
  for (int64_t p = 0; p < n; p++, q += position, to += OCTET * step) {
    __m256i rows[8];
    transpose(q, image, rows);
    build_transposed(rows, to, step, other);
  }
}

// The gradient of one group's input, from the quantised gradient q [images, positions, padded] and
// the group's weights.
class InputGradient {
 public:
  InputGradient(const Convolution& c, const uint16_t* weights)
      : c_(c), octets_(padded_outputs(c) / OCTET), lanes_(c.units() * UNIT) {
    static thread_local Scratch index, tables, sums;
    index_ = index.room<Index>(c.units() * TAPS * octets_);
    row_tables_ = (c.out_width() + 2 + POSITIONS) * octets_ + TABLES;
    tables_ = tables.room<Table>(3 * row_tables_);
    std::memset((void*)tables_, 0, 3 * row_tables_ * sizeof(Table));
    sums_ = sums.room<int32_t>((c.width + 2 * POSITIONS) * lanes_);
    Index* to = index_;  // [unit, row of taps, pair of octets, tap, octet of the pair]
    for (int64_t u = 0; u < c.units(); u++)
      for (int row = 0; row < 3; row++)
        for (int64_t pair = 0; pair < octets_; pair += PAIR)
          for (int k = 0; k < 3; k++)
            for (int e = 0; e < PAIR; e++) {
              uint16_t signs[OCTET] = {};
              for (int j = 0; j < OCTET; j++) {
                int64_t o = (pair + e) * OCTET + j;
                if (o < c.outputs) signs[j] = weights[(o * TAPS + row * 3 + k) * c.units() + u];
              }
              *to++ = index_of(signs);
            }
  }

  // One image's gradient, to every `step`th of T.
  template <class T>
  void image(const int16_t* q, float unit, T* to, int64_t step) {
    int64_t built = 0, row = c_.out_width() * octets_ * OCTET;
    for (int64_t y = 0; y < c_.height; y++) {
      int64_t last = (y + 1) / c_.stride;
      for (; built <= last && built < c_.out_height(); built++) {
        Table* tables = tables_ + built % 3 * row_tables_;
        build_octets(q + built * row, tables + octets_, row / OCTET);
        Table* frame = tables + (c_.out_width() + 1) * octets_;
        std::memset((void*)frame, 0, octets_ * sizeof(Table));
      }
      sum_row(y);
      for (int64_t x = 0; x < c_.width; x++, to += step)
        by_vectors(c_.channels, [&](int64_t at, auto n) {
          S32 sum;
          std::memcpy(&sum, sums_ + x * lanes_ + at, sizeof sum);
          store(to + at, __builtin_convertvector(sum, F) * unit, n);
        });
    }
  }

 private:
  static constexpr int POSITIONS = 8;

  struct Row {
    const Table* tables;
    int taps;  // which row of taps
  };

  // The sums of the row y of an image, from the three rows of tables around it.
  void sum_row(int64_t y) {
    Row rows[3];
    int n_rows = 0;
    for (int taps = 0; taps < 3; taps++) {
      int64_t from = y + 1 - taps;
      if (from >= 0 && from % c_.stride == 0 && from / c_.stride < c_.out_height())
        rows[n_rows++] = {tables_ + from / c_.stride % 3 * row_tables_, taps};
    }
    if (c_.stride == 1) return sum_positions<3>(rows, n_rows, 0, c_.width, 0, 1);
    sum_positions<1>(rows, n_rows, 0, (c_.width + 1) / 2, 1, 2);  // even ones have the middle tap
    sum_positions<2>(rows, n_rows, 1, c_.width / 2, 0, 2);        // odd ones the outer two
  }

  // At n positions, `every` apart from `first` on: what WIDE taps give, `every` apart from `tap`.
  template <int WIDE>
  void sum_positions(const Row* rows, int n_rows, int64_t first, int64_t n, int tap, int every) {
    if (parts(n, 7) * 7 < parts(n, 8) * 8)
      sum_blocks<7, WIDE>(rows, n_rows, first, n, tap, every);
    else
      sum_blocks<8, WIDE>(rows, n_rows, first, n, tap, every);
  }

  template <int R, int WIDE>
  __attribute__((noinline)) void sum_blocks(const Row* rows, int n_rows, int64_t first, int64_t n,
                                            int tap, int every) {
    for (int64_t u = 0; u < c_.units(); u++)
      for (int64_t block = 0; block < n; block += R) {
        Total totals[R];
        for (int i = 0; i < n_rows; i++) {
          const Index* index = index_ + (u * 3 + rows[i].taps) * octets_ * 3 + tap * PAIR;
          const Table* tables = rows[i].tables + (block + (WIDE == 3 ? 0 : 1)) * octets_;
          for (int64_t pair = 0; pair < octets_; pair += PAIR, index += 3 * PAIR, tables += PAIR)
            add_row_of_taps<R, WIDE>(totals, index, every * PAIR, tables, octets_);
        }
#pragma GCC unroll 8
        for (int r = 0; r < R; r++)
          totals[r].store(sums_ + (first + (block + r) * every) * lanes_ + u * UNIT);
      }
  }

  const Convolution c_;
  const int64_t octets_, lanes_;
  int64_t row_tables_;
  Index* index_;
  Table* tables_;
  int32_t* sums_;
};

// The gradient of one group's weights, from q and the group's packed input.
template <int K, int V>
class WeightGradient {
 public:
  explicit WeightGradient(const Convolution& c)
      : c_(c), blocks_(parts(c.units(), V)), octets_(padded_outputs(c) / OCTET) {
    static thread_local Scratch index, tables, sums;
    index_ = index.room<Index>(c.height * c.width * blocks_ * K * V);
    kept_ = (int64_t(1) << 19) / int64_t(octets_ * OCTET * K * sizeof(Table));
    kept_ = kept_ < 1 ? 1 : kept_ > 8 ? 8 : kept_;
    if (c.out_width() % 7 == 0 && kept_ == 8) kept_ = 7;
    tables_ = tables.room<Table>(octets_ * kept_ * OCTET * K);
    size_ = octets_ * blocks_ * TAPS * OCTET * V * UNIT;
    sums_ = sums.room<int32_t>(size_);
    std::memset(sums_, 0, size_ * sizeof(int32_t));
  }

  // Add 8 K images, fewer at the end; beyond them q is zero.
  void add(const uint16_t* bits, int64_t images, const int16_t* q) {
    make_index(bits, images);
    int64_t outputs = octets_ * OCTET, positions = c_.out_height() * c_.out_width();
    for (int64_t y = 0; y < c_.out_height(); y++)
      for (int64_t x = 0; x < c_.out_width(); x += kept_) {
        int64_t n = c_.out_width() - x < kept_ ? c_.out_width() - x : kept_;
        for (int e = 0; e < K; e++)
          for (int64_t o = 0; o < outputs; o += 2 * OCTET)
            build_images(q + (e * OCTET * positions + y * c_.out_width() + x) * outputs + o,
                         outputs, positions * outputs, n,
                         tables_ + o / OCTET * kept_ * OCTET * K + e, K, kept_ * OCTET * K);
        for (int64_t octet = 0; octet < octets_; octet++)
          for (int64_t block = 0; block < blocks_; block++)
            for (int tap = 0; tap < TAPS; tap++) add_positions(y, x, n, octet, block, tap);
      }
  }

  // Write [outputs, channels, 9].
  template <class T>
  void write(float unit, T* to) const {
    for (int64_t o = 0; o < c_.outputs; o++)
      for (int64_t c = 0; c < c_.channels; c += LANES) {
        T taps[TAPS][LANES];
        for (int tap = 0; tap < TAPS; tap++) {
          S32 sum;
          int64_t block = c / (V * UNIT);
          std::memcpy(&sum, sums_at(o / OCTET, block, tap) + o % OCTET * V * UNIT + c % (V * UNIT),
                      sizeof sum);
          store(taps[tap], __builtin_convertvector(sum, F) * unit, All());
        }
        for (int64_t lane = 0; lane < LANES && c + lane < c_.channels; lane++)
          for (int tap = 0; tap < TAPS; tap++) *to++ = taps[tap][lane];
      }
  }

 private:
  int32_t* sums_at(int64_t octet, int64_t block, int tap) const {
    return sums_ + ((octet * blocks_ + block) * TAPS + tap) * OCTET * V * UNIT;
  }

  // What each place of the input has to look up, [place, block, octet of images, unit].
  void make_index(const uint16_t* bits, int64_t images) {
    Index* to = index_;
    for (int64_t y = 0; y < c_.height; y++)
      for (int64_t x = 0; x < c_.width; x++) {
        const uint16_t* at = bits + (y + 1) * c_.row_units() + (x + 1) * c_.units();
        for (int64_t block = 0; block < blocks_; block++)
          for (int e = 0; e < K; e++)
            for (int v = 0; v < V; v++) {
              uint16_t signs[OCTET] = {};
              if (block * V + v < c_.units())
                for (int j = 0; j < OCTET && e * OCTET + j < images; j++)
                  signs[j] = at[(e * OCTET + j) * c_.image_units() + block * V + v];
              *to++ = index_of(signs);
            }
      }
  }

  __attribute__((noinline)) void add_positions(int64_t y, int64_t x, int64_t n, int64_t octet,
                                               int64_t block, int tap) {
    int64_t row = y * c_.stride + tap / 3 - 1, shift = tap % 3 - 1;
    if (row < 0 || row >= c_.height) return;
    int64_t first = x * c_.stride + shift < 0 ? 1 : 0;
    while (n > 0 && (x + n - 1) * c_.stride + shift >= c_.width) n--;
    Total totals[OCTET][V];
    int64_t step = blocks_ * K * V;
    const Index* index =
        index_ + (row * c_.width + (x + first) * c_.stride + shift) * step + block * K * V;
    const Table* tables = tables_ + (octet * kept_ + first) * OCTET * K;
    for (int64_t p = first; p < n; p++, index += c_.stride * step, tables += OCTET * K)
      add_images<K, V>(totals, index, tables);
    int32_t* sums = sums_at(octet, block, tap);
#pragma GCC unroll 8
    for (int o = 0; o < OCTET; o++)
#pragma GCC unroll 2
      for (int v = 0; v < V; v++) totals[o][v].add_to(sums + (o * V + v) * UNIT);
  }

  const Convolution c_;
  const int64_t blocks_, octets_;
  int64_t kept_, size_;
  Index* index_;
  Table* tables_;
  int32_t* sums_;
};

// What one group's input and weights get; V as WeightGradient's. A few images at a time, so that
// their quantised gradient is still in the cache when it is used.
template <int V, class T>
void group_backward(const Convolution& c, const T* g, const uint16_t* bits,
                    const uint16_t* weights, T* dx, T* dw) {
  static thread_local Scratch quantised;
  constexpr int64_t FEW = SUMMED * OCTET;
  int64_t positions = c.out_height() * c.out_width(), padded = padded_outputs(c);
  bool plain = c.groups == 1 && padded == c.outputs;  // then an image is one row
  int64_t columns = plain ? positions * c.outputs : c.outputs;
  int64_t step = plain ? columns : c.groups * c.outputs, dx_step = c.groups * c.channels;
  auto rows = [&](int64_t images) { return plain ? images : images * positions; };
  int16_t* q = quantised.room<int16_t>(FEW * positions * padded + NUMBERS);
  Quantiser quantiser(largest(g, rows(c.images), columns, step), MOST);
  InputGradient input(c, weights);
  WeightGradient<SUMMED, V> weight(c);
  for (int64_t n = 0; n < c.images; n += FEW) {
    int64_t images = c.images - n < FEW ? c.images - n : FEW, size = images * positions * padded;
    quantiser.quantise(g + rows(n) * step, rows(n) * columns, rows(images), columns, step,
                       plain ? columns : padded, q);
    std::memset(q + size, 0, (FEW * positions * padded + NUMBERS - size) * sizeof(int16_t));
    if (dx)
      for (int64_t i = 0; i < images; i++)
        input.image(q + i * positions * padded, quantiser.unit,
                    dx + (n + i) * c.height * c.width * dx_step, dx_step);
    if (dw) weight.add(bits + n * c.image_units(), images, q);
  }
  if (dw) weight.write(quantiser.unit, dw);
}

// The gradients of input and weights, each where it is wanted.
template <class T>
void binary_backward(const Convolution& c, const T* g, const uint16_t* bits,
                     const uint16_t* weights, T* dx, T* dw) {
  auto backward = c.units() == 1 ? group_backward<1, T> : group_backward<2, T>;
  for (int64_t i = 0; i < c.groups; i++)
    backward(c, g + i * c.outputs, bits + i * c.images * c.image_units(),
             weights + i * c.outputs * TAPS * c.units(), dx ? dx + i * c.channels : nullptr,
             dw ? dw + i * c.outputs * c.channels * TAPS : nullptr);
}

}  // namespace

#endif
