#pragma once

#include <pybind11/pybind11.h>

namespace cdipipe {

// Adds the hexplane functions to cdipipe._native.
void bind_hexplane(pybind11::module_& module);

}  // namespace cdipipe
