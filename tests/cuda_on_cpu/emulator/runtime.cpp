#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "fiber.h"

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace cuda_on_cpu {
namespace {

constexpr size_t kFrameBytes = 256, kSmallGrid = 4096;
constexpr unsigned char kPoison = 0xff;  // floats of it are NaN, integers -1

struct Place {
  const char* file;
  int line;
};

std::mutex mutex;  // one launch at a time, from whatever thread of the process
cudaError_t last_error = cudaSuccess;
std::map<std::string, long> launches;
std::mt19937 random_numbers(1);

// of the launch
const Kernel* kernel;
const std::function<void()>* thread_body;
std::string order;
unsigned turn = 0;

// of the block
unsigned long block_serial = 0;
std::vector<SharedBytes*> shared_in_use;
std::unique_ptr<SharedBytes> dynamic_bytes;
std::vector<unsigned> threads;  // in the order in which they start
size_t started;
std::vector<Fiber*> idle, waiting;
Place place;             // where they wait
bool divergent = false;  // and some elsewhere
Fiber* current;

void fail(const std::string& what) {
  std::fprintf(stderr, "CUDA on CPU: kernel %s: %s\n", kernel->name, what.c_str());
  last_error = cudaErrorLaunchFailure;
}

std::string setting(const char* name, const std::vector<std::string>& allowed) {
  const char* value = std::getenv(name);
  if (!value || !*value) return allowed.front();
  if (std::find(allowed.begin(), allowed.end(), value) != allowed.end()) return value;
  std::fprintf(stderr, "%s is '%s'\n", name, value);
  std::abort();
}

template <class T>
void arrange(std::vector<T>& items) {
  if (order == "reverse") std::reverse(items.begin(), items.end());
  if (order == "random") std::shuffle(items.begin(), items.end(), random_numbers);
}

void become(unsigned thread) {
  threadIdx = {thread % blockDim.x, thread / blockDim.x % blockDim.y, thread / blockDim.x / blockDim.y};
}

// What a fiber does: run threads of a block to their ends, one after the other.
void work() {
  while (true) {
    while (started < threads.size()) {
      current->thread = threads[started++];
      become(current->thread);
      (*thread_body)();
    }
    idle.push_back(current);
    current->suspend();
  }
}

void resume(Fiber* fiber) {
  current = fiber;
  become(fiber->thread);
  fiber->resume();
}

Fiber* idle_fiber() {
  if (idle.empty()) return new Fiber(&work);
  Fiber* fiber = idle.back();
  idle.pop_back();
  return fiber;
}

// All threads that have not ended wait: let them go on, if they wait at one and the same barrier.
bool release() {
  if (divergent) {
    fail(std::string("threads of one block wait at different barriers, one at ") + place.file + ":" +
         std::to_string(place.line));
    waiting.clear();  // their stacks are given up
    return false;
  }
  std::vector<Fiber*> released;
  released.swap(waiting);
  std::sort(released.begin(), released.end(), [](Fiber* a, Fiber* b) { return a->thread < b->thread; });
  arrange(released);
  for (Fiber* fiber : released) resume(fiber);
  return true;
}

void run_block() {
  ++block_serial;
  shared_in_use.clear();
  threads.resize(static_cast<size_t>(blockDim.x) * blockDim.y * blockDim.z);
  for (size_t i = 0; i < threads.size(); ++i) threads[i] = static_cast<unsigned>(i);
  arrange(threads);
  started = 0, divergent = false;
  while (started < threads.size()) resume(idle_fiber());
  while (!waiting.empty() && release()) {
  }
  size_t bytes = 0;
  for (const SharedBytes* shared : shared_in_use) {
    bytes += shared->size();
    if (!shared->frame_is_whole()) fail("writes beyond a shared array");
  }
  if (bytes > kMostSharedBytes) fail("uses " + std::to_string(bytes) + " bytes of shared memory");
}

std::vector<unsigned long> blocks_to_run(unsigned long count) {
  std::vector<unsigned long> blocks;
  if (setting("CUDA_ON_CPU_BLOCKS", {"all", "edges"}) == "all" || count <= kSmallGrid) {
    blocks.resize(count);
    for (unsigned long i = 0; i < count; ++i) blocks[i] = i;
  } else {
    std::set<unsigned long> edges = {0, count - 1};
    if (count > 1) edges.insert({1, count - 2});
    for (unsigned long power = 4; power < count; power *= 2) edges.insert({power - 1, power});
    blocks.assign(edges.begin(), edges.end());
  }
  arrange(blocks);
  return blocks;
}

bool is_another(cudaStream_t stream) {
  const char* only = std::getenv("CUDA_ON_CPU_STREAM");
  return only && reinterpret_cast<uintptr_t>(stream) != std::strtoull(only, nullptr, 10);
}

// What a device of compute capability 7.5 to 12 refuses, and a launch on a stream that is not the caller's.
cudaError_t refusal(const Launch& launch) {
  const dim3 &grid = launch.grid, &block = launch.block;
  const bool any = grid.x && grid.y && grid.z && block.x && block.y && block.z;
  const unsigned long count = static_cast<unsigned long>(block.x) * block.y * block.z;
  if (is_another(launch.stream)) return cudaErrorInvalidResourceHandle;
  if (!any || grid.x > 2147483647u || grid.y > 65535 || grid.z > 65535) return cudaErrorInvalidConfiguration;
  if (block.x > 1024 || block.y > 1024 || block.z > 64 || count > 1024) return cudaErrorInvalidConfiguration;
  if (launch.shared_bytes > kMostSharedBytes) return cudaErrorInvalidConfiguration;
  return count > kernel->most_threads ? cudaErrorLaunchOutOfResources : cudaSuccess;
}

}  // namespace

void run(const Kernel& which, const Launch& launch, const std::function<void()>& thread) {
  const std::lock_guard<std::mutex> lock(mutex);
  kernel = &which, thread_body = &thread;
  const cudaError_t refused = refusal(launch);
  if (refused != cudaSuccess) {
    last_error = refused;
    return;
  }
  ++launches[which.name];
  order = setting("CUDA_ON_CPU_ORDER", {"forward", "reverse", "random", "each"});
  if (order == "each") order = std::vector{"forward", "reverse", "random"}[++turn % 3];
  gridDim = launch.grid, blockDim = launch.block;
  dynamic_bytes = std::make_unique<SharedBytes>(launch.shared_bytes);
  for (const unsigned long block : blocks_to_run(static_cast<unsigned long>(gridDim.x) * gridDim.y * gridDim.z)) {
    blockIdx = {static_cast<unsigned>(block % gridDim.x), static_cast<unsigned>(block / gridDim.x % gridDim.y),
                static_cast<unsigned>(block / gridDim.x / gridDim.y)};
    run_block();
  }
}

void barrier(const char* file, int line) {
  if (waiting.empty()) place = {file, line};
  divergent |= place.line != line || std::strcmp(place.file, file) != 0;
  waiting.push_back(current);
  current->suspend();
}

SharedBytes::SharedBytes(size_t bytes) : bytes_(bytes), memory_(bytes + 2 * kFrameBytes, kPoison) {}

void* SharedBytes::of_this_block() {
  if (block_ != block_serial) {
    block_ = block_serial;
    std::fill(memory_.begin(), memory_.end(), kPoison);
    shared_in_use.push_back(this);
  }
  return memory_.data() + kFrameBytes;
}

bool SharedBytes::frame_is_whole() const {
  const auto untouched = [](unsigned char byte) { return byte == kPoison; };
  return std::all_of(memory_.begin(), memory_.begin() + kFrameBytes, untouched) &&
         std::all_of(memory_.end() - kFrameBytes, memory_.end(), untouched);
}

void* dynamic_shared() {
  return dynamic_bytes->of_this_block();
}

}  // namespace cuda_on_cpu

cudaError_t cudaGetLastError() {
  return std::exchange(cuda_on_cpu::last_error, cudaSuccess);
}

const char* cudaGetErrorString(cudaError_t code) {
  switch (code) {
    case cudaSuccess:
      return "no error";
    case cudaErrorInvalidConfiguration:
      return "invalid configuration argument";
    case cudaErrorInvalidDevice:
      return "invalid device ordinal";
    case cudaErrorInvalidResourceHandle:
      return "invalid resource handle";
    case cudaErrorLaunchOutOfResources:
      return "too many resources requested for launch";
    default:
      return "unspecified launch failure";
  }
}

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
  return device == 0 ? cudaSuccess : cudaErrorInvalidDevice;
}

cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t stream) {
  if (cuda_on_cpu::is_another(stream)) return cudaErrorInvalidResourceHandle;
  std::memset(to, value, bytes);
  return cudaSuccess;
}

// For tests: how often a kernel was launched in this process.
extern "C" __attribute__((visibility("default"))) long cuda_on_cpu_launches(const char* name) {
  const auto found = cuda_on_cpu::launches.find(name);
  return found == cuda_on_cpu::launches.end() ? 0 : found->second;
}
