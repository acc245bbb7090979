"""Parts of the guided population: cropped patterns, alignment of a batch, generations."""
