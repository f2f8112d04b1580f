"""The programs of examples/, as processes, between a real Kafka and stand-ins for the APIs that they call."""

import json
import signal
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from crm_sync.__main__ import OURS
from leadscore.events.event import Event
from leadscore.pipeline.match.dead_letter_headers import Position, account_of
from leadscore.pipeline.score.publishing import json_encoding
from leadscore.scoring.crossing import Cause, Crossing, Direction
from leadscore.scoring.outputs import ErasedLead
from tests.deployment import Deployment, now_ms
from tests.e2e.example_programs import Programs, Topic
from tests.http_stand_in import Channel, Crm, EmailTool, StandIn
from tests.servers import KafkaServer, wait_until
from tests.unit.sample_crossing import CROSSING

DAY_MS = 86_400_000

MODEL = {
    "model": "examples",
    "version": 1,
    "decay": {"half_life": "10d"},
    "rules": {
        "pricing": {"event": "website.page_view", "points": 65},
        "blog": {"event": "website.form_submitted", "points": 32},
        "call_me": {"event": "website.contact_requested", "points": 10, "qualifies": "mql"},
        "complained": {"event": "email.complaint", "points": 0, "disqualifies": "complained"},
    },
    "thresholds": {"mql": {"enter": 60, "exit": 40}},
}


@pytest.fixture
def topic(kafka: KafkaServer, new_topic: Callable[..., str]) -> Topic:
    return Topic(kafka.bootstrap, new_topic("examples", partitions=2))


@pytest.fixture
def programs(
    kafka: KafkaServer, topic: Topic, new_topic: Callable[..., str], tmp_path: Path, node_modules: Path
) -> Programs:
    return Programs(kafka.bootstrap, (topic.name, new_topic("refused")), tmp_path, node_modules)


def enter(lead: str, **fields: Any) -> Crossing:
    at = {"occurred_at_ms": now_ms(), "decided_at_ms": now_ms(), "projected_exit_at_ms": now_ms() + DAY_MS}
    return msgspec.structs.replace(CROSSING, id=f"enter-{lead}", lead_id=lead, **{**at, **fields})


def leave(entered: Crossing, cause: Cause = Cause.TIME, **fields: Any) -> Crossing:
    shown: dict[str, Any] = {"direction": Direction.LEAVE, "cause": cause, "entered_id": entered.id, "sequence": 2}
    times = {"decided_at_ms": entered.decided_at_ms + 1, "projected_exit_at_ms": None}
    return msgspec.structs.replace(entered, id=f"leave-{entered.lead_id}", **shown, **times, **fields)


def erased(lead: str) -> ErasedLead:
    return ErasedLead("b2b", lead, f"erase-{lead}", now_ms(), now_ms())


SCORES_SHOWN = {
    "ann": (65, "warm", "mql", None),
    "bob": (5, "cold", "", None),
    "dee": (65, "warm", "", "complained"),
    "eve": (10, "cold", "mql", None),
    "gil": (65, "warm", "mql", None),
    "viv": (64, "warm", "mql", None),
    "old": (1, "cold", "", None),
}


def scores_shown(crm: Crm) -> dict[str, tuple[int, str, str, str | None]]:
    """Of each contact with a score: score, band, thresholds, and why it is disqualified."""
    rows = {name: contact for name, contact in crm.contacts.items() if contact.get("band")}
    return {
        name: (round(row["score"]), row["band"], row["in_thresholds"], row["disqualified"])
        for name, row in rows.items()
    }


def ours_of(crm: Crm, lead: str) -> set[str]:
    """The fields of a contact that the sync has written."""
    return {name for name in OURS if crm.contacts.get(lead, {}).get(name) is not None}


@pytest.mark.lasting_leads
def test_the_examples_do_what_a_real_worker_says(
    deploy: Callable[..., Deployment], new_topic: Callable[..., str], tmp_path: Path, node_modules: Path
) -> None:
    deployment = deploy(MODEL)
    scores = new_topic("scores", partitions=2, config={"cleanup.policy": "compact"})
    worker = deployment.start_worker(LEADSCORE_DUE_INTERVAL="1s", LEADSCORE_SCORES_TOPIC=scores)
    viewers = ("ann", "bob", "cy", "cy-cookie", "dee", "gil-cookie")
    page_views = [Event("website.page_view", f"of-{lead}", lead, now_ms(), {}) for lead in viewers]
    forms = [Event("website.form_submitted", f"f-{lead}", lead, now_ms(), {}) for lead in ("viv", "viv-cookie")]
    old = Event("website.page_view", "of-old", "old", now_ms() - 60 * DAY_MS, {})
    call_me = Event("website.contact_requested", "c", "eve", now_ms(), {})
    deployment.send_now([*page_views, *forms, old, call_me])
    deployment.wait_until_done()
    adjust = Event("command.adjust", "a", "bob", now_ms(), {"points": -60.0})
    people = ("cy", "gil", "viv")
    merges = [Event("command.merge", f"m-{lead}", f"{lead}-cookie", now_ms(), {"into": lead}) for lead in people]
    deployment.send_now([adjust, *merges, Event("email.complaint", "d", "dee", now_ms(), {})])
    deployment.wait_until_done()
    deployment.send_now([Event("command.erase", "x", "cy-cookie", now_ms(), {})])
    deployment.wait_until_settled()
    assert worker.terminate() == 0

    topics = (deployment.topic("crossings"), deployment.topic("dead-letters"))
    programs = Programs(deployment.kafka.bootstrap, topics, tmp_path, node_modules)
    crm, tool, channel = Crm(), EmailTool(), Channel()
    apis: dict[str, StandIn] = {"crm_sync": crm, "segments": tool, "chat_alert": channel}
    with ExitStack() as stack:
        for name, api in apis.items():
            stack.enter_context(api.listening())
            stack.enter_context(programs.running(name, api, SCORES_TOPIC=scores))
        programs.wait_until_done(*map(programs.group, apis))
        fields = wait_until(lambda: (shown := scores_shown(crm)) == SCORES_SHOWN and shown, 60, "the scores in the CRM")
    assert fields == SCORES_SHOWN

    assert {(task["contact"], task["state"], task["left_because"]) for task in crm.tasks.values()} == {
        ("ann", "open", None),
        ("bob", "closed", "COMMAND"),
        ("dee", "closed", "DISQUALIFIED"),
        ("eve", "open", None),
        ("gil", "open", None),
        ("viv", "open", None),
        ("old", "closed", "TIME"),
    }
    assert len(crm.tasks) == 7
    assert {task["contact"] for task in crm.tasks.values() if task["notify"]} >= {"ann", "bob", "dee", "eve", "viv"}
    assert ours_of(crm, "cy") == ours_of(crm, "cy-cookie") == set()
    assert ours_of(crm, "gil-cookie") == {"merged_into", "merged_at"}
    assert tool.tags == {("ann", "ready"), ("eve", "ready"), ("gil", "ready"), ("viv", "ready")}
    assert sorted(tool.started.values()) == sorted(
        [*((lead, "hello") for lead in ("ann", "bob", "dee", "eve", "gil-cookie")), ("bob", "come-back")]
    )
    assert sorted(text.split(" (")[0] for text in channel.posts) == [
        "ann is in mql: score 65 ",
        "bob is in mql: score 65 ",
        "cy is in mql: score 65 ",
        "cy-cookie is in mql: score 65 ",
        "dee is in mql: score 65 ",
        "eve is in mql: score 10 ",
        "gil-cookie is in mql: score 65 ",
        "viv is in mql: score 64 ",
    ]


def test_the_crm_has_one_task_per_qualification_whatever_fails_on_the_way(topic: Topic, programs: Programs) -> None:
    ann, bob, bad, wes = enter("ann"), enter("bob"), enter("bad"), enter("wes")
    topic.publish(0, ann)
    topic.raw(0, b"\x01garbage", b"gil")
    topic.raw(0, b'{"id": 5}', b"gil", headers=[("ce_id", b"5")])
    topic.raw(0, None, None)
    topic.publish(0, bad, leave(ann))
    topic.use(json_encoding())
    topic.publish(0, bob, ann)
    bea = enter("bea")
    topic.publish(0, bea, leave(bea, Cause.MERGED, merged_with="al"))
    topic.publish(1, wes, enter("al", cause=Cause.MERGED, merged_with="bea"))
    unknown = json.loads(json_encoding().encode(enter("xi"))) | {"direction": "SIDEWAYS", "cause": "MOON", "more": 1}
    topic.raw(1, json.dumps(unknown).encode(), b"xi")
    crm = Crm()
    with crm.listening():
        port = int(crm.url.rpartition(":")[2])
        crm.refuse("PUT /contacts/bad", 422)
        crm.refuse("PUT /contacts/ann", 429, retry_after="0")
        crm.refuse("POST /tasks", 503, times=2)
        first = programs.start("crm_sync", crm)
        crm.cut_after("POST /tasks", first.process.kill)  # the work is done, and not committed
        assert first.ended() == -signal.SIGKILL, first.said()
        assert len(crm.tasks) == 1
    with programs.running("crm_sync", crm):
        with crm.listening(port):
            crm.cut_after("PATCH /tasks")  # done, but the answer is lost
            crm.cut_after("GET /tasks")
            programs.wait_until_done(programs.group("crm_sync"))
        late = enter("zoe")  # the CRM is away
        topic.publish(1, late)
        with crm.listening(port):
            programs.wait_until_done(programs.group("crm_sync"))

    assert {key: task["state"] for key, task in crm.tasks.items()} == {
        "enter-ann": "closed",
        "enter-al": "open",  # which was bea's, if hers was read first
        "enter-bob": "open",
        "enter-wes": "open",
        "enter-zoe": "open",
    }
    assert crm.faults == []
    assert (crm.contacts["bea"]["score"], crm.contacts["bea"]["merged_into"]) == (None, "al")
    assert "direction" not in crm.contacts["xi"]
    letters = programs.dead_letters()
    assert [(key, value) for key, value, _ in letters[:3]] == [
        (b"gil", b"\x01garbage"),
        (b"gil", b'{"id": 5}'),
        (None, None),
    ]
    assert letters[1][2]["ce_id"] == "5"
    assert letters[3][0] == b"bad"
    assert letters[3][2]["ce_id"] == "enter-bad"
    assert "PUT /contacts/bad: status 422" in letters[3][2]["leadscore.dead_letter.detail"]
    account = account_of(list(letters[3][2].items()))  # what leadscore dlq reads
    assert account is not None
    assert account.position == Position(topic.name, "", 0, 4)
    assert len(letters) == 4


def test_a_flow_starts_once_and_a_late_repeat_sets_no_tag_again(topic: Topic, programs: Programs) -> None:
    ann, bob, cat = enter("ann"), enter("bob"), enter("cat", stale=True)
    topic.publish(0, ann, leave(ann), ann, cat)
    topic.publish(0, msgspec.structs.replace(bob, threshold="other"), bob, leave(bob, Cause.RECYCLED))
    topic.publish(1, dot := enter("dot"), erased("dot"), enter("al", merged_with="bea", cause=Cause.MERGED))
    tool = EmailTool()
    with tool.listening():
        tool.refuse("POST /flows", 500)
        first = programs.start("segments", tool)
        tool.cut_after("POST /flows/hello", first.process.kill)
        assert first.ended() == -signal.SIGKILL, first.said()
        assert len(tool.started) == 1
        with programs.running("segments", tool):
            programs.wait_until_done(programs.group("segments"))
    assert tool.tags == {("cat", "ready"), ("al", "ready")}
    assert dot.id not in tool.started
    assert sorted(tool.started.values()) == [("ann", "come-back"), ("ann", "hello"), ("bob", "hello")]


def test_the_channel_gets_one_alert_but_after_a_crash_between_post_and_memory(topic: Topic, programs: Programs) -> None:
    ann, bob = enter("ann"), enter("<!channel>", score_name="upsell")
    stale, over = enter("stale", stale=True), enter("over", projected_exit_at_ms=now_ms() - 1)
    old = enter("old", occurred_at_ms=now_ms() - 2 * DAY_MS)
    rekeyed, became_known = enter("al", merged_with="bea", cause=Cause.MERGED), enter("kim", cause=Cause.MERGED)
    topic.publish(0, ann, stale, over, old, leave(ann), rekeyed, became_known)
    topic.raw(0, b"garbage", b"gil")
    topic.publish(0, erased("ann"))
    topic.use(json_encoding())
    topic.publish(0, bob, ann, bob)
    channel = Channel()
    with channel.listening():
        channel.refuse("POST", 429, retry_after="0")
        channel.refuse("POST", 503)
        first = programs.start("chat_alert", channel)
        channel.cut_after("POST", first.process.kill)  # posted, and not yet remembered
        assert first.ended() == -signal.SIGKILL, first.said()
        assert len(channel.posts) == 1
        with programs.running("chat_alert", channel, GROUP="after-the-crash"):
            programs.wait_until_done("after-the-crash")  # another group: the old one still waits for its killed member
        with programs.running("chat_alert", channel, GROUP="from-the-start"):  # what it remembers is enough
            programs.wait_until_done("from-the-start")
    alert = "{} is in mql: {}score 67 B (company_size +20, mail_click -3), campaign spring-launch"
    expected = [alert.format(name, "") for name in ("ann", "ann", "kim")]
    expected += [alert.format("&lt;!channel&gt;", "upsell ")]
    assert channel.posts == expected


@pytest.mark.parametrize(
    ("name", "missing"),
    [("crm_sync", "CRM_URL"), ("segments", "EMAIL_TOOL_TOKEN"), ("chat_alert", "WEBHOOK_URL"), ("crm_sync", "GROUP")],
)
def test_a_missing_setting_is_named(programs: Programs, name: str, missing: str) -> None:
    api = Crm()
    api.url = "http://127.0.0.1:9"
    program = programs.start(name, api, **{missing: ""})
    assert program.ended() == 1
    assert f"{missing} is not set: expected" in program.said()


def test_a_token_that_is_refused_ends_the_program_and_makes_no_dead_letters(topic: Topic, programs: Programs) -> None:
    topic.publish(0, enter("ann"))
    crm = Crm()
    with crm.listening():
        crm.refuse("GET", 401)
        program = programs.start("crm_sync", crm)
        assert program.ended() == 1
    assert "status 401" in program.said()
    assert programs.unread(programs.group("crm_sync")) == 1


def test_a_topic_that_is_not_there_is_named(programs: Programs) -> None:
    crm = Crm()
    crm.url = "http://127.0.0.1:9"
    program = programs.start("crm_sync", crm, TOPIC="nowhere")
    assert program.ended() == 1
    assert "nowhere" in program.said()
    assert "Traceback" not in program.said()


def test_processes_share_the_partitions_and_one_takes_over_from_another(topic: Topic, programs: Programs) -> None:
    crm, group = Crm(), programs.group("crm_sync")
    nameless = {"KAFKA_CONSUMER__GROUP_INSTANCE_ID": ""}  # such a member leaves the group when it ends
    with crm.listening(), programs.running("crm_sync", crm, **nameless):
        with programs.running("crm_sync", crm, **nameless):
            for number in range(20):
                topic.publish(number % 2, enter(f"lead-{number}"))
            programs.wait_until_done(group)
        for number in range(20, 40):
            topic.publish(number % 2, enter(f"lead-{number}"))
        programs.wait_until_done(group)
    assert {task["contact"] for task in crm.tasks.values()} == {f"lead-{number}" for number in range(40)}
    assert len(crm.tasks) == 40
