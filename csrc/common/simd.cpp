#include "common/simd.h"

#include <cstdlib>
#include <stdexcept>

namespace cdipipe::simd {
namespace {

const char* const kNames[] = {"baseline", "avx2", "avx512"};

Level best_level() {
#ifdef CDIPIPE_X86_LEVELS
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (avx2 && avx512) return Level::avx512;
  if (avx2) return Level::avx2;
#endif
  return Level::baseline;
}

Level parse_level(const std::string& name) {
  for (int i = 0; i <= static_cast<int>(best_level()); ++i) {
    if (name == kNames[i]) return static_cast<Level>(i);
  }
  std::string allowed;
  for (const auto& known : available_levels()) allowed += (allowed.empty() ? "" : ", ") + known;
  throw std::invalid_argument("CDIPIPE_SIMD: got '" + name + "'; this processor and build allow: " + allowed);
}

Level& active() {
  static Level value = [] {
    const char* asked = std::getenv("CDIPIPE_SIMD");
    return asked && *asked ? parse_level(asked) : best_level();
  }();
  return value;
}

}  // namespace

Level level() {
  return active();
}

void set_level(const std::string& name) {
  active() = parse_level(name);
}

std::string level_name() {
  return kNames[static_cast<int>(active())];
}

std::vector<std::string> available_levels() {
  return {kNames, kNames + static_cast<int>(best_level()) + 1};
}

}  // namespace cdipipe::simd
