// The Python module: what each kernel's bindings add to it, and what it was built with.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>

#include "common/bindings.h"
#include "common/cuda.h"
#include "common/simd.h"

using namespace cdipipe;

std::vector<Bindings::Function>& Bindings::all() {
  static std::vector<Function> functions;
  return functions;
}

namespace {

std::string cuda_architectures() {
#ifdef CDIPIPE_WITH_CUDA
  return CDIPIPE_CUDA_ARCHITECTURES;
#else
  return "";
#endif
}

std::pair<int, std::string> cuda_devices() {
  if constexpr (kHasCuda) {
    const auto found = cuda::devices();
    return {found.count, found.message};
  } else {
    return {0, "built without CUDA kernels"};
  }
}

}  // namespace

PYBIND11_MODULE(_native, module) {
  module.doc() = "Compiled kernels of cdipipe; use them through cdipipe.ops.";
  for (const auto add : Bindings::all()) add(module);
  module.def("cuda_compiled", [] { return kHasCuda; });
  module.def("cuda_architectures", &cuda_architectures, "Comma-separated compute capabilities, e.g. '80,90'.");
  module.def("cuda_devices", &cuda_devices, "(number of devices, why there is none).");
  module.def("simd_level", &simd::level_name);
  module.def("simd_levels", &simd::available_levels);
  module.def("set_simd_level", &simd::set_level);
}
