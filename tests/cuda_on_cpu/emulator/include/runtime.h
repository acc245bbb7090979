// Runs CUDA kernels on the CPU: blocks one after the other, the threads of a block as well, each until it ends or waits
// at a barrier. Environment, read at each launch:
//
//   CUDA_ON_CPU_ORDER   of blocks and of threads: forward (default), reverse, random (another one in every block), or
//                       each of the three in turn, launch by launch
//   CUDA_ON_CPU_BLOCKS  all (default) or edges: of more than 4096 blocks only the first, the last and those around
//                       powers of two
//   CUDA_ON_CPU_STREAM  number of the only stream that may be launched on; any by default
#pragma once

#include <functional>
#include <vector>

namespace cuda_on_cpu {

constexpr size_t kMostParameterBytes = 4096, kMostSharedBytes = 49152;

struct Kernel {
  const char* name;
  unsigned most_threads;  // of its __launch_bounds__
};

struct Launch {
  dim3 grid, block;
  size_t shared_bytes = 0;
  cudaStream_t stream = nullptr;
};

void run(const Kernel& kernel, const Launch& launch, const std::function<void()>& thread);
void barrier(const char* file, int line);

// What `kernel<<<launch>>>` becomes; it is called with the kernel's arguments, which each thread gets a copy of.
template <class... Parameters>
auto launch(const Kernel& kernel, const Launch& launch, void (*function)(Parameters...)) {
  static_assert((sizeof(Parameters) + ... + 0) <= kMostParameterBytes, "parameters of a kernel");
  return [=](Parameters... arguments) { run(kernel, launch, [&] { function(arguments...); }); };
}

// Bytes that a block shares, filled with NaN for each block and framed by bytes that nobody may change.
class SharedBytes {
public:
  explicit SharedBytes(size_t bytes);
  void* of_this_block();
  bool frame_is_whole() const;
  size_t size() const { return bytes_; }

private:
  size_t bytes_;
  std::vector<unsigned char> memory_;
  unsigned long block_ = 0;  // serial number of the block that it was filled for
};

// What `__shared__ T name` becomes.
template <class T>
class Shared : public SharedBytes {
public:
  Shared() : SharedBytes(sizeof(T)) {}
  T& of_this_block() { return *static_cast<T*>(SharedBytes::of_this_block()); }
};

// What `extern __shared__ T name[]` becomes.
void* dynamic_shared();

}  // namespace cuda_on_cpu
