r"""Regular expressions of the usual kinds in words: ``^/pricing`` is "begins with /pricing". Pure.

The usual: text, perhaps between ``^`` and ``$``, with one group of alternatives in it, of whole words or not, in any
case or not. What is more than that is shown as it is, and called a pattern.
"""

import re

from leadscore.model.phrases import any_of

_GROUP = re.compile(r"\((?!\?)([^()]*)\)")
_SPECIAL = re.compile(r"[.^$*+?{}\[\]()|\\]")
_ESCAPED = re.compile(r"\\([^A-Za-z0-9])")
_KEPT = {".": "\ue000", "*": "\ue001", "+": "\ue002", "?": "\ue003", "(": "\ue004", ")": "\ue005", "|": "\ue006"}
"""Characters that stand for themselves after a backslash, and what stands for them until then."""


def pattern_in_words(pattern: str) -> str:
    """``begins with /pricing``, ``contains onboarding (upper or lower case)``; else ``fits the pattern ...``."""
    rest = pattern.removeprefix("(?i)")
    case = "" if rest == pattern else ", in upper or lower case"
    start, rest = rest.startswith("^"), rest.removeprefix("^")
    rest, whole = _without_word_ends(rest, start=start)
    end = rest.endswith("$") and not rest.endswith("\\$")
    texts = _texts(rest[:-1] if end else rest)
    if texts is None or (end and whole):
        return f"fits the pattern {pattern}"
    verb = {(True, True): "is", (True, False): "begins with", (False, True): "ends with"}.get((start, end), "contains")
    return f"{verb} {any_of(texts)}{', as a whole word' if whole else ''}{case}"


def _without_word_ends(text: str, *, start: bool) -> tuple[str, bool]:
    r"""The text without ``\b`` or ``(/|$)`` at its ends, and whether it had them at both."""
    opened = start or text.startswith("\\b")
    for closing in ("(/|$)", "\\b"):
        if opened and text.endswith(closing):
            return text.removeprefix("\\b").removesuffix(closing), True
    return text, False


def _texts(text: str) -> list[str] | None:
    """The texts a pattern stands for: one, or one for each alternative of its group; None if it is more than that."""
    text = _ESCAPED.sub(lambda match: _KEPT.get(match[1], match[1]), text)
    group = _GROUP.search(text)
    if group is None:
        texts = [text]
    else:
        texts = [text[: group.start()] + option + text[group.end() :] for option in group[1].split("|")]
    if any(not one or _SPECIAL.search(one) for one in texts):
        return None
    back = {kept: character for character, kept in _KEPT.items()}
    return ["".join(back.get(character, character) for character in one) for one in texts]
