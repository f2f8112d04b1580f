"""Committed offsets that an operator or Kafka's retention deletes: nothing is skipped and nothing counts twice."""

from collections.abc import Callable

import pytest
from confluent_kafka.admin import AdminClient

from tests.deployment import WANDERING_MODEL, Deployment, assert_exact, wandering_events
from tests.servers import wait_until

pytestmark = pytest.mark.lasting_leads


def test_a_group_whose_offsets_were_deleted_begins_at_the_oldest_record_and_counts_nothing_twice(
    deploy: Callable[..., Deployment],
) -> None:
    deployment = deploy(WANDERING_MODEL)
    first, while_away = (wandering_events(f"{deployment.name}-{part}", 150) for part in ("first", "away"))
    worker = deployment.start_worker()
    deployment.send_now(first)
    wait_until(lambda: deployment.lag() == 0, 60, "the first events")
    assert worker.terminate() == 0
    published = set(deployment.published())

    groups = [f"{deployment.name}-match", f"{deployment.name}-score"]
    admin = AdminClient({**deployment.kafka.properties})  # an answer is lost with the client that asked
    for deleted in admin.delete_consumer_groups(groups).values():
        deleted.result(timeout=30)
    deployment.send_now(while_away)
    again = deployment.start_worker()
    wait_until(lambda: deployment.lag() == 0, 60, "the events of the time without a worker")

    assert_exact(deployment, first + while_away)
    assert published <= set(deployment.published())
    begun = sum(
        float(line.rpartition(" ")[2])
        for line in again.get("/metrics")[1].splitlines()
        if line.startswith("leadscore_partitions_from_beginning_total{")
    )
    assert begun > 0
