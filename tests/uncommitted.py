"""The committed offsets of a group that has committed nothing and read nothing, as a ``LagWatch`` asks for them."""

from collections.abc import Collection

from leadscore.pipeline.kafka.records import Partition


class Uncommitted:
    """Answers for every partition that nothing is committed there."""

    def forget_others(self, owned: Collection[Partition]) -> None:
        """Nothing is remembered."""

    def of(self, partitions: Collection[Partition]) -> dict[Partition, int | None]:
        return dict.fromkeys(partitions)

    def position(self, _partition: Partition) -> int:
        return -1
