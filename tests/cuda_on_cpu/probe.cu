// Kernels that do what kernels must not, or tell what was done to them.
#include <cuda_runtime.h>

namespace {

__global__ void who_comes(int* order, int* count) {
  const int self = static_cast<int>((blockIdx.y * gridDim.x + blockIdx.x) * blockDim.x * blockDim.y +
                                    threadIdx.y * blockDim.x + threadIdx.x);
  order[(*count)++] = self;
}

__global__ void __launch_bounds__(128) nothing(int) {}

__global__ void neighbours(float* out, bool wait) {
  __shared__ float shared[64];
  shared[threadIdx.x] = static_cast<float>(threadIdx.x);
  if (wait) __syncthreads();
  out[threadIdx.x] = shared[63 - threadIdx.x];
}

__global__ void what_is_shared(float* out) {
  __shared__ float tile[2][32];
  extern __shared__ float more[];
  out[2 * blockIdx.x] = tile[1][0], out[2 * blockIdx.x + 1] = more[3];
  tile[1][0] = more[3] = 1;
}

__global__ void different_barriers() {
  if (threadIdx.x < 5) {
    __syncthreads();
  } else {
    __syncthreads();
  }
}

__global__ void one_too_far(int at) {
  __shared__ int values[4];
  int* first = values;
  first[at] = 0;
}

__global__ void too_much() {
  __shared__ double values[6000];
  extern __shared__ char more[];
  values[0] = more[0];
}

}  // namespace

extern "C" __attribute__((visibility("default"))) int probe(int which, void* data, int* numbers) {
  const dim3 grid(numbers[0], numbers[1], numbers[2]), block(numbers[3], numbers[4], numbers[5]);
  const size_t bytes = numbers[6];
  auto* floats = static_cast<float*>(data);
  auto* integers = static_cast<int*>(data);
  switch (which) {
    case 0:
      who_comes<<<grid, block>>>(integers + 1, integers);
      break;
    case 1:
      nothing<<<grid, block, bytes>>>(0);
      break;
    case 2:
      neighbours<<<1, 64>>>(floats, numbers[7] != 0);
      break;
    case 3:
      what_is_shared<<<grid, block, 16>>>(floats);
      break;
    case 4:
      different_barriers<<<grid, block>>>();
      break;
    case 5:
      one_too_far<<<grid, block>>>(numbers[7]);
      break;
    default:
      too_much<<<grid, block, bytes>>>();
  }
  return cudaGetLastError();
}
