#include "common/bindings.h"
#include "winograd/winograd.h"

namespace cdipipe {
namespace {

void winograd_input(Address image, int64_t pixel_stride, Address products, int64_t batch, int64_t height, int64_t width,
                    int64_t channels, int threads) {
  winograd::cpu::transform_input({at<float>(image), at<float>(products), pixel_stride, batch, height, width, channels},
                                 threads);
}

void winograd_output(Address products, Address bias, Address add, Address residual, Address image, int64_t pixel_stride,
                     int64_t batch, int64_t height, int64_t width, int64_t channels, int threads) {
  winograd::cpu::transform_output({at<float>(products), at<float>(bias), at<float>(add), at<float>(residual),
                                   at<float>(image), pixel_stride, batch, height, width, channels},
                                  threads);
}

const Bindings bindings([](pybind11::module_& module) {
  module.def("winograd_input", &winograd_input, NoGil());
  module.def("winograd_output", &winograd_output, NoGil());
});

}  // namespace
}  // namespace cdipipe
