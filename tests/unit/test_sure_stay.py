"""How long a lead surely stays in a threshold: never longer than it does; in the simplest case, exactly as long."""

from random import Random

import pytest

from leadscore.scoring import timeline
from leadscore.scoring.conditions import Leave, Outlook
from leadscore.scoring.standing import Standing, standings_in
from leadscore.scoring.sure_stay import FAR_MS, sure_until
from tests.of_the_source import OF_THE_SOURCE
from tests.oracle import DAY_MS, Plain
from tests.stays import RULES, run
from tests.unit.semantics import ShardOfOne, at, model_of, rule, visit

WITHOUT_DAYS = {name: RULES[name] for name in ("view", "price", "open", "gone", "partner")}
QUIET: Plain = {"silent": {"when": {"quiet": {"rules": ["open", "view"], "within": "9d"}}, "points": -10}}
COUNT: Plain = {"keen": {"when": {"count": {"rules": ["view"], "at_least": 2, "within": "3d"}}, "points": 12}}


def test_one_half_life_without_penalties_is_exact() -> None:
    lead = ShardOfOne(
        model_of({"view": rule(72, decay={"half_life": "30d"})}, thresholds={"mql": {"enter": 65, "exit": 50}})
    )
    lead.apply(1, visit("e1", 0))
    model = lead._shard._context(at(0), 0).model
    outlook = Outlook(lead.state(), model)
    standing = standings_in(lead.state(), model.thresholds)[0]
    leave = timeline.first_leave(outlook, standing, at(0), FAR_MS)
    until_ms = sure_until(outlook, standing, at(0))
    assert leave is not None
    assert until_ms is not None
    assert (leave.at_ms - at(0)) / DAY_MS == pytest.approx(15.78, abs=0.005)
    assert 0 <= leave.at_ms - until_ms <= 2


def test_a_lead_whose_lasting_points_are_enough_never_leaves() -> None:
    lead = ShardOfOne(model_of({"view": rule(72, decay="none")}, thresholds={"mql": {"enter": 65, "exit": 50}}))
    lead.apply(1, visit("e1", 0))
    model = lead._shard._context(at(0), 0).model
    standing = standings_in(lead.state(), model.thresholds)[0]
    assert sure_until(Outlook(lead.state(), model), standing, at(0)) == FAR_MS


@OF_THE_SOURCE
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("rules", [WITHOUT_DAYS, RULES], ids=["half-lives", "half-lives and days"])
@pytest.mark.parametrize("conditions", [{}, QUIET, COUNT], ids=["no condition", "quiet", "count"])
def test_no_lead_leaves_before(rules: Plain, conditions: Plain, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"said": 0, "never": 0, "nothing": 0}

    def compared(outlook: Outlook, standing: Standing, after_ms: int) -> int | None:
        until_ms = sure_until(outlook, standing, after_ms)
        answers["nothing" if until_ms is None else "never" if until_ms >= FAR_MS else "said"] += 1
        if until_ms is not None:
            assert until_ms > after_ms
            assert timeline.first_leave(outlook, standing, after_ms, until_ms - 1) is None
        return until_ms

    monkeypatch.setattr(timeline, "sure_until", compared)
    run(rules, conditions, Random(seed))
    assert answers["said"] > (2 if rules is RULES else 50)
    assert (answers["nothing"] > 0) == (rules is RULES)


@OF_THE_SOURCE
@pytest.mark.parametrize("conditions", [{}, QUIET], ids=["no condition", "quiet"])
def test_a_search_begun_late_gives_the_same_leave(conditions: Plain, monkeypatch: pytest.MonkeyPatch) -> None:
    searched = timeline._searched_leave
    leaves = {"never": 0, "at an instant": 0}

    def compared(outlook: Outlook, standing: Standing, after_ms: int) -> Leave | None:
        leave = searched(outlook, standing, after_ms)
        assert leave == timeline.first_leave(outlook, standing, after_ms, FAR_MS)
        assert leave is None or leave == by_halving(outlook, standing, after_ms)
        leaves["never" if leave is None else "at an instant"] += 1
        return leave

    monkeypatch.setattr(timeline, "_searched_leave", compared)
    for rules in (WITHOUT_DAYS, RULES):
        run(rules, conditions, Random(7))
    assert min(leaves.values()) > 5


def by_halving(outlook: Outlook, standing: Standing, after_ms: int) -> Leave | None:
    """The leave without a guess at where the score is below."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(timeline, "GUESSES", 0)
        return timeline.first_leave(outlook, standing, after_ms, FAR_MS)
