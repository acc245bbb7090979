"""These tests belong to processes that run.py starts; elsewhere there is no emulated kernel to test."""

import os

if "CUDA_ON_CPU_MODULE" not in os.environ:
    collect_ignore_glob = ["test_*.py"]
