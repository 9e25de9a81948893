"""`python -m benchmarks.run` puts engines side by side, `python -m benchmarks.micro` does the core."""
