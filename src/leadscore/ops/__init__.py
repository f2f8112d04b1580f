"""The operational side of the worker: configuration, logs, metrics, health."""
