// Where a coordinate falls between the cells of a plane. Shared by the CPU and CUDA kernels.
#pragma once

#include <cstdint>

#ifdef __CUDACC__
#define CDIPIPE_TAP __host__ __device__ __forceinline__
#else
#define CDIPIPE_TAP inline __attribute__((always_inline))
#endif

namespace cdipipe::hexplane {
namespace {  // internal linkage: each instruction set has its own copy

struct Tap {
  int64_t near, far;
  float near_weight, far_weight;
};

CDIPIPE_TAP Tap locate(float coordinate, int64_t cells) {
  const float last = static_cast<float>(cells - 1);
  float position = (coordinate + 1) * 0.5f * last;
  position = position > 0 ? position : 0;  // a NaN goes to the border as well
  position = position < last ? position : last;
  const int64_t near = static_cast<int64_t>(position);
  const float weight = position - static_cast<float>(near);
  return {near, near + 1 < cells ? near + 1 : near, 1 - weight, weight};
}

}  // namespace
}  // namespace cdipipe::hexplane
