"""Measured results: pure metrics, and the suite that names task + data + metric."""
