"""The configuration: environment variables with one prefix, read once into one frozen value.

A setting is declared in one place: its type, its default as one would write it, its meaning. Its variable is its
name in upper case after ``LEADSCORE_``, without the ``_ms`` of durations: those are written with their unit.
"""
# ruff: noqa: RUF009 - the calls in the dataclass below declare fields

import dataclasses
import difflib
import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeVar

from leadscore.errors import ConfigError
from leadscore.ops.addresses import WrongAddress, has_password, login_of, names_sentinel, shown_urls
from leadscore.ops.choices import CrossingFormat, Delivery, OnStateLoss, Role
from leadscore.ops.kafka_properties import KAFKA_PREFIX, has_brokers_assign
from leadscore.ops.kafka_variables import read_kafka_properties
from leadscore.ops.logs import LogFormat, LogLevel
from leadscore.ops.redaction import REDACTED, may_hold_login, redact_kafka_property
from leadscore.ops.setting_types import (
    SettingType,
    choice,
    duration_ms,
    instant_ms,
    number,
    path,
    pattern,
    redis_urls,
    registry_url,
    switch,
    text,
    topic_name,
    topic_names,
    whole_number,
)
from leadscore.ops.variables import FILE_SUFFIX, PREFIX, Variable, read_variables

_SHOWN_CHARACTERS = 80
_NAME = pattern(r"[A-Za-z0-9._-]{1,200}", "letters, digits, '.', '_' and '-'")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Setting:
    """How one setting is declared; ``default`` is text as one would write it, or ``None``."""

    expected: SettingType[Any]
    default: str | None
    meaning: str
    secret: bool = False


def _setting(expected: SettingType[T], default: str, meaning: str) -> T:
    return field(default=expected.read(default), metadata={"setting": Setting(expected, default, meaning)})


def _optional(expected: SettingType[T], meaning: str, *, secret: bool = False) -> T | None:
    return field(default=None, metadata={"setting": Setting(expected, None, meaning, secret)})


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Config:
    """Every setting of the worker. Durations are milliseconds; ``kafka`` holds the librdkafka properties to pass on."""

    model: str | None = _optional(path(), "Path of the model file.")
    role: Role = _setting(choice(Role), "all", "Stages this process runs: both, or one of them.")
    group: str = _setting(
        _NAME,
        "leadscore",
        "Name of the deployment in Kafka: the consumer groups are this with -match and -score after it.",
    )
    instance: str | None = _optional(
        _NAME, "Name that this process alone has, and keeps over a restart: it ends what it left open in Kafka."
    )

    source_topics: tuple[str, ...] = _setting(
        topic_names(),
        "leadscore.website,leadscore.email,leadscore.webinar,leadscore.profiles",
        "Topics of events and profiles.",
    )
    command_topic: str = _setting(topic_name(), "leadscore.commands", "Topic of commands.")
    log_topic: str = _setting(topic_name(), "leadscore.log", "Topic of the award log.")
    models_topic: str = _setting(topic_name(), "leadscore.models", "Compacted topic of model versions.")
    crossing_topic: str = _setting(topic_name(), "leadscore.crossings", "Topic crossings are published to.")
    scores_topic: str | None = _optional(topic_name(), "Compacted topic of each lead's latest score; not set: none.")
    dead_letter_topic: str = _setting(topic_name(), "leadscore.dead-letters", "Topic of dead letters.")
    log_partitions: int = _setting(
        whole_number(1, 4096),
        "32",
        "Partitions of the award log; fixed when the log is created, checked at every start.",
    )

    mappings: str | None = _optional(path(), "Path of the YAML file that maps foreign schemas, topic by topic.")
    lead_id_key: str | None = _optional(
        text(), "Secret key of the lead ids that mappings make of e-mail addresses (keyed_hash).", secret=True
    )
    max_record_bytes: int = _setting(
        whole_number(1_024, 104_857_600), "1048576", "Bytes of the largest record value that is decoded."
    )
    schema_registry_url: str | None = _optional(registry_url(), "Address of the schema registry.")
    schema_registry_user: str | None = _optional(text(), "User at the schema registry.")
    schema_registry_password: str | None = _optional(text(), "Password at the schema registry.", secret=True)
    schema_registry_register: bool = _setting(
        switch(), "true", "Register the schemas of what is written; false: others do, and their ids are looked up."
    )
    schema_registry_timeout_ms: int = _setting(
        duration_ms("100ms", "1m"), "5s", "Longest wait for an answer of the schema registry."
    )

    redis_url: str = _setting(
        redis_urls(),
        "redis://localhost:6379/0",
        "Address of Redis; of a Redis Cluster, one node or several; or of its Sentinels.",
    )
    redis_password: str | None = _optional(text(), "Password of Redis, where the URL has none.", secret=True)
    redis_sentinel_user: str | None = _optional(text(), "User at the Sentinels; not set: the default user.")
    redis_sentinel_password: str | None = _optional(text(), "Password at the Sentinels.", secret=True)
    redis_prefix: str = _setting(
        pattern(r"[A-Za-z0-9._-]{1,32}", "up to 32 letters, digits, '.', '_' and '-'"),
        "leadscore",
        "Start of every Redis key; tells two deployments in one Redis apart.",
    )
    redis_timeout_ms: int = _setting(duration_ms("50ms", "1m"), "2s", "Longest wait for an answer of Redis.")
    allow_eviction: bool = _setting(
        switch(), "false", "Start although Redis may evict keys. Scores are then lost without a word."
    )
    on_state_loss: OnStateLoss = _setting(
        choice(OnStateLoss), "halt", "When all state of a shard is gone: stop, or rebuild it from the award log."
    )

    recent_events: int = _setting(
        whole_number(8, 255),
        "64",
        "Recent events kept per lead; at least as many as a count or a burst of the model needs.",
    )
    max_future_skew_ms: int = _setting(
        duration_ms("0s", "7d"),
        "5m",
        "How far ahead of its Kafka timestamp, or of this worker's clock, an event may have occurred.",
    )
    earliest_ms: int = _setting(
        instant_ms(),
        "2000-01-01T00:00:00Z",
        "The earliest time an event may have occurred; what is before is a dead letter.",
    )
    stale_after_ms: int = _setting(
        duration_ms("1s", "3650d"), "24h", "A crossing decided later than this after it occurred is marked stale."
    )
    due_interval_ms: int = _setting(
        duration_ms("100ms", "1d"), "60s", "Longest time until a leave by time alone is noticed."
    )
    erasure_memory_ms: int = _setting(
        duration_ms("1d", "36500d"), "400d", "How long an erased lead is remembered; at least the inputs' retention."
    )

    batch_size: int = _setting(whole_number(1, 100_000), "20000", "Source records per poll of the match stage.")
    score_batch_frames: int = _setting(whole_number(1, 10_000), "2000", "Log records per turn of the score stage.")
    commit_interval_ms: int = _setting(
        duration_ms("0s", "1m"), "200ms", "Shortest time between two commits of offsets."
    )
    alignment_wait_ms: int = _setting(
        duration_ms("0s", "1h"), "10s", "How long the merge by time waits for an empty source partition; 0s: no merge."
    )
    alignment_bytes: int = _setting(
        whole_number(65_536, 17_179_869_184),
        "134217728",
        "Memory for the records that are held while merging by time, of all source partitions together.",
    )
    cache_leads: int = _setting(whole_number(0, 100_000_000), "200000", "Lead states kept in memory; 0: none.")
    dead_letter_max_ratio: float = _setting(
        number(0, 1), "0.5", "Share of dead letters among the recent records of a topic above which the topic stops."
    )
    dead_letter_min_records: int = _setting(
        whole_number(1, 10_000_000), "1000", "Records that must have been seen before that share counts."
    )
    drain_timeout_ms: int = _setting(
        duration_ms("1s", "1h"), "20s", "Longest time to finish the work in hand when stopping or giving up partitions."
    )
    start_timeout_ms: int = _setting(
        duration_ms("1s", "1d"),
        "60s",
        "How long a starting worker waits for services that do not answer; then it ends.",
    )
    liveness_timeout_ms: int = _setting(
        duration_ms("10s", "1h"), "2m", "How long one turn of the loop may take before /livez says that it hangs."
    )

    delivery: Delivery = _setting(
        choice(Delivery),
        "at_least_once",
        "Crossings: each at least once; or each once for read_committed readers, in transactions with the offsets.",
    )
    crossing_format: CrossingFormat = _setting(
        choice(CrossingFormat), "avro", "Encoding of crossings and latest scores."
    )
    scores_step: float = _setting(number(0.01, 1000), "1", "Points by which a score must move to be written at once.")
    http_host: str = _setting(
        pattern(r"[A-Za-z0-9.:_-]{1,253}", "a host name or an address"),
        "0.0.0.0",  # noqa: S104 - probes and scrapes come from outside the container
        "Address that /metrics, /livez, /readyz and /startupz listen on; 127.0.0.1 keeps them to this machine.",
    )
    http_port: int = _setting(whole_number(0, 65_535), "9464", "Port of these; 0: any free one.")
    log_level: LogLevel = _setting(choice(LogLevel), "info", "Least level that is logged.")
    log_format: LogFormat = _setting(choice(LogFormat), "json", "One JSON object a line, or text for people.")

    kafka: Mapping[str, str] = field(default_factory=dict)

    @property
    def by_brokers(self) -> bool:
        """Whether the brokers assign partitions, by the group protocol of KIP-848."""
        return has_brokers_assign(self.kafka)

    @property
    def match_group(self) -> str:
        """The consumer group of the match stage."""
        return f"{self.group}-match"

    @property
    def score_group(self) -> str:
        """The consumer group of the score stage."""
        return f"{self.group}-score"

    @property
    def transactional_id_prefix(self) -> str:
        """What the ids of the score stage's transactions begin with."""
        return f"{self.group}-scores-"

    @property
    def has_transactions(self) -> bool:
        """Whether the score stage commits in transactions."""
        return self.scores_topic is not None or self.delivery is Delivery.TRANSACTIONAL

    @property
    def input_topics(self) -> tuple[str, ...]:
        """The topics that are matched: events and profiles, then commands."""
        return (*self.source_topics, self.command_topic)

    @property
    def topics(self) -> tuple[str, ...]:
        """Every topic, in the order of the flow."""
        outputs = (*self.topics_of_results, self.dead_letter_topic)
        return (*self.input_topics, self.log_topic, self.models_topic, *outputs)

    @property
    def topics_of_results(self) -> tuple[str, ...]:
        """The topic of crossings and, if there is one, that of latest scores."""
        return (self.crossing_topic,) if self.scores_topic is None else (self.crossing_topic, self.scores_topic)

    @property
    def topics_of_role(self) -> tuple[str, ...]:
        """The topics that the stages of the role read or write."""
        of_match = (*self.input_topics, self.dead_letter_topic) if self.role is not Role.SCORE else ()
        of_score = self.topics_of_results if self.role is not Role.MATCH else ()
        return (self.log_topic, self.models_topic, *of_match, *of_score)

    def __repr__(self) -> str:
        return f"Config({describe_config(self)})"


def settings() -> dict[str, Setting]:
    """Every declared setting by its name in ``Config``, in order."""
    declared = dataclasses.fields(Config)
    return {one.name: one.metadata["setting"] for one in declared if "setting" in one.metadata}


def variable_of(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.removesuffix("_ms").upper()


_SETTINGS = settings()
_NAMES = {variable_of(name): name for name in _SETTINGS}


def load_config(environ: Mapping[str, str], required: Collection[str] = (), *, for_worker: bool = False) -> Config:
    """The configuration that the environment gives.

    ``required`` names variables that must be set; ``for_worker`` adds what the role needs to run, which is a model to
    match with. Raises ``ConfigError`` with every problem, one per line.
    """
    problems: list[str] = []
    variables = read_variables(environ, _NAMES, problems)
    values = _values(variables, problems)
    kafka = read_kafka_properties(variables, problems)
    needs_model = for_worker and values.get("role", Role.ALL) is not Role.SCORE
    problems += _missing(environ, [*required, *([variable_of("model")] if needs_model else [])])
    if not problems:
        config = Config(**values, kafka=kafka)
        problems += _contradictions(config)
    if problems:
        raise ConfigError("\n".join(problems))
    return config


def _values(variables: Mapping[str, Variable], problems: list[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for variable_name, name in _NAMES.items():
        variable = variables.get(variable_name)
        if variable is None:
            continue
        setting = _SETTINGS[name]
        try:
            values[name] = setting.expected.read(variable.text)
        except ValueError as error:
            problems.append(_refused(setting, variable, error))
    return values


def _refused(setting: Setting, variable: Variable, error: ValueError) -> str:
    why = f" {error}:" if isinstance(error, WrongAddress) else ""
    advice = f"; {setting.expected.advice}" if why and "@" in variable.text else ""
    return f"{variable.origin}: {_shown(setting, variable)}:{why} expected {setting.expected.what}{advice}"


def _shown(setting: Setting, variable: Variable) -> str:
    """The value as an error may show it; never what a file holds: it may be the wrong file."""
    is_hidden = setting.secret or setting.expected.may_hold_secret or variable.from_file
    shown = variable.text
    if is_hidden or may_hold_login(shown):
        return REDACTED
    return repr(shown if len(shown) <= _SHOWN_CHARACTERS else shown[:_SHOWN_CHARACTERS] + "...")


def _missing(environ: Mapping[str, str], required: Collection[str]) -> Iterator[str]:
    for variable in required:
        if not environ.get(variable) and not environ.get(variable + FILE_SUFFIX):
            meaning = _SETTINGS[_NAMES[variable]].meaning if variable in _NAMES else "Addresses of the Kafka brokers."
            yield f"{variable}: not set: {meaning}{_misspelt_property(environ, variable)}"


def _misspelt_property(environ: Mapping[str, str], variable: str) -> str:
    """A hint where another librdkafka property has nearly this name: which properties exist is not known here."""
    properties = [name for name, entry in environ.items() if entry and name.startswith(KAFKA_PREFIX)]
    similar = difflib.get_close_matches(variable, properties, n=1, cutoff=0.9)
    return f" {similar[0]} is set: a misspelling?" if similar else ""


def _contradictions(config: Config) -> Iterator[str]:
    for topic, count in Counter(config.topics).items():
        if count > 1:
            yield f"LEADSCORE_..._TOPIC(S): {topic!r} is named {count} times: expected a topic of its own for each use"
    if config.redis_password is not None and has_password(config.redis_url):
        yield "LEADSCORE_REDIS_PASSWORD: the URL has a password too: expected it in one of the two places"
    yield from _contradictions_of_sentinel(config)
    if config.liveness_timeout_ms <= 2 * config.drain_timeout_ms:
        yield (
            f"LEADSCORE_LIVENESS_TIMEOUT: {config.liveness_timeout_ms} ms: expected more than twice "
            f"LEADSCORE_DRAIN_TIMEOUT, {config.drain_timeout_ms} ms: each stage may drain within one turn of the loop"
        )
    if (config.schema_registry_user is None) != (config.schema_registry_password is None):
        yield "LEADSCORE_SCHEMA_REGISTRY_USER: expected together with LEADSCORE_SCHEMA_REGISTRY_PASSWORD, or neither"
    if config.schema_registry_user is not None and login_of(config.schema_registry_url or "") is not None:
        yield "LEADSCORE_SCHEMA_REGISTRY_USER: the URL has a user too: expected it in one of the two places"


def _contradictions_of_sentinel(config: Config) -> Iterator[str]:
    user, password = config.redis_sentinel_user, config.redis_sentinel_password
    if user is not None and password is None:
        yield "LEADSCORE_REDIS_SENTINEL_USER: expected together with LEADSCORE_REDIS_SENTINEL_PASSWORD"
    if password is not None and not names_sentinel(config.redis_url):
        yield (
            "LEADSCORE_REDIS_SENTINEL_PASSWORD: LEADSCORE_REDIS_URL names no Sentinel: expected an address that starts "
            "with redis+sentinel:// or rediss+sentinel://"
        )


def describe_config(config: Config) -> dict[str, object]:
    """The effective values by setting, secrets redacted, as plain JSON values."""
    described = {name: _described(setting, getattr(config, name)) for name, setting in _SETTINGS.items()}
    kafka = {name: redact_kafka_property(name, shown) for name, shown in sorted(config.kafka.items())}
    return {**described, "kafka": kafka}


def _described(setting: Setting, effective: object) -> object:
    if effective is not None and setting.secret:
        return REDACTED
    if isinstance(effective, Enum):
        return effective.value
    if isinstance(effective, tuple):
        return list(effective)
    if isinstance(effective, str):
        return shown_urls(effective) if setting.expected.may_hold_secret else _plain(effective)
    return effective


def _plain(effective: str) -> str:
    return REDACTED if may_hold_login(effective) else effective


def config_sha256(config: Config) -> str:
    """A fingerprint of the effective configuration without its secrets, so that it may be shown."""
    canonical = json.dumps(describe_config(config), sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()
