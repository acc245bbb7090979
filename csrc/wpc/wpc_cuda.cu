// CUDA kernels; one thread per output pixel of the mask, or per feature. Neighbouring threads work on neighbouring
// addresses, and nothing depends on scheduling order.
#include "common/cuda_check.h"
#include "wpc/wpc.h"

namespace cdipipe::wpc::cuda {
namespace {

using cdipipe::cuda::check;

constexpr int kThreads = 256;
constexpr int64_t kMaxRows = 65535;  // of a grid along y

__global__ void __launch_bounds__(kThreads) window_ratio_kernel(WindowArrays arrays) {
  const int64_t column = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (column >= arrays.out_width) return;
  const int64_t left = column * arrays.stride - arrays.padding;
  const int64_t first_x = left < 0 ? 0 : left;
  const int64_t last_x = left + arrays.kernel < arrays.width ? left + arrays.kernel : arrays.width;
  const int64_t rows = arrays.batch * arrays.out_height;
  for (int64_t row = blockIdx.y; row < rows; row += gridDim.y) {
    const int64_t item = row / arrays.out_height, top = row % arrays.out_height * arrays.stride - arrays.padding;
    const int64_t first_y = top < 0 ? 0 : top;
    const int64_t last_y = top + arrays.kernel < arrays.height ? top + arrays.kernel : arrays.height;
    float all = 0, seen = 0;
    for (int64_t y = first_y; y < last_y; ++y) {
      const float* weights = arrays.weights + y * arrays.width;
      const uint8_t* measured = arrays.measured + (item * arrays.height + y) * arrays.width;
      for (int64_t x = first_x; x < last_x; ++x) {
        all += weights[x];
        seen += measured[x] != 0 ? weights[x] : 0.0f;
      }
    }
    const int64_t at = row * arrays.out_width + column;
    arrays.ratio[at] = seen > 0 ? all / seen : 0.0f;
    arrays.valid[at] = seen > 0;
  }
}

// Rows of the grid: planes (batch x channels), or batch items if channels are last.
template <bool channels_last>
__global__ void __launch_bounds__(kThreads) renormalise_kernel(RenormaliseArrays arrays) {
  const int64_t planes = channels_last ? arrays.batch : arrays.batch * arrays.channels;
  const int64_t floats = channels_last ? arrays.pixels * arrays.channels : arrays.pixels;
  const int64_t at = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (at >= floats) return;
  const int64_t pixel = channels_last ? at / arrays.channels : at;
  for (int64_t plane = blockIdx.y; plane < planes; plane += gridDim.y) {
    const int64_t item = channels_last ? plane : plane / arrays.channels;
    const int64_t channel = channels_last ? at - pixel * arrays.channels : plane - item * arrays.channels;
    const float ratio = arrays.ratio[item * arrays.ratio_stride + pixel];
    const float bias = arrays.bias ? arrays.bias[channel] : 0.0f;
    float value = arrays.features[plane * floats + at] * ratio + bias;
    if (arrays.relu && value < 0) value = 0;
    if (arrays.zero_invalid && ratio == 0) value = 0;
    arrays.out[plane * floats + at] = value;
  }
}

dim3 grid_of(int64_t columns, int64_t rows) {
  const int64_t blocks = (columns + kThreads - 1) / kThreads;
  if (blocks > 2147483647) throw std::invalid_argument("CUDA kernels: more than 2^31 blocks in one call");
  return dim3(static_cast<unsigned>(blocks), static_cast<unsigned>(rows < kMaxRows ? rows : kMaxRows));
}

}  // namespace

void window_ratio(const WindowArrays& arrays, void* stream) {
  if (arrays.batch * arrays.out_height * arrays.out_width == 0) return;
  const dim3 grid = grid_of(arrays.out_width, arrays.batch * arrays.out_height);
  window_ratio_kernel<<<grid, kThreads, 0, static_cast<cudaStream_t>(stream)>>>(arrays);
  check(cudaGetLastError(), "window_ratio");
}

void renormalise(const RenormaliseArrays& arrays, void* stream) {
  if (arrays.batch * arrays.channels * arrays.pixels == 0) return;
  const auto queue = static_cast<cudaStream_t>(stream);
  if (arrays.channels_last) {
    renormalise_kernel<true><<<grid_of(arrays.pixels * arrays.channels, arrays.batch), kThreads, 0, queue>>>(arrays);
  } else {
    renormalise_kernel<false><<<grid_of(arrays.pixels, arrays.batch * arrays.channels), kThreads, 0, queue>>>(arrays);
  }
  check(cudaGetLastError(), "renormalise");
}

}  // namespace cdipipe::wpc::cuda
