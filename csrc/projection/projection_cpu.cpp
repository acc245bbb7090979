// Threads and the choice of the instruction set; the arithmetic is in projection_blocks.cpp.
#include <exception>
#include <vector>

#include "common/simd.h"
#include "fourier/plans.h"
#include "projection/projection_blocks.h"

namespace cdipipe::projection::cpu {
namespace {

const BlockKernels& active_kernels() {
  return CDIPIPE_ACTIVE_KERNELS;
}

// Calls work(index) for every index below `total`; one thread makes no team, which would take a microsecond.
template <class Work>
void in_parallel(int64_t total, [[maybe_unused]] int threads, Work work) {
  if (threads <= 1 || total <= 1) {
    for (int64_t index = 0; index < total; ++index) work(index);
    return;
  }
#pragma omp parallel for schedule(static) num_threads(threads)
  for (int64_t index = 0; index < total; ++index) work(index);
}

// Calls work(item, begin, count, index) for every block of every batch item, in parallel.
template <class Work>
void for_each_block(int64_t batch, int64_t pixels, int threads, Work work) {
  const int64_t blocks = block_count(pixels);
  in_parallel(batch * blocks, threads, [&](int64_t index) {
    const int64_t begin = (index % blocks) * kBlockPixels;
    const int64_t left = pixels - begin;
    work(index / blocks, begin, left < kBlockPixels ? left : kBlockPixels, index);
  });
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

ModulusArrays item_of(ModulusArrays arrays, int64_t item) {
  const int64_t offset = 2 * item * arrays.pixels;
  arrays.wavefront += offset;
  arrays.projected += offset;
  arrays.modulus += item * arrays.modulus_stride;
  if (arrays.measured) arrays.measured += item * arrays.measured_stride;
  if (arrays.error) arrays.error += item;
  arrays.batch = 1;
  return arrays;
}

ObjectArrays item_of(ObjectArrays arrays, int64_t item, int64_t support_stride) {
  const int64_t offset = 2 * item * arrays.pixels;
  arrays.exit_wave += offset;
  arrays.projected += offset;
  arrays.out += offset;
  arrays.support += item * support_stride;
  arrays.batch = 1;
  return arrays;
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

void iterate(const fourier::Layout& layout, const ModulusArrays& modulus, const ObjectArrays& object,
             int64_t support_stride, const ObjectRule& rule) {
  const bool apart = layout.batch >= layout.threads;  // a thread for each item
  fourier::Layout inner = layout;
  inner.batch = 1;
  if (apart) inner.threads = 1;
  std::exception_ptr failure;
  in_parallel(layout.batch, apart ? layout.threads : 1, [&](int64_t item) {
    try {
      const ModulusArrays on_detector = item_of(modulus, item);
      const ObjectArrays on_object = item_of(object, item, support_stride);
      fourier::transform(inner, false, on_object.exit_wave, on_detector.projected);
      project_modulus(on_detector, inner.threads);
      fourier::transform(inner, true, on_detector.projected, on_detector.projected);
      update_object(on_object, rule, inner.threads);
    } catch (...) {  // none may leave a parallel loop
#pragma omp critical
      failure = std::current_exception();
    }
  });
  if (failure) std::rethrow_exception(failure);
}

}  // namespace cdipipe::projection::cpu
