// What the bindings of every kernel share. Addresses come in as integers (tensor.data_ptr()), shapes were checked in
// cdipipe/ops.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <stdexcept>
#include <vector>

#include "common/cuda.h"

namespace cdipipe {

using Address = uintptr_t;  // 0: none

// `device` is kCpu, with the number of threads as `queue`, or a CUDA ordinal, with the stream as `queue`.
constexpr int kCpu = -1;

#ifdef CDIPIPE_WITH_CUDA
constexpr bool kHasCuda = true;
#else
constexpr bool kHasCuda = false;  // what stands in `if constexpr (kHasCuda)` needs no definition then
#endif

using NoGil = pybind11::call_guard<pybind11::gil_scoped_release>;

template <class T>
T* at(Address address) {
  return reinterpret_cast<T*>(address);
}

[[noreturn]] inline void no_cuda() {
  throw std::runtime_error("cdipipe._native was built without CUDA kernels");
}

// A kernel's functions for Python. Its file NAME_bindings.cpp defines one at namespace scope, and that adds them:
//     const Bindings bindings([](pybind11::module_& module) { module.def("name", &function, NoGil()); });
class Bindings {
public:
  using Function = void (*)(pybind11::module_&);
  explicit Bindings(Function add) { all().push_back(add); }
  static std::vector<Function>& all();
};

}  // namespace cdipipe
