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

static inline Lanes relu(const Lanes& value) {
  const Lanes zero = {};
  return value < zero ? zero : value;  // keeps a NaN
}

}  // namespace cdipipe::CDIPIPE_SIMD_NAMESPACE
