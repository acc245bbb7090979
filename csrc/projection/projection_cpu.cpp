// Threads and the choice of the instruction set; the arithmetic is in projection_blocks.cpp.
#include <vector>

#include "common/simd.h"
#include "projection/projection_blocks.h"

namespace cdipipe::projection::cpu {
namespace {

const BlockKernels& active_kernels() {
  return CDIPIPE_ACTIVE_KERNELS;
}

// Calls work(item, begin, count, index) for every block of every batch item, in parallel.
template <class Work>
void for_each_block(int64_t batch, int64_t pixels, [[maybe_unused]] int threads, Work work) {
  const int64_t blocks = block_count(pixels);
  const int64_t total = batch * blocks;
#pragma omp parallel for schedule(static) num_threads(threads) if (total > 1)
  for (int64_t index = 0; index < total; ++index) {
    const int64_t begin = (index % blocks) * kBlockPixels;
    const int64_t left = pixels - begin;
    work(index / blocks, begin, left < kBlockPixels ? left : kBlockPixels, index);
  }
}

// for_each_block, and the sums of what work returns over the blocks of each item; `sums` may be null.
template <class Work>
void sum_blocks(int64_t batch, int64_t pixels, int threads, double* sums, Work work) {
  const int64_t blocks = block_count(pixels);
  std::vector<double> partials(batch * blocks);
  for_each_block(batch, pixels, threads, [&](int64_t item, int64_t begin, int64_t count, int64_t index) {
    partials[index] = work(item, begin, count);
  });
  if (!sums) return;
  for (int64_t item = 0; item < batch; ++item) {
    double sum = 0;
    for (int64_t block = 0; block < blocks; ++block) sum += partials[item * blocks + block];
    sums[item] = sum;
  }
}

}  // namespace

void project_modulus(const ModulusArrays& arrays, int threads) {
  const BlockKernels& kernels = active_kernels();
  sum_blocks(arrays.batch, arrays.pixels, threads, arrays.error, [&](int64_t item, int64_t begin, int64_t count) {
    return kernels.project_modulus(arrays, item, begin, count);
  });
}

void relax_modulus(const RelaxArrays& arrays, const RelaxRule& rule, int threads) {
  const BlockKernels& kernels = active_kernels();
  sum_blocks(arrays.batch, arrays.pixels, threads, arrays.error, [&](int64_t item, int64_t begin, int64_t count) {
    return kernels.relax_modulus(arrays, rule, item, begin, count);
  });
}

void project_modulus_backward(const ModulusBackwardArrays& arrays, int threads) {
  const BlockKernels& kernels = active_kernels();
  for_each_block(arrays.batch, arrays.pixels, threads, [&](int64_t item, int64_t begin, int64_t count, int64_t) {
    kernels.project_modulus_backward(arrays, item, begin, count);
  });
}

void update_object(const ObjectArrays& arrays, const ObjectRule& rule, int threads) {
  const BlockKernels& kernels = active_kernels();
  for_each_block(arrays.batch, arrays.pixels, threads, [&](int64_t item, int64_t begin, int64_t count, int64_t) {
    kernels.update_object(arrays, rule, item, begin, count);
  });
}

void update_object_backward(const ObjectBackwardArrays& arrays, const ObjectRule& rule, int threads) {
  const BlockKernels& kernels = active_kernels();
  for_each_block(arrays.batch, arrays.pixels, threads, [&](int64_t item, int64_t begin, int64_t count, int64_t) {
    kernels.update_object_backward(arrays, rule, item, begin, count);
  });
}

void subtract_projection(const ResidualArrays& arrays, const ObjectRule& rule, int threads) {
  const BlockKernels& kernels = active_kernels();
  for_each_block(arrays.batch, arrays.pixels, threads, [&](int64_t item, int64_t begin, int64_t count, int64_t) {
    kernels.subtract_projection(arrays, rule, item, begin, count);
  });
}

}  // namespace cdipipe::projection::cpu
