"""Calls of Kafka's client that are given up where they do not end in time, whatever the client was told."""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

OVERDUE_S = 1.0
"""A call that has not ended so long after its own time-out never may."""


def ended_within(timeout_s: float | None, call: Callable[[], None], doing: str) -> None:
    """Make the call in a thread of its own, and leave it behind where it does not end in time; ``None``: wait for it.

    The time-out is a retriable ``KafkaException``: nobody knows what the call has done, or will do yet.
    """
    ended: Future[None] = Future()

    def make() -> None:
        try:
            call()
        except BaseException as failure:  # noqa: BLE001  # it is raised in the thread that waits
            ended.set_exception(failure)
        else:
            ended.set_result(None)

    Thread(target=make, name=doing, daemon=True).start()
    try:
        ended.result(timeout_s)
    except TimeoutError as error:
        code, reason = KafkaError._TIMED_OUT, f"{doing}: the call does not end"  # noqa: SLF001
        raise KafkaException(KafkaError(code, reason, retriable=True)) from error


class TransactionsProducer(Producer):
    """One whose offsets end in time.

    The client waits for a coordinator of the group that is gone without a limit (librdkafka issues 5456 and 5511). A
    call that is left behind keeps its producer: throw it away, and begin another under the same name, which ends the
    transaction.
    """

    def send_offsets_to_transaction(self, positions: Any, group_metadata: Any, timeout: float = -1) -> None:
        """``KafkaException`` of a time-out soon after it; a negative one means no limit."""
        super_call = super().send_offsets_to_transaction
        ended_within(
            timeout + OVERDUE_S if timeout >= 0 else None,
            lambda: super_call(positions, group_metadata, timeout),
            "adding offsets to the transaction",
        )
