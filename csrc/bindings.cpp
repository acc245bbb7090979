// Python bindings: addresses come in as integers (tensor.data_ptr()), shapes were checked in cdipipe/ops.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cmath>
#include <string>

#include "common/cuda.h"
#include "common/simd.h"
#include "hexplane/hexplane_bindings.h"
#include "projection/projection.h"
#include "winograd/winograd.h"
#include "wpc/wpc.h"

namespace py = pybind11;
using namespace cdipipe;
using Address = uintptr_t;  // 0: none

namespace {

// `device` is kCpu, with the number of threads as `queue`, or a CUDA ordinal, with the stream as `queue`.
constexpr int kCpu = -1;

template <class T>
T* at(Address address) {
  return reinterpret_cast<T*>(address);
}

[[noreturn, maybe_unused]] void no_cuda() {
  throw std::runtime_error("cdipipe._native was built without CUDA kernels");
}

projection::ObjectRule object_rule(int constraint, float a, float b, float c, float g, double phase_min_rad,
                                   double phase_max_rad) {
  projection::ObjectRule rule{};
  rule.constraint = static_cast<projection::Constraint>(constraint);
  rule.a = a, rule.b = b, rule.c = c, rule.g = g;
  rule.edge_min_re = static_cast<float>(std::cos(phase_min_rad));
  rule.edge_min_im = static_cast<float>(std::sin(phase_min_rad));
  rule.edge_max_re = static_cast<float>(std::cos(phase_max_rad));
  rule.edge_max_im = static_cast<float>(std::sin(phase_max_rad));
  rule.wide = phase_max_rad - phase_min_rad > M_PI;
  return rule;
}

void project_modulus(int device, Address wavefront, Address projected, Address modulus, int64_t modulus_stride,
                     Address measured, int64_t measured_stride, Address error, int64_t batch, int64_t modes,
                     int64_t pixels, [[maybe_unused]] Address partials, Address queue) {
  const projection::ModulusArrays arrays{at<float>(wavefront),
                                         at<float>(projected),
                                         at<float>(modulus),
                                         at<uint8_t>(measured),
                                         at<double>(error),
                                         modulus_stride,
                                         measured_stride,
                                         batch,
                                         modes,
                                         pixels};
  if (device == kCpu) return projection::cpu::project_modulus(arrays, static_cast<int>(queue));
#ifdef CDIPIPE_WITH_CUDA
  cuda::set_device(device);
  projection::cuda::project_modulus(arrays, at<double>(partials), at<void>(queue));
#else
  no_cuda();
#endif
}

void project_modulus_backward(int device, Address wavefront, Address modulus, int64_t modulus_stride, Address measured,
                              int64_t measured_stride, Address grad_projected, Address grad_error,
                              Address grad_wavefront, int64_t batch, int64_t modes, int64_t pixels, Address queue) {
  const projection::ModulusBackwardArrays arrays{at<float>(wavefront),
                                                 at<float>(modulus),
                                                 at<uint8_t>(measured),
                                                 at<float>(grad_projected),
                                                 at<double>(grad_error),
                                                 at<float>(grad_wavefront),
                                                 modulus_stride,
                                                 measured_stride,
                                                 batch,
                                                 modes,
                                                 pixels};
  if (device == kCpu) return projection::cpu::project_modulus_backward(arrays, static_cast<int>(queue));
#ifdef CDIPIPE_WITH_CUDA
  cuda::set_device(device);
  projection::cuda::project_modulus_backward(arrays, at<void>(queue));
#else
  no_cuda();
#endif
}

void relax_modulus(int device, Address wavefront, Address dual, Address filter, Address reference, Address modulus,
                   int64_t modulus_stride, Address measured, int64_t measured_stride, Address error, int64_t batch,
                   int64_t modes, int64_t pixels, float t, float s, float pull, float keep,
                   [[maybe_unused]] Address partials, Address queue) {
  const projection::RelaxArrays arrays{at<float>(wavefront),
                                       at<float>(dual),
                                       at<float>(filter),
                                       at<float>(reference),
                                       at<float>(modulus),
                                       at<uint8_t>(measured),
                                       at<double>(error),
                                       modulus_stride,
                                       measured_stride,
                                       batch,
                                       modes,
                                       pixels};
  const projection::RelaxRule rule{t, s, pull, keep};
  if (device == kCpu) return projection::cpu::relax_modulus(arrays, rule, static_cast<int>(queue));
#ifdef CDIPIPE_WITH_CUDA
  cuda::set_device(device);
  projection::cuda::relax_modulus(arrays, rule, at<double>(partials), at<void>(queue));
#else
  no_cuda();
#endif
}

void update_object(int device, Address exit_wave, Address projected, Address support, Address out, int64_t batch,
                   int64_t pixels, const projection::ObjectRule& rule, Address queue) {
  const projection::ObjectArrays arrays{
      at<float>(exit_wave), at<float>(projected), at<uint8_t>(support), at<float>(out), batch, pixels};
  if (device == kCpu) return projection::cpu::update_object(arrays, rule, static_cast<int>(queue));
#ifdef CDIPIPE_WITH_CUDA
  cuda::set_device(device);
  projection::cuda::update_object(arrays, rule, at<void>(queue));
#else
  no_cuda();
#endif
}

void update_object_backward(int device, Address exit_wave, Address projected, Address support, Address grad_out,
                            Address grad_exit_wave, Address grad_projected, int64_t batch, int64_t pixels,
                            const projection::ObjectRule& rule, Address queue) {
  const projection::ObjectBackwardArrays arrays{at<float>(exit_wave),
                                                at<float>(projected),
                                                at<uint8_t>(support),
                                                at<float>(grad_out),
                                                at<float>(grad_exit_wave),
                                                at<float>(grad_projected),
                                                batch,
                                                pixels};
  if (device == kCpu) return projection::cpu::update_object_backward(arrays, rule, static_cast<int>(queue));
#ifdef CDIPIPE_WITH_CUDA
  cuda::set_device(device);
  projection::cuda::update_object_backward(arrays, rule, at<void>(queue));
#else
  no_cuda();
#endif
}

void subtract_projection(int device, Address object, Address support, int64_t batch, int64_t pixels,
                         const projection::ObjectRule& rule, Address queue) {
  const projection::ResidualArrays arrays{at<float>(object), at<uint8_t>(support), batch, pixels};
  if (device == kCpu) return projection::cpu::subtract_projection(arrays, rule, static_cast<int>(queue));
#ifdef CDIPIPE_WITH_CUDA
  cuda::set_device(device);
  projection::cuda::subtract_projection(arrays, rule, at<void>(queue));
#else
  no_cuda();
#endif
}

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
#ifdef CDIPIPE_WITH_CUDA
  cuda::set_device(device);
  wpc::cuda::window_ratio(arrays, at<void>(queue));
#else
  no_cuda();
#endif
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
#ifdef CDIPIPE_WITH_CUDA
  cuda::set_device(device);
  wpc::cuda::renormalise(arrays, at<void>(queue));
#else
  no_cuda();
#endif
}

void first_layer(Address image, Address kernels, Address ratio, int64_t ratio_stride, Address bias, Address out,
                 int64_t row_stride, int64_t image_stride, int64_t batch, int64_t height, int64_t width,
                 int64_t channels, int size, int threads) {
  wpc::cpu::first_layer({at<float>(image), at<float>(kernels), at<float>(ratio), at<float>(bias), at<float>(out),
                         ratio_stride, row_stride, image_stride, batch, height, width, channels, size},
                        threads);
}

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

bool cuda_compiled() {
#ifdef CDIPIPE_WITH_CUDA
  return true;
#else
  return false;
#endif
}

std::string cuda_architectures() {
#ifdef CDIPIPE_WITH_CUDA
  return CDIPIPE_CUDA_ARCHITECTURES;
#else
  return "";
#endif
}

std::pair<int, std::string> cuda_devices() {
#ifdef CDIPIPE_WITH_CUDA
  const auto found = cuda::devices();
  return {found.count, found.message};
#else
  return {0, "built without CUDA kernels"};
#endif
}

}  // namespace

PYBIND11_MODULE(_native, module) {
  module.doc() = "Compiled kernels of cdipipe; use them through cdipipe.ops.";
  using NoGil = py::call_guard<py::gil_scoped_release>;

  py::class_<projection::ObjectRule>(module, "ObjectRule").def(py::init(&object_rule));
  module.def("project_modulus", &project_modulus, NoGil());
  module.def("project_modulus_backward", &project_modulus_backward, NoGil());
  module.def("relax_modulus", &relax_modulus, NoGil());
  module.def("update_object", &update_object, NoGil());
  module.def("update_object_backward", &update_object_backward, NoGil());
  module.def("subtract_projection", &subtract_projection, NoGil());
  bind_hexplane(module);

  module.def("window_ratio", &window_ratio, NoGil());
  module.def("renormalise", &renormalise, NoGil());
  module.def("first_layer", &first_layer, NoGil());
  module.def("winograd_input", &winograd_input, NoGil());
  module.def("winograd_output", &winograd_output, NoGil());

  module.def("cuda_compiled", &cuda_compiled);
  module.def("cuda_architectures", &cuda_architectures, "Comma-separated compute capabilities, e.g. '80,90'.");
  module.def("cuda_devices", &cuda_devices, "(number of devices, why there is none).");
  module.def("simd_level", &simd::level_name);
  module.def("simd_levels", &simd::available_levels);
  module.def("set_simd_level", &simd::set_level);
}
