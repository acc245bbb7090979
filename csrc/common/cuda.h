// What the rest needs to know of the CUDA runtime, without its headers.
#pragma once

#include <string>

namespace cdipipe::cuda {

struct Devices {
  int count;
  std::string message;  // why there is none; empty if there is one
};

// A machine without GPU or driver is no error: count = 0 and the runtime's own words.
Devices devices();

// Makes the device the current one of this thread; std::runtime_error with CUDA's words if that fails.
void set_device(int device);

}  // namespace cdipipe::cuda
