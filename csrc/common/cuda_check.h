#pragma once

#include <cuda_runtime.h>

#include <stdexcept>
#include <string>

namespace cdipipe::cuda {

inline void check(cudaError_t code, const char* what) {
  if (code == cudaSuccess) return;
  throw std::runtime_error(std::string("CUDA error in ") + what + ": " + cudaGetErrorString(code) + " (" +
                           std::to_string(static_cast<int>(code)) + ")");
}

}  // namespace cdipipe::cuda
