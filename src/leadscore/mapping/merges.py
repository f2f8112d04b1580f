"""Two ids of one person in a record: the merge that comes before its event (design 1.12). Pure."""

from typing import NamedTuple

from leadscore.events.event import Event
from leadscore.events.validation import FieldProblem, Record, event_of_parts, unnoticed
from leadscore.log.records import MERGE
from leadscore.mapping.language import Merge
from leadscore.mapping.paths import Incoming
from leadscore.mapping.values import HashKey, ValueOf, value_finder, words_of

NONE = "none"
"""What a mapping says that merges nothing."""


class MergedIds(NamedTuple):
    """What a record has where the mapping looks for the two ids; ``into`` ``None`` is the event's lead."""

    lead_id: object
    into: object


class MergeFinder:
    """Finds the two ids in a record, and makes the merge of them."""

    def __init__(self, merge: Merge, lead_id: ValueOf, hash_key: HashKey) -> None:
        """``lead_id`` is the mapping's own, which stands for ``into``."""
        self._find_lead = value_finder(merge.lead_id, hash_key)
        self._find_into = None if merge.into is None else value_finder(merge.into, hash_key)
        self._words = {"lead_id": words_of(merge.lead_id), "into": words_of(merge.into or lead_id)}

    def ids(self, record: Record, incoming: Incoming) -> MergedIds | None:
        """The two ids; ``None`` where the record lacks one of them."""
        lead_id = self._find_lead(record, incoming)
        if lead_id is None:
            return None
        if self._find_into is None:
            return MergedIds(lead_id, None)
        into = self._find_into(record, incoming)
        return None if into is None else MergedIds(lead_id, into)

    def merge(self, ids: MergedIds, event: Event) -> Event | None:
        """The merge, with the id and time of the event; ``None`` for one id twice. ``DeadLetter`` names the path."""
        fields: Record = {"into": event.lead_id if ids.into is None else ids.into}
        try:
            merge = event_of_parts(
                MERGE, event.event_id, ids.lead_id, event.occurred_at_ms, None, fields, None, unnoticed
            )
        except FieldProblem as problem:
            path = self._words.get(problem.field, problem.field)
            raise FieldProblem(path, problem.value, problem.expected, problem.reason) from problem
        return None if merge.lead_id == merge.fields["into"] else merge
