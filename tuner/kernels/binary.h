// What both directions of a 3x3 convolution of +-1 with +-1 stand on: its sizes, and signs as bits.
// Twins in torch: tests/bnn/binary_twin.py.
//
// Zeros pad the image by one. Activations are channels_last, [images, height, width, groups *
// channels]; a group's channels are packed 16 to a unit, bit 1 for -1, and lie in [groups, images,
// height + 2, width + 2, units] with a frame of zero bits. Weights are packed to [groups *
// outputs, 9, units].

#pragma once

#include <cstdlib>
#include <new>

#include "vectors.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && \
    defined(__AVX512VL__) && defined(__BMI2__)
#define TUNER_BINARY 1
#include "signs_avx512.h"
#elif defined(__AVX2__) && defined(__BMI2__)
#define TUNER_BINARY 1
#include "signs_avx2.h"
#endif

#ifdef TUNER_BINARY

namespace {

constexpr int TAPS = 9;

inline int64_t parts(int64_t size, int64_t of) { return (size + of - 1) / of; }

struct Convolution {
  int64_t images, groups, height, width, channels, outputs, stride;

  int64_t out_height() const { return (height - 1) / stride + 1; }
  int64_t out_width() const { return (width - 1) / stride + 1; }
  int64_t units() const { return parts(channels, UNIT); }
  int64_t row_units() const { return (width + 2) * units(); }
  int64_t image_units() const { return (height + 2) * row_units(); }
};

// Memory of a thread, kept for the next call: to have it from the system takes longer than to use
// it. Vectors lie in it.
class Scratch {
 public:
  template <class T>
  T* room(int64_t count) {
    size_t bytes = (size_t(count) * sizeof(T) + 127) / 64 * 64;
    if (bytes > size_) {
      std::free(memory_);
      memory_ = std::aligned_alloc(64, bytes);
      size_ = memory_ ? bytes : 0;
      if (!memory_) throw std::bad_alloc();
    }
    return static_cast<T*>(memory_);
  }
  ~Scratch() { std::free(memory_); }

 private:
  void* memory_ = nullptr;
  size_t size_ = 0;
};

// Call body(first, n) over so many numbers, 16 at a time, then those left over.
template <class Body>
inline void by_units(int64_t size, Body body) {
  int64_t i = 0;
  for (; i + UNIT <= size; i += UNIT) body(i, std::integral_constant<int, UNIT>());
  if (i < size) body(i, int(size - i));
}

// 16 numbers as bits.
template <class T>
using Bits = std::conditional_t<sizeof(T) == 2, Bits16, Bits32>;

// The sign bits of 16 numbers, fewer at an end; what is neither +1 nor -1 leaves its mark.
template <class T, class N>
inline uint16_t signs_of(const T* x, N n, Bits<T>& other) {
  using Scalar = typename Raw<T>::Scalar;
  const Bits<T> one = Bits<T>{} + Scalar(sizeof(T) == 2 ? 0x3f80 : 0x3f800000);
  const Bits<T> sign_bit = (Bits<T>{} + Scalar(1)) << (8 * sizeof(T) - 1);
  Bits<T> bits = one;
  std::memcpy(&bits, x, n * sizeof(T));
  other |= (bits & ~sign_bit) ^ one;
  return negative(bits);
}
template <class V>
inline bool is_zero(const V& bits) {
  constexpr V none = {};
  return std::memcmp(&bits, &none, sizeof bits) == 0;
}

// The bits of activations; the frame is let be. False where one is neither +1 nor -1.
template <class T>
bool pack(const Convolution& c, const T* x, uint16_t* bits) {
  Bits<T> other = {};
  bool plain = c.groups == 1 && c.channels % UNIT == 0;  // then a row is packed as one position
  int64_t positions = plain ? 1 : c.width, size = plain ? c.width * c.channels : c.channels;
  for (int64_t g = 0; g < c.groups; g++)
    for (int64_t n = 0; n < c.images; n++)
      for (int64_t y = 0; y < c.height; y++) {
        const T* from = x + ((n * c.height + y) * c.width * c.groups + g) * c.channels;
        uint16_t* to =
            bits + (g * c.images + n) * c.image_units() + (y + 1) * c.row_units() + c.units();
        for (int64_t p = 0; p < positions; p++, from += c.groups * c.channels)
          by_units(size, [&](int64_t at, auto n) { *to++ = signs_of(from + at, n, other); });
        if (!is_zero(other)) return false;  // most often in the first row
      }
  return true;
}

// The bits of weights [rows, channels, 9]: 16 channels' signs are 144 bits, of which each tap has
// every ninth. False where a weight is neither +1 nor -1.
template <class T>
bool pack_weights(const T* w, int64_t rows, int64_t channels, uint16_t* bits) {
  Bits<T> other = {};
  int64_t units = parts(channels, UNIT);
  uint64_t ninth = 0;
  for (int i = 0; i < 64; i += TAPS) ninth |= uint64_t(1) << i;
  for (int64_t row = 0; row < rows; row++, w += channels * TAPS, bits += TAPS * units)
    for (int64_t u = 0; u < units; u++) {
      int64_t size = (channels - u * UNIT < UNIT ? channels - u * UNIT : UNIT) * TAPS;
      uint16_t quarters[12] = {};
      by_units(size, [&](int64_t at, auto n) {
        quarters[at / UNIT] = signs_of(w + u * UNIT * TAPS + at, n, other);
      });
      uint64_t words[3];
      std::memcpy(words, quarters, sizeof words);
      for (int tap = 0; tap < TAPS; tap++) {
        uint64_t found = 0;
        for (int i = 0, at = 0; i < 3; i++) {
          int first = (tap + 9 * 64 - 64 * i) % TAPS;  // bit 64 i + first is one of this tap's
          uint64_t mask = ninth << first;
          found |= _pext_u64(words[i], mask) << at;
          at += __builtin_popcountll(mask);
        }
        bits[tap * units + u] = uint16_t(found);
      }
    }
  return is_zero(other);
}

}  // namespace

#endif
