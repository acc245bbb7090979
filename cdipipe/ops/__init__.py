"""Python face of the compiled kernels: one module per kernel, each with a plain PyTorch reference beside it."""
