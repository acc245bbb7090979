#include "common/cuda.h"
#include "common/cuda_check.h"

namespace cdipipe::cuda {

Devices devices() {
  int count = 0;
  const cudaError_t code = cudaGetDeviceCount(&count);
  if (code == cudaSuccess && count > 0) return {count, ""};
  cudaGetLastError();  // forget it: the next launch must not report this one
  return {0, code == cudaSuccess ? "no CUDA device" : cudaGetErrorString(code)};
}

void set_device(int device) {
  check(cudaSetDevice(device), "cudaSetDevice");
}

}  // namespace cdipipe::cuda
