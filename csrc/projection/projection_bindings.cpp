#include <pybind11/stl.h>

#include <cmath>
#include <vector>

#include "common/bindings.h"
#include "fourier/plans.h"
#include "projection/projection.h"

namespace cdipipe {
namespace {

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
                     int64_t pixels, float scale, Address partials, Address queue) {
  const projection::ModulusArrays arrays{at<float>(wavefront),
                                         at<float>(projected),
                                         at<float>(modulus),
                                         at<uint8_t>(measured),
                                         at<double>(error),
                                         modulus_stride,
                                         measured_stride,
                                         batch,
                                         modes,
                                         pixels,
                                         scale};
  if (device == kCpu) return projection::cpu::project_modulus(arrays, static_cast<int>(queue));
  if constexpr (kHasCuda) {
    cuda::set_device(device);
    projection::cuda::project_modulus(arrays, at<double>(partials), at<void>(queue));
  } else {
    no_cuda();
  }
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
  if constexpr (kHasCuda) {
    cuda::set_device(device);
    projection::cuda::project_modulus_backward(arrays, at<void>(queue));
  } else {
    no_cuda();
  }
}

void relax_modulus(int device, Address wavefront, Address dual, Address filter, Address reference, Address modulus,
                   int64_t modulus_stride, Address measured, int64_t measured_stride, Address error, int64_t batch,
                   int64_t modes, int64_t pixels, float t, float s, float pull, float keep, float scale,
                   Address partials, Address queue) {
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
  const projection::RelaxRule rule{t, s, pull, keep, scale};
  if (device == kCpu) return projection::cpu::relax_modulus(arrays, rule, static_cast<int>(queue));
  if constexpr (kHasCuda) {
    cuda::set_device(device);
    projection::cuda::relax_modulus(arrays, rule, at<double>(partials), at<void>(queue));
  } else {
    no_cuda();
  }
}

void update_object(int device, Address exit_wave, Address projected, Address support, Address out, int64_t batch,
                   int64_t pixels, const projection::ObjectRule& rule, Address queue) {
  const projection::ObjectArrays arrays{
      at<float>(exit_wave), at<float>(projected), at<uint8_t>(support), at<float>(out), batch, pixels};
  if (device == kCpu) return projection::cpu::update_object(arrays, rule, static_cast<int>(queue));
  if constexpr (kHasCuda) {
    cuda::set_device(device);
    projection::cuda::update_object(arrays, rule, at<void>(queue));
  } else {
    no_cuda();
  }
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
  if constexpr (kHasCuda) {
    cuda::set_device(device);
    projection::cuda::update_object_backward(arrays, rule, at<void>(queue));
  } else {
    no_cuda();
  }
}

void subtract_projection(int device, Address object, Address support, int64_t batch, int64_t pixels,
                         const projection::ObjectRule& rule, Address queue) {
  const projection::ResidualArrays arrays{at<float>(object), at<uint8_t>(support), batch, pixels};
  if (device == kCpu) return projection::cpu::subtract_projection(arrays, rule, static_cast<int>(queue));
  if constexpr (kHasCuda) {
    cuda::set_device(device);
    projection::cuda::subtract_projection(arrays, rule, at<void>(queue));
  } else {
    no_cuda();
  }
}

void iterate(Address exit_wave, Address projected, Address modulus, int64_t modulus_stride, Address measured,
             int64_t measured_stride, Address error, Address support, int64_t support_stride,
             const std::vector<int64_t>& grid, int64_t batch, const projection::ObjectRule& rule, int threads) {
  const fourier::Layout layout = fourier::layout_of(false, grid, batch, threads);
  const projection::ModulusArrays on_detector{at<float>(projected),
                                              at<float>(projected),
                                              at<float>(modulus),
                                              at<uint8_t>(measured),
                                              at<double>(error),
                                              modulus_stride,
                                              measured_stride,
                                              batch,
                                              1,
                                              layout.pixels(),
                                              1};
  const projection::ObjectArrays on_object{
      at<float>(exit_wave), at<float>(projected), at<uint8_t>(support), at<float>(exit_wave), batch, layout.pixels()};
  projection::cpu::iterate(layout, on_detector, on_object, support_stride, rule);
}

const Bindings bindings([](pybind11::module_& module) {
  pybind11::class_<projection::ObjectRule>(module, "ObjectRule").def(pybind11::init(&object_rule));
  module.def("project_modulus", &project_modulus, NoGil());
  module.def("project_modulus_backward", &project_modulus_backward, NoGil());
  module.def("relax_modulus", &relax_modulus, NoGil());
  module.def("update_object", &update_object, NoGil());
  module.def("update_object_backward", &update_object_backward, NoGil());
  module.def("subtract_projection", &subtract_projection, NoGil());
  module.def("iterate", &iterate, NoGil());
});

}  // namespace
}  // namespace cdipipe
