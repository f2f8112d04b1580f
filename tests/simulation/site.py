"""What all processes of a simulated deployment share: topics, configuration, Kafka, Redis, the time."""

from dataclasses import dataclass, replace
from functools import lru_cache

from leadscore.model.compiled import CompiledModel
from leadscore.ops.config import Config, load_config
from tests.memory_kafka.broker import Broker
from tests.random_people import Scoring
from tests.simulation.clock import Clock
from tests.simulation.plan import Shape
from tests.simulation.redis import MemoryRedis

SOURCES, COMMANDS, LOG = ("website", "email"), "commands", "log"
CROSSINGS, SCORES, DEAD_LETTERS = "crossings", "scores", "dead-letters"


@dataclass(frozen=True, slots=True)
class Site:
    """What all processes of a deployment share."""

    config: Config
    kafka: Broker
    redis: MemoryRedis
    clock: Clock
    versions: dict[int, Scoring]
    """Every version of the model that is published, by number."""

    def model_of_version(self, version: int) -> CompiledModel:
        """The version; before any record has named one, the first."""
        return self.versions[max(version, 1)].compiled


@lru_cache(maxsize=256)
def config_of(shape: Shape, recent_events: int) -> Config:
    """Batches are small, so that much of what happens lies between two of them."""
    environ = {
        "LEADSCORE_SOURCE_TOPICS": ",".join(SOURCES),
        "LEADSCORE_COMMAND_TOPIC": COMMANDS,
        "LEADSCORE_LOG_TOPIC": LOG,
        "LEADSCORE_CROSSING_TOPIC": CROSSINGS,
        "LEADSCORE_DEAD_LETTER_TOPIC": DEAD_LETTERS,
        "LEADSCORE_LOG_PARTITIONS": str(shape.partitions),
        "LEADSCORE_ON_STATE_LOSS": "rebuild" if shape.rebuild else "halt",
        "LEADSCORE_ALIGNMENT_WAIT": "200ms" if shape.merges_by_time else "0s",
        "LEADSCORE_BATCH_SIZE": "5",
        "LEADSCORE_SCORE_BATCH_FRAMES": "3",
        "LEADSCORE_COMMIT_INTERVAL": "0s",
        "LEADSCORE_CACHE_LEADS": "3",
        "LEADSCORE_DRAIN_TIMEOUT": "1s",
        "LEADSCORE_CROSSING_FORMAT": "json",
        "LEADSCORE_DELIVERY": "transactional" if shape.is_transactional else "at_least_once",
        **({"LEADSCORE_SCORES_TOPIC": SCORES} if shape.has_scores else {}),
    }
    return replace(load_config(environ), recent_events=recent_events)
