"""What methods share: the problem, the loop, restarts, recipes and the methods that are known."""
