"""Networks: plain modules, readable from top to bottom; a file with a NETWORK record for each that can be trained."""
