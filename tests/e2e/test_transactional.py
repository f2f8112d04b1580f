"""Transactional delivery on a real Kafka: a ``read_committed`` subscriber sees each crossing once, whatever dies."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.deployment import Deployment
from tests.following import following
from tests.kills import CROSSING_MODEL, assert_each_once, kill_again_and_again, settings_of_a_member

pytestmark = pytest.mark.lasting_leads


def test_a_foreign_subscriber_sees_each_crossing_once_though_workers_die_in_their_transactions(
    deploy: Callable[..., Deployment], node_modules: Path
) -> None:
    deployment = deploy(CROSSING_MODEL)
    deployment.environ |= settings_of_a_member()
    with following(deployment, node_modules) as follower:
        kills = kill_again_and_again(deployment, "once", 5)
        assert kills.points.total() == 5
        assert_each_once(deployment, follower, kills.persons)
