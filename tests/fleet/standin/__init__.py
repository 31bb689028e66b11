"""A stand-in for the NVIDIA GPU, its driver and the packages that bring it; see README.md."""
