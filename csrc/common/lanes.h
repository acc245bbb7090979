// Sixteen floats at once, for files that are compiled once per instruction set: include it inside no namespace and use
// it in blocks files only. The compiler splits the vector where registers are shorter.
#pragma once

#include <cstdint>

namespace cdipipe::CDIPIPE_SIMD_NAMESPACE {

constexpr int64_t kLanes = 16;

typedef float Lanes __attribute__((vector_size(kLanes * sizeof(float)), aligned(4), may_alias));  // at any address

static inline Lanes load_lanes(const float* from) {
  return *reinterpret_cast<const Lanes*>(from);
}

static inline void store_lanes(float* to, const Lanes& value) {
  *reinterpret_cast<Lanes*>(to) = value;
}

// Every first or every second float; reads 16 or 32 of them.
template <int stride>
static inline Lanes load_strided(const float* from) {
  static_assert(stride == 1 || stride == 2, "strides of load_strided");
  if (stride == 1) return load_lanes(from);
#if defined(__clang__)
  return __builtin_shufflevector(load_lanes(from), load_lanes(from + kLanes), 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22,
                                 24, 26, 28, 30);
#else
  typedef int Indices __attribute__((vector_size(kLanes * sizeof(int))));
  return __builtin_shuffle(load_lanes(from), load_lanes(from + kLanes),
                           Indices{0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30});
#endif
}

static inline Lanes relu(const Lanes& value) {
  const Lanes zero = {};
  return value < zero ? zero : value;  // keeps a NaN
}

}  // namespace cdipipe::CDIPIPE_SIMD_NAMESPACE
