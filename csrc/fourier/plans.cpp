#include "fourier/plans.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <list>
#include <stdexcept>
#include <string>

#if defined(__linux__) && defined(__x86_64__)
#include <dlfcn.h>
#endif

namespace cdipipe::fourier {
namespace {

constexpr size_t kMostPlans = 8;  // of a thread

// The part of MKL's interface "DFTI" that is used here; its header does not come with PyTorch.
using Handle = void*;
enum Key : int {
  kForwardScale = 4,
  kBackwardScale = 5,
  kTransforms = 7,
  kPlacement = 11,
  kInputDistance = 14,
  kOutputDistance = 15,
  kThreadLimit = 27
};
enum Word : int { kComplex = 32, kInPlace = 43, kNotInPlace = 44 };

struct Library {
  long (*create_single)(Handle*, int domain, long axes, const long* lengths) = nullptr;
  long (*create_double)(Handle*, int domain, long axes, const long* lengths) = nullptr;
  long (*set)(Handle, int key, ...) = nullptr;
  long (*commit)(Handle) = nullptr;
  long (*forward)(Handle, void* from, ...) = nullptr;
  long (*backward)(Handle, void* from, ...) = nullptr;
  long (*destroy)(Handle*) = nullptr;
  bool complete = false;

  Library() {
#if defined(__linux__) && defined(__x86_64__)
    void* torch = dlopen("libtorch_cpu.so", RTLD_LAZY | RTLD_NOLOAD);  // its dependencies are searched, too
    if (!torch) return;
    complete = find(torch, "DftiCreateDescriptor_s_md", create_single) &&
               find(torch, "DftiCreateDescriptor_d_md", create_double) && find(torch, "DftiSetValue", set) &&
               find(torch, "DftiCommitDescriptor", commit) && find(torch, "DftiComputeForward", forward) &&
               find(torch, "DftiComputeBackward", backward) && find(torch, "DftiFreeDescriptor", destroy);
#endif
  }

private:
#if defined(__linux__) && defined(__x86_64__)
  template <class Function>
  static bool find(void* library, const char* name, Function& function) {
    function = reinterpret_cast<Function>(dlsym(library, name));
    return function != nullptr;
  }
#endif
};

const Library& library() {
  static const Library found;
  return found;
}

void check(long status, const char* what) {
  if (status == 0) return;
  throw std::runtime_error(std::string("Fourier transform: ") + what + " failed with MKL's status " +
                           std::to_string(status));
}

class Plan {
public:
  Plan(const Layout& layout, bool in_place) : layout_(layout), in_place_(in_place) {
    long lengths[kMostAxes];
    std::copy_n(layout.grid, layout.axes, lengths);
    const auto create = layout.is_double ? library().create_double : library().create_single;
    check(create(&handle_, kComplex, layout.axes, lengths), "a plan");
    try {
      prepare();
    } catch (...) {
      library().destroy(&handle_);
      throw;
    }
  }
  ~Plan() { library().destroy(&handle_); }
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;

  bool fits(const Layout& layout, bool in_place) const { return in_place == in_place_ && layout == layout_; }

  void run(bool inverse, const void* from, void* to) const {
    const auto compute = inverse ? library().backward : library().forward;
    void* first = const_cast<void*>(from);
    check(in_place_ ? compute(handle_, first) : compute(handle_, first, to), "the computation");
  }

private:
  void prepare() {
    const long pixels = static_cast<long>(layout_.pixels());
    const double scale = 1 / std::sqrt(static_cast<double>(pixels));
    set(kPlacement, static_cast<int>(in_place_ ? kInPlace : kNotInPlace));
    set(kTransforms, static_cast<long>(layout_.batch));
    set(kInputDistance, pixels);
    set(kOutputDistance, pixels);
    set(kForwardScale, scale);
    set(kBackwardScale, scale);
    set(kThreadLimit, static_cast<long>(layout_.threads));
    check(library().commit(handle_), "a plan");
  }

  template <class Value>
  void set(Key key, Value value) {
    check(library().set(handle_, key, value), "a plan");
  }

  Layout layout_;
  bool in_place_;
  Handle handle_ = nullptr;
};

const Plan& plan_of(const Layout& layout, bool in_place) {
  thread_local std::list<Plan> plans;  // the one used last in front
  const auto found = std::find_if(plans.begin(), plans.end(), [&](const Plan& p) { return p.fits(layout, in_place); });
  if (found != plans.end()) {
    plans.splice(plans.begin(), plans, found);
  } else {
    plans.emplace_front(layout, in_place);
    if (plans.size() > kMostPlans) plans.pop_back();
  }
  return plans.front();
}

}  // namespace

bool Layout::operator==(const Layout& other) const {
  return is_double == other.is_double && axes == other.axes && batch == other.batch && threads == other.threads &&
         std::equal(grid, grid + axes, other.grid);
}

int64_t Layout::pixels() const {
  int64_t product = 1;
  for (int axis = 0; axis < axes; ++axis) product *= grid[axis];
  return product;
}

Layout layout_of(bool is_double, const std::vector<int64_t>& grid, int64_t batch, int threads) {
  if (grid.size() < 2 || grid.size() > kMostAxes) throw std::invalid_argument("grid: got other than 2 or 3 axes");
  Layout layout{is_double, static_cast<int>(grid.size()), {}, batch, threads};
  std::copy(grid.begin(), grid.end(), layout.grid);
  return layout;
}

bool is_available() {
  return library().complete;
}

void transform(const Layout& layout, bool inverse, const void* from, void* to) {
  if (!is_available()) throw std::runtime_error("Fourier transform: PyTorch's MKL was not found");
  plan_of(layout, from == to).run(inverse, from, to);
}

}  // namespace cdipipe::fourier
