#include <pybind11/stl.h>

#include <vector>

#include "common/bindings.h"
#include "fourier/plans.h"

namespace cdipipe {
namespace {

void transform(Address from, Address to, bool is_double, const std::vector<int64_t>& grid, int64_t batch, bool inverse,
               int threads) {
  fourier::transform(fourier::layout_of(is_double, grid, batch, threads), inverse, at<void>(from), at<void>(to));
}

const Bindings bindings([](pybind11::module_& module) {
  module.def("has_fourier_plans", &fourier::is_available);
  module.def("fourier_transform", &transform, NoGil());
});

}  // namespace
}  // namespace cdipipe
