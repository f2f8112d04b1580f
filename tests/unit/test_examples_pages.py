"""The pages of examples/ against the programs: settings, the model and its segments, and the schema files."""

import json
import re
from pathlib import Path

import pytest

from leadscore.model.load import parse_model
from segments.__main__ import segments_of

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SHARED_PAGE = (EXAMPLES / "README.md").read_text()
PROGRAMS = {
    "crm_sync": ("crm_sync/__main__.py", "subscriber.py"),
    "segments": ("segments/__main__.py", "subscriber.py"),
    "daily_list": ("daily_list/__main__.py",),
    "chat_alert": ("chat_alert/chat_alert.js",),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_setting_of_a_program_is_on_its_page(name: str) -> None:
    sources = "".join((EXAMPLES / source).read_text() for source in PROGRAMS[name])
    settings = set(re.findall(r"setting\(\s*[\"']([A-Z_]+)[\"']", sources))
    page = (EXAMPLES / name / "README.md").read_text() + (SHARED_PAGE if "subscriber.py" in PROGRAMS[name] else "")
    assert len(settings) >= 3
    assert settings - set(re.findall(r"\b([A-Z]+(?:_+[A-Z]+)*)\b", page)) == set()


def test_every_example_has_a_page_that_says_what_happens_after_a_crash_and_is_linked() -> None:
    folders = {path.name for path in EXAMPLES.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == set(PROGRAMS)
    for name in folders:
        assert "\n## After a crash\n" in (EXAMPLES / name / "README.md").read_text()
        for page in ("README.md", "docs/subscribers.md", "examples/README.md"):
            assert f"{name}/README.md" in (EXAMPLES.parent / page).read_text(), page


def test_the_segments_are_thresholds_of_their_model() -> None:
    model = parse_model((EXAMPLES / "segments" / "model.yaml").read_text(), "model.yaml")
    assert segments_of(str(EXAMPLES / "segments" / "segments.json")).keys() == model.thresholds.keys()


def test_a_file_of_segments_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    path = tmp_path / "segments.json"
    for text in ("{", json.dumps({"fan": {"entered": "x"}}), json.dumps({"fan": {"tag": "x", "typo": 1}}), "[]"):
        path.write_text(text)
        with pytest.raises(SystemExit, match=r"segments\.json: expected by threshold a tag"):
            segments_of(str(path))
