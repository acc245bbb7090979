// Which instruction set the inner loops run with.
#pragma once

#include <string>
#include <vector>

namespace cdipipe::simd {

enum class Level : int { baseline = 0, avx2 = 1, avx512 = 2 };

// The active level: the best that the processor and the build offer, or what the environment variable CDIPIPE_SIMD
// (baseline, avx2, avx512) or set_level asks for.
Level level();

// Throws std::invalid_argument when the name is unknown or this processor cannot run it.
void set_level(const std::string& name);

std::string level_name();
std::vector<std::string> available_levels();

// The table of kernels of the active level.
template <class Kernels>
const Kernels& pick(const Kernels& baseline, const Kernels& avx2, const Kernels& avx512) {
  const Level active = level();
  return active == Level::avx512 ? avx512 : active == Level::avx2 ? avx2 : baseline;
}

}  // namespace cdipipe::simd

// In a namespace whose kernels are compiled once per level: those of the active one.
#ifdef CDIPIPE_X86_LEVELS
#define CDIPIPE_ACTIVE_KERNELS ::cdipipe::simd::pick(baseline::kernels, avx2::kernels, avx512::kernels)
#else
#define CDIPIPE_ACTIVE_KERNELS baseline::kernels
#endif
