// Functions that stop in the middle and go on later, each on a stack of its own.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>

#ifndef __x86_64__
#error "CUDA on CPU: switch_stack is written for x86-64 only"
#endif

namespace cuda_on_cpu {

constexpr size_t kStackBytes = 1 << 16;

// Leaves this stack, whose top is stored in *from, for another one. What a function has to keep is pushed and popped.
extern "C" void cuda_on_cpu_switch_stack(void** from, void* to);
asm(R"(
.text
.local cuda_on_cpu_switch_stack
.type cuda_on_cpu_switch_stack, @function
cuda_on_cpu_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size cuda_on_cpu_switch_stack, . - cuda_on_cpu_switch_stack
)");

class Fiber {
public:
  explicit Fiber(void (*function)()) {
    void* memory = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    auto* end = static_cast<uintptr_t*>(memory) + kStackBytes / sizeof(uintptr_t);
    end[-2] = reinterpret_cast<uintptr_t>(function);  // returned to after six registers; then the stack is aligned
    top_ = end - 8;
  }
  void resume() { cuda_on_cpu_switch_stack(&outside_, top_); }
  void suspend() { cuda_on_cpu_switch_stack(&top_, outside_); }

  unsigned thread = 0;  // that runs on it

private:
  void *top_, *outside_ = nullptr;
};

}  // namespace cuda_on_cpu
