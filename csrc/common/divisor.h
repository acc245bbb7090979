// Division by a number that is known before a launch: a product instead of the many instructions of a 64-bit division.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <stdexcept>

namespace cdipipe::cuda {

// Exact where n d < 2^64: n is below 2^39 in grids of 2^31 blocks of 256 threads, and d at most 2^24.
class Divisor {
public:
  explicit Divisor(int64_t d) : d_(static_cast<uint64_t>(d)), inverse_(d > 1 ? ~uint64_t{0} / d_ + 1 : 0) {
    if (d > kMost) throw std::invalid_argument("CUDA kernels: an axis of more than 2^24 entries");
  }

  // The remainder of `index`, which becomes the quotient.
  __device__ int64_t take_from(uint64_t& index) const {
    const uint64_t quotient = d_ == 1 ? index : __umul64hi(index, inverse_);
    const uint64_t remainder = index - quotient * d_;
    index = quotient;
    return static_cast<int64_t>(remainder);
  }

private:
  static constexpr int64_t kMost = int64_t{1} << 24;

  uint64_t d_, inverse_;
};

}  // namespace cdipipe::cuda
