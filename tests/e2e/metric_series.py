"""The series that a worker exposes at /metrics, by name."""

import re

Series = dict[str, float]


def series(metrics: str) -> Series:
    """Every series of the exposition with its value."""
    lines = re.findall(r"^([^#\s]\S*(?:\{.*\})?) (\S+)$", metrics, re.MULTILINE)
    return {name: float(number) for name, number in lines}


def of_name(metrics: Series, name: str) -> list[float]:
    """The values of a metric, whatever its labels."""
    return [number for series, number in metrics.items() if series.startswith(f"{name}{{")]
