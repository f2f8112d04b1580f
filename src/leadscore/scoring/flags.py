"""What is asked of a lead's state with every record, and what makes the rare parts of it. Pure."""

from leadscore.scoring.state import AttributeState, Flags, LeadState


def flags_of(state: LeadState) -> Flags:
    """The flags, made when first needed."""
    if state.flags is None:
        state.flags = Flags()
    return state.flags


def keep_later(attributes: dict[int, AttributeState], attribute_id: int, value: AttributeState) -> None:
    """Keep the later of the value there and this one."""
    present = attributes.get(attribute_id)
    if present is None or present.at < value.at:
        attributes[attribute_id] = value


def latest_ms(state: LeadState) -> int:
    """The lead's latest time: of its records and of its leaves by time."""
    flags, latest_record_ms = state.flags, state.latest_record_ms
    left_ms = None if flags is None else flags.left_ms
    return latest_record_ms if left_ms is None or left_ms < latest_record_ms else left_ms
