"""Networks: plain modules, readable from top to bottom."""
