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

}  // namespace cdipipe::simd
