"""How long the minutes of the rules last: sixty seconds, or less in a test that cannot wait."""

from dataclasses import dataclass

MINUTES_PER_HOUR = 60
MINUTES_PER_DAY = 24 * MINUTES_PER_HOUR


@dataclass(frozen=True, slots=True)
class Scale:
    """Every duration of the rules comes from here, so that a test can run the same expressions faster."""

    minute_s: int = 60

    def seconds(self, minutes: float) -> float:
        """The minutes as a number of seconds, to be compared with."""
        return minutes * self.minute_s

    def span(self, minutes: float) -> str:
        """The minutes as a duration of Prometheus."""
        seconds = round(self.seconds(minutes))
        if seconds == 0:
            return "0s"
        for unit, length_s in (("d", 86_400), ("h", 3_600), ("m", 60)):
            if seconds % length_s == 0:
                return f"{seconds // length_s}{unit}"
        return f"{seconds}s"
