"""What the models topic may hold: versions of one model, also those of an older release."""

import logging

import pytest

from leadscore.errors import ConfigError, Unavailable
from leadscore.pipeline.models import ModelsTopic

OF_AN_OLDER_RELEASE = """
model: mine
version: 3
rules: {visit: {event: website.page_view, points: 10}}
thresholds: {mql: {enter: 50, exit: 60}}
"""
"""Levels that are refused today."""


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> ModelsTopic:
    topic = ModelsTopic({}, "models", "mine", logging.getLogger("tests.models"))
    monkeypatch.setattr(topic, "read", lambda: None)
    return topic


def test_a_version_of_an_older_release_is_used_though_it_would_be_refused_today(topic: ModelsTopic) -> None:
    topic._take(b"mine:3", OF_AN_OLDER_RELEASE.encode())
    assert topic.model_of_version(3).version == 3


def test_a_version_that_was_read_is_at_hand_and_no_other_is_asked_for() -> None:
    topic = ModelsTopic({}, "models", "mine", logging.getLogger("tests.models"))  # whose read would ask no server
    topic._take(b"mine:3", OF_AN_OLDER_RELEASE.encode())
    assert topic.model_at_hand(3).version == 3
    with pytest.raises(Unavailable, match="version 4 of the model has not been read yet"):
        topic.model_at_hand(4)


def test_a_models_topic_with_another_model_is_refused(topic: ModelsTopic) -> None:
    with pytest.raises(ConfigError, match="holds model 'other', expected 'mine': a deployment has one model"):
        topic._take(b"other:1", b"")


def test_a_version_that_is_not_there_is_waited_for(topic: ModelsTopic) -> None:
    with pytest.raises(Unavailable, match="does not hold version 4"):
        topic.model_of_version(4)
