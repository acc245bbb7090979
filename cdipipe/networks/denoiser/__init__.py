"""A small trained denoiser."""
