"""The machinery that all iterative methods share: problem, iteration loop, restarts."""
