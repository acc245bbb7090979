// Threads and the choice of the instruction set; the arithmetic is in winograd_blocks.cpp.
#include "common/simd.h"
#include "winograd/winograd_blocks.h"

namespace cdipipe::winograd::cpu {
namespace {

const BlockKernels& active_kernels() {
  return CDIPIPE_ACTIVE_KERNELS;
}

template <class Arrays>
int64_t tile_count(const Arrays& arrays) {
  return arrays.batch * (arrays.height / kTile) * (arrays.width / kTile);
}

}  // namespace

void transform_input(const InputArrays& arrays, [[maybe_unused]] int threads) {
  const BlockKernels& kernels = active_kernels();
  const int64_t tiles = tile_count(arrays);
#pragma omp parallel for schedule(static) num_threads(threads) if (tiles * arrays.channels > 4096)
  for (int64_t tile = 0; tile < tiles; ++tile) kernels.input_tile(arrays, tile);
}

void transform_output(const OutputArrays& arrays, [[maybe_unused]] int threads) {
  const BlockKernels& kernels = active_kernels();
  const int64_t tiles = tile_count(arrays);
#pragma omp parallel for schedule(static) num_threads(threads) if (tiles * arrays.channels > 4096)
  for (int64_t tile = 0; tile < tiles; ++tile) kernels.output_tile(arrays, tile);
}

}  // namespace cdipipe::winograd::cpu
