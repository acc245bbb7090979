// Threads and the choice of the instruction set; the arithmetic is in wpc_blocks.cpp.
#include <vector>

#include "common/simd.h"
#include "wpc/wpc_blocks.h"

namespace cdipipe::wpc::cpu {
namespace {

constexpr int64_t kBlockFloats = 16384;  // features of one block

const BlockKernels& active_kernels() {
  return CDIPIPE_ACTIVE_KERNELS;
}

}  // namespace

void window_ratio(const WindowArrays& arrays, [[maybe_unused]] int threads) {
  const BlockKernels& kernels = active_kernels();
  const int64_t rows = arrays.batch * arrays.out_height;
#pragma omp parallel num_threads(threads) if (rows > 16)
  {
    std::vector<float> scratch(scratch_floats(arrays.width, arrays.padding));
#pragma omp for schedule(static)
    for (int64_t row = 0; row < rows; ++row) {
      kernels.window_row(arrays, row / arrays.out_height, row % arrays.out_height, scratch.data());
    }
  }
}

void renormalise(const RenormaliseArrays& arrays, [[maybe_unused]] int threads) {
  const BlockKernels& kernels = active_kernels();
  const int64_t planes = arrays.channels_last ? 1 : arrays.channels;  // blocks of pixels are cut from each plane
  const int64_t depth = arrays.channels_last ? arrays.channels : 1;
  const int64_t step = depth < kBlockFloats ? kBlockFloats / depth : 1;
  const int64_t blocks = (arrays.pixels + step - 1) / step;
  const int64_t total = arrays.batch * planes * blocks;
#pragma omp parallel for schedule(static) num_threads(threads) if (total > 1)
  for (int64_t index = 0; index < total; ++index) {
    const int64_t plane = index / blocks, begin = index % blocks * step, left = arrays.pixels - begin;
    kernels.renormalise(arrays, plane / planes, plane % planes, begin, left < step ? left : step);
  }
}

void first_layer(const FirstLayerArrays& arrays, [[maybe_unused]] int threads) {
  const BlockKernels& kernels = active_kernels();
  const int64_t rows = arrays.batch * arrays.height;
#pragma omp parallel for schedule(static) num_threads(threads) if (rows > 16)
  for (int64_t row = 0; row < rows; ++row) kernels.first_layer_row(arrays, row / arrays.height, row % arrays.height);
}

}  // namespace cdipipe::wpc::cpu
