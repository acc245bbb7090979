#include "common/bindings.h"
#include "wpc/wpc.h"

namespace cdipipe {
namespace {

void window_ratio(int device, Address measured, Address weights, Address ratio, Address valid, int64_t batch,
                  int64_t height, int64_t width, int64_t out_height, int64_t out_width, int kernel, int stride,
                  int padding, Address queue) {
  const wpc::WindowArrays arrays{at<uint8_t>(measured),
                                 at<float>(weights),
                                 at<float>(ratio),
                                 at<uint8_t>(valid),
                                 batch,
                                 height,
                                 width,
                                 out_height,
                                 out_width,
                                 kernel,
                                 stride,
                                 padding};
  if (device == kCpu) return wpc::cpu::window_ratio(arrays, static_cast<int>(queue));
  if constexpr (kHasCuda) {
    cuda::set_device(device);
    wpc::cuda::window_ratio(arrays, at<void>(queue));
  } else {
    no_cuda();
  }
}

void renormalise(int device, Address features, Address ratio, int64_t ratio_stride, Address bias, Address out,
                 int64_t batch, int64_t channels, int64_t pixels, bool channels_last, bool relu, bool zero_invalid,
                 Address queue) {
  const wpc::RenormaliseArrays arrays{at<float>(features),
                                      at<float>(ratio),
                                      at<float>(bias),
                                      at<float>(out),
                                      ratio_stride,
                                      batch,
                                      channels,
                                      pixels,
                                      channels_last,
                                      relu,
                                      zero_invalid};
  if (device == kCpu) return wpc::cpu::renormalise(arrays, static_cast<int>(queue));
  if constexpr (kHasCuda) {
    cuda::set_device(device);
    wpc::cuda::renormalise(arrays, at<void>(queue));
  } else {
    no_cuda();
  }
}

void first_layer(Address image, Address kernels, Address ratio, int64_t ratio_stride, Address bias, Address out,
                 int64_t row_stride, int64_t image_stride, int64_t batch, int64_t height, int64_t width,
                 int64_t channels, int size, int threads) {
  wpc::cpu::first_layer({at<float>(image), at<float>(kernels), at<float>(ratio), at<float>(bias), at<float>(out),
                         ratio_stride, row_stride, image_stride, batch, height, width, channels, size},
                        threads);
}

const Bindings bindings([](pybind11::module_& module) {
  module.def("window_ratio", &window_ratio, NoGil());
  module.def("renormalise", &renormalise, NoGil());
  module.def("first_layer", &first_layer, NoGil());
});

}  // namespace
}  // namespace cdipipe
