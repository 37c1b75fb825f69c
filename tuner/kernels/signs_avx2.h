// What binary convolutions need of AVX2; signs_avx512.h is the same for AVX-512.

#pragma once

#include <immintrin.h>

#include "vectors.h"

namespace {

constexpr int UNIT = 16;  // numbers whose signs are kept together

using Bits16 = uint16_t __attribute__((vector_size(UNIT * 2)));
using Bits32 = uint32_t __attribute__((vector_size(UNIT * 4)));

// The sign bits of 16 numbers.
inline uint16_t negative(Bits16 bf16s) {
  __m256i x = (__m256i)bf16s;
  __m128i bytes = _mm_packs_epi16(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
  return uint16_t(_mm_movemask_epi8(bytes));
}
inline uint16_t negative(Bits32 floats) {
  __m256 half[2];
  std::memcpy(half, &floats, sizeof half);
  return uint16_t(_mm256_movemask_ps(half[0]) | _mm256_movemask_ps(half[1]) << 8);
}

// ---- Words of 32 sign bits, one of each of so many outputs, and how many of them differ.

using Words = __m256i;
constexpr int WORDS = 8;
constexpr int LONG = 2, SHORT = 1;  // positions that are counted at once: registers for four vectors

inline Words words_at(const uint32_t* from) { return _mm256_loadu_si256((const __m256i*)from); }
inline Words all_words(uint32_t word) { return _mm256_set1_epi32(int(word)); }

struct Count {
  Words bytes = _mm256_setzero_si256(), total = _mm256_setzero_si256();
  void add(Words a, Words b) { bytes = _mm256_add_epi8(bytes, ones(_mm256_xor_si256(a, b))); }
  void add(Words a, Words b, Words part) {
    bytes = _mm256_add_epi8(bytes, ones(_mm256_and_si256(_mm256_xor_si256(a, b), part)));
  }
  void fold() {  // before a byte overflows
    Words pairs = _mm256_maddubs_epi16(bytes, _mm256_set1_epi8(1));
    total = _mm256_add_epi32(total, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
    bytes = _mm256_setzero_si256();
  }
  void store(int32_t* to) const { _mm256_storeu_si256((__m256i*)to, total); }

 private:
  static Words ones(Words x) {
    const Words four_bits = _mm256_set1_epi8(15);
    const Words of = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
    Words high = _mm256_and_si256(_mm256_srli_epi16(x, 4), four_bits);
    return _mm256_add_epi8(_mm256_shuffle_epi8(of, _mm256_and_si256(x, four_bits)),
                           _mm256_shuffle_epi8(of, high));
  }
};

// ---- Signed sums of eight numbers for 16 channels: two tables of the 16 signed sums of four,
// looked up by the channels' signs. Entry m takes the number j negative where bit j of m is 1.
// A lane has the table of four numbers, as bytes: PSHUFB looks up no more than bytes.

constexpr int SUMMED = 8;     // lookups of a weight's gradient that are added as int16
constexpr int NUMBERS = 16;   // numbers whose tables are made at once
constexpr int TABLES = NUMBERS / 8;

struct Table {
  __m256i low, high;  // 16 low bytes of the first four numbers, 16 of the last four; high ones
};
struct Index {
  __m256i entry;  // of 16 channels, twice; byte 4 m + r is the channel 4 r + m
};

inline Table table_at(const Table* from) {
  return {_mm256_load_si256(&from->low), _mm256_load_si256(&from->high)};
}

// Sums of int16 as three sums that need no byte moved: `both`, of the low bytes in pairs, is even +
// 256 odd; `odd`, of the odd channels' low bytes; `high`, of all high bytes, modulo 256.
struct Sum {
  __m256i both, odd, high;
  void start(Index index, Table table) {
    both = _mm256_shuffle_epi8(table.low, index.entry);
    odd = _mm256_srli_epi16(both, 8);
    high = _mm256_shuffle_epi8(table.high, index.entry);
  }
  void add(Index index, Table table) {
    __m256i low = _mm256_shuffle_epi8(table.low, index.entry);
    both = _mm256_add_epi16(both, low);
    odd = _mm256_add_epi16(odd, _mm256_srli_epi16(low, 8));
    high = _mm256_add_epi8(high, _mm256_shuffle_epi8(table.high, index.entry));
  }
};

struct Total {
  __m256i quarter[4] = {};  // channels 4 r .. 4 r + 3 of both lanes' numbers, int32
  void add(Sum sum) {
    __m256i even = _mm256_sub_epi16(sum.both, _mm256_slli_epi16(sum.odd, 8));
    even = _mm256_add_epi16(even, _mm256_slli_epi16(sum.high, 8));
    __m256i odd = _mm256_andnot_si256(_mm256_set1_epi16(255), sum.high);
    odd = _mm256_add_epi16(odd, sum.odd);
    const __m256i first = _mm256_set1_epi32(1), second = _mm256_set1_epi32(1 << 16);
    quarter[0] = _mm256_add_epi32(quarter[0], _mm256_madd_epi16(even, first));
    quarter[1] = _mm256_add_epi32(quarter[1], _mm256_madd_epi16(odd, first));
    quarter[2] = _mm256_add_epi32(quarter[2], _mm256_madd_epi16(even, second));
    quarter[3] = _mm256_add_epi32(quarter[3], _mm256_madd_epi16(odd, second));
  }
  void store(int32_t* to) const {
    for (int r = 0; r < 4; r++) _mm_storeu_si128((__m128i*)to + r, lanes(r));
  }
  void add_to(int32_t* to) const {
    for (int r = 0; r < 4; r++) {
      __m128i* at = (__m128i*)to + r;
      _mm_storeu_si128(at, _mm_add_epi32(_mm_loadu_si128(at), lanes(r)));
    }
  }

 private:
  __m128i lanes(int r) const {
    return _mm_add_epi32(_mm256_castsi256_si128(quarter[r]),
                         _mm256_extracti128_si256(quarter[r], 1));
  }
};

using Numbers = __m256i;
inline Numbers numbers_at(const int16_t* from) {
  return _mm256_loadu_si256((const __m256i*)from);
}

// The table of eight numbers, which both lanes have.
inline void build_one(__m256i numbers, Table* to) {
  // of a, b, c, d of a lane: a a a a c c c c and b b b b d d d d, with the signs of 0 1 2 3
  const __m256i a_c = _mm256_setr_epi8(0, 1, 0, 1, 0, 1, 0, 1, 4, 5, 4, 5, 4, 5, 4, 5,  //
                                       8, 9, 8, 9, 8, 9, 8, 9, 12, 13, 12, 13, 12, 13, 12, 13);
  const __m256i b_d = _mm256_add_epi8(a_c, _mm256_set1_epi8(2));
  const __m256i bit_0 = _mm256_set1_epi32(int(0xffff0001));
  const __m256i bit_1 = _mm256_set1_epi64x(int64_t(0xffffffff00010001));
  __m256i sums = _mm256_add_epi16(
      _mm256_sign_epi16(_mm256_shuffle_epi8(numbers, a_c), bit_0),
      _mm256_sign_epi16(_mm256_shuffle_epi8(numbers, b_d), bit_1));
  const __m256i of_a_b = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7));
  const __m256i c_positive = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(8, 9, 8, 9, 8, 9, 8, 9, 10, 11, 10, 11, 10, 11, 10, 11));
  const __m256i d_negative = _mm256_add_epi8(c_positive, _mm256_set1_epi8(4));
  __m256i first = _mm256_shuffle_epi8(sums, of_a_b);
  __m256i lower = _mm256_add_epi16(first, _mm256_shuffle_epi8(sums, c_positive));
  __m256i upper = _mm256_add_epi16(first, _mm256_shuffle_epi8(sums, d_negative));
  const __m256i byte = _mm256_set1_epi16(255);
  to->low =
      _mm256_packus_epi16(_mm256_and_si256(lower, byte), _mm256_and_si256(upper, byte));
  to->high = _mm256_packus_epi16(_mm256_srli_epi16(lower, 8), _mm256_srli_epi16(upper, 8));
}

// The tables of so many numbers, each of eight neighbours, written to those places.
inline void build(Numbers numbers, Table* const (&to)[TABLES]) {
  build_one(_mm256_permute4x64_epi64(numbers, 0x44), to[0]);
  build_one(_mm256_permute4x64_epi64(numbers, 0xee), to[1]);
}

// 8 rows of two octets each (as transposed leaves them) to tables: of a row's first octet to
// `to + row * step`, of its second `other` further.
inline void build_transposed(const __m256i (&rows)[8], Table* to, int64_t step, int64_t other) {
  for (int i = 0; i < 8; i++) build(rows[i], {to + i * step, to + i * step + other});
}

// The index of 16 channels: bit c of signs[j] is the sign that channel c gives the number j.
inline Index index_of(const uint16_t (&signs)[8]) {
  const __m256i byte = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1));
  const __m256i bit = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(1, 16, 1, 16, 2, 32, 2, 32, 4, 64, 4, 64, 8, -128, 8, -128));
  __m256i entry = _mm256_setzero_si256();
  for (int j = 0; j < 4; j++) {
    __m256i both = _mm256_set_m128i(_mm_set1_epi16(int16_t(signs[j + 4])),
                                    _mm_set1_epi16(int16_t(signs[j])));
    __m256i chosen = _mm256_and_si256(_mm256_shuffle_epi8(both, byte), bit);
    __m256i set = _mm256_and_si256(_mm256_cmpeq_epi8(chosen, bit),
                                   _mm256_set1_epi8(int8_t(1 << j)));
    entry = _mm256_or_si256(entry, set);
  }
  return {entry};
}

}  // namespace
