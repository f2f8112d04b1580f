"""What clients of the Kafka in memory ask on their way: whether anything goes wrong, and how much happens now."""


class Weather:
    """Calm: every call does all of its work at once. Simulations decide otherwise."""

    def before(self, call: str) -> None:
        """A call to the outside begins. It may fail, or the process may end here."""

    def after(self, call: str) -> None:
        """A call to the outside has done its work. Its answer may be lost, or the process may end here."""

    def happens(self, fault: str) -> bool:  # noqa: ARG002  # in calm weather nothing does
        """Whether something goes wrong that is no error of the call itself."""
        return False

    def some(self, most: int) -> int:
        """How many of this number of things happen now; the others happen later."""
        return most

    def wait(self, seconds: float) -> None:
        """Nothing came within this time."""
