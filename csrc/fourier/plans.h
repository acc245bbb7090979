// Complex Fourier transforms of the MKL that is inside PyTorch, with plans that are kept from call to call. PyTorch
// itself makes a plan for every call and writes into new memory.
#pragma once

#include <cstdint>
#include <vector>

namespace cdipipe::fourier {

constexpr int kMostAxes = 3;

// `batch` contiguous grids of complex numbers, interleaved.
struct Layout {
  bool is_double;  // complex128; otherwise complex64
  int axes;        // 2 or 3
  int64_t grid[kMostAxes];
  int64_t batch;
  int threads;

  bool operator==(const Layout& other) const;
  int64_t pixels() const;
};

// std::invalid_argument unless there are 2 or 3 axes.
Layout layout_of(bool is_double, const std::vector<int64_t>& grid, int64_t batch, int threads);

// Has this process loaded a PyTorch with the functions that are needed? There is none on ARM, for example.
bool is_available();

// Orthonormal transform; `from` and `to` are the same or do not overlap. May be called by several threads: each keeps
// a few plans of its own, those used last. Throws std::runtime_error.
void transform(const Layout& layout, bool inverse, const void* from, void* to);

}  // namespace cdipipe::fourier
