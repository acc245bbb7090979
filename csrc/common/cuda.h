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

}  // namespace cdipipe::cuda
