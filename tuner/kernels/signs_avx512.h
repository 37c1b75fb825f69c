// What binary convolutions need of AVX-512 (F, BW, DQ, VL); signs_avx2.h is the same for AVX2.

#pragma once

#include <immintrin.h>

#include "vectors.h"

namespace {

constexpr int UNIT = 16;  // numbers whose signs are kept together

using Bits16 = uint16_t __attribute__((vector_size(UNIT * 2)));
using Bits32 = uint32_t __attribute__((vector_size(UNIT * 4)));

// The sign bits of 16 numbers.
inline uint16_t negative(Bits16 bf16s) { return _mm256_movepi16_mask((__m256i)bf16s); }
inline uint16_t negative(Bits32 floats) { return _mm512_movepi32_mask((__m512i)floats); }

// ---- Words of 32 sign bits, one of each of so many outputs, and how many of them differ.

using Words = __m512i;
constexpr int WORDS = 16;
constexpr int LONG = 8, SHORT = 7;  // positions that are counted at once: registers for two vectors

inline Words words_at(const uint32_t* from) { return _mm512_loadu_si512(from); }
inline Words all_words(uint32_t word) { return _mm512_set1_epi32(int(word)); }

struct Count {
  Words total = _mm512_setzero_si512();
  void add(Words a, Words b) { total = _mm512_add_epi32(total, ones(_mm512_xor_si512(a, b))); }
  void add(Words a, Words b, Words part) {
    Words differ = _mm512_and_si512(_mm512_xor_si512(a, b), part);
    total = _mm512_add_epi32(total, ones(differ));
  }
  void fold() {}
  void store(int32_t* to) const { _mm512_storeu_si512(to, total); }

 private:
  static Words ones(Words x) {
#ifdef __AVX512VPOPCNTDQ__
    return _mm512_popcnt_epi32(x);
#else
    const Words four_bits = _mm512_set1_epi8(15);
    const Words of = _mm512_broadcast_i32x4(
        _mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
    Words low = _mm512_shuffle_epi8(of, _mm512_and_si512(x, four_bits));
    Words high =
        _mm512_shuffle_epi8(of, _mm512_and_si512(_mm512_srli_epi16(x, 4), four_bits));
    Words pairs = _mm512_maddubs_epi16(_mm512_add_epi8(low, high), _mm512_set1_epi8(1));
    return _mm512_madd_epi16(pairs, _mm512_set1_epi16(1));
#endif
  }
};

// ---- Signed sums of eight numbers for 16 channels: two tables of the 16 signed sums of four,
// looked up by the channels' signs. Entry m takes the number j negative where bit j of m is 1.

constexpr int SUMMED = 4;     // lookups of a weight's gradient that are added as int16
constexpr int NUMBERS = 32;   // numbers whose tables are made at once
constexpr int TABLES = NUMBERS / 8;

struct Table {
  __m512i entries;  // 16 int16 of the first four numbers, 16 of the last four
};
struct Index {
  __m512i entry;  // for each channel: its entry of the first 16, and of the last
};

inline Table table_at(const Table* from) {
  Table table = {_mm512_load_si512(from)};
  asm("" : "+v"(table.entries));  // loaded once for all its uses: GCC would load it for each
  return table;
}

struct Sum {
  __m512i pairs;  // int16: a channel's two sums side by side
  void start(Index index, Table table) {
    pairs = _mm512_permutexvar_epi16(index.entry, table.entries);
  }
  void add(Index index, Table table) {
    pairs = _mm512_add_epi16(pairs, _mm512_permutexvar_epi16(index.entry, table.entries));
  }
};

struct Total {
  __m512i channels = _mm512_setzero_si512();
  void add(Sum sum) {
    __m512i one = _mm512_set1_epi16(1);
#ifdef __AVX512VNNI__  // not the intrinsic, which GCC gives a register more and spills
    asm("vpdpwssd %2, %1, %0" : "+v"(channels) : "v"(sum.pairs), "v"(one));
#else
    channels = _mm512_add_epi32(channels, _mm512_madd_epi16(sum.pairs, one));
#endif
  }
  void store(int32_t* to) const { _mm512_storeu_si512(to, channels); }
  void add_to(int32_t* to) const {
    _mm512_storeu_si512(to, _mm512_add_epi32(channels, _mm512_loadu_si512(to)));
  }
};

// Where a table finds +-a +-b, and +-c +-d: among the sums a+b, -(a+b) and the differences a-b,
// b-a of neighbours, 32 of each.
struct Places {
  alignas(64) int16_t first[TABLES][32] = {}, second[TABLES][32] = {};
  constexpr Places() {
    for (int table = 0; table < TABLES; table++)
      for (int entry = 0; entry < 32; entry++) {
        int pair = table * 8 + entry / 16 * 4;
        first[table][entry] = place(pair, entry & 1, entry >> 1 & 1);
        second[table][entry] = place(pair + 2, entry >> 2 & 1, entry >> 3 & 1);
      }
  }

 private:
  static constexpr int16_t place(int pair, int minus_first, int minus_second) {
    return int16_t(pair + minus_first + (minus_first == minus_second ? 0 : 32));
  }
};
constexpr Places PLACES;

using Numbers = __m512i;
inline Numbers numbers_at(const int16_t* from) { return _mm512_loadu_si512(from); }

// The tables of so many numbers, each of eight neighbours, written to those places.
inline void build(Numbers numbers, Table* const (&to)[TABLES]) {
  __m512i neighbours = _mm512_rol_epi32(numbers, 16);
  __m512i sums = _mm512_add_epi16(numbers, neighbours);
  __m512i differences = _mm512_sub_epi16(numbers, neighbours);
  sums = _mm512_mask_sub_epi16(sums, 0xaaaaaaaa, _mm512_setzero_si512(), sums);
#pragma GCC unroll 4
  for (int table = 0; table < TABLES; table++) {
    __m512i first = _mm512_load_si512(PLACES.first[table]);
    __m512i second = _mm512_load_si512(PLACES.second[table]);
    first = _mm512_permutex2var_epi16(sums, first, differences);
    second = _mm512_permutex2var_epi16(sums, second, differences);
    _mm512_store_si512(to[table], _mm512_add_epi16(first, second));
  }
}

// 8 rows of two octets each (as transposed leaves them) to tables: of a row's first octet to
// `to + row * step`, of its second `other` further.
inline void build_transposed(const __m256i (&rows)[8], Table* to, int64_t step, int64_t other) {
#pragma GCC unroll 4
  for (int i = 0; i < 8; i += 2) {
    Table* at = to + i * step;
    build(_mm512_inserti64x4(_mm512_castsi256_si512(rows[i]), rows[i + 1], 1),
          {at, at + other, at + step, at + step + other});
  }
}

// The index of 16 channels: bit c of signs[j] is the sign that channel c gives the number j.
inline Index index_of(const uint16_t (&signs)[8]) {
  __m512i entry = _mm512_set1_epi32(16 << 16);
#pragma GCC unroll 8
  for (int j = 0; j < 8; j++)
    entry = _mm512_mask_or_epi32(entry, signs[j], entry,
                                 _mm512_set1_epi32(1 << (j / 4 * 16 + j % 4)));
  return {entry};
}

}  // namespace
