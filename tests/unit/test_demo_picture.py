"""The picture on the front page: it is the demo's, and the recorder shows what a terminal would show."""

import re
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.demo_picture import PICTURE, Screen, picture_of

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
SVG = PICTURE.read_text(encoding="utf-8")


def words_of(svg: str) -> str:
    return " ".join("".join(ET.fromstring(svg).itertext()).replace("\xa0", " ").split())


def test_the_front_page_shows_the_picture() -> None:
    assert "](docs/pictures/demo.svg)" in README


def test_the_picture_shows_throughput_crossings_reasons_and_the_hottest_leads() -> None:
    words = words_of(SVG)
    assert re.search(r"produced [\d,]+ applied [\d,]+ [\d,]+ events/s", words)
    assert "entered mql" in words
    assert "because" in words
    assert words.count("█") > 50


def test_the_picture_loads_nothing_from_elsewhere() -> None:
    assert "url(http" not in SVG
    assert "font-face" not in SVG


def test_a_panel_that_is_drawn_anew_replaces_the_old_one() -> None:
    screen = Screen(rows=10)
    screen.feed("first\r\npanel \x1b[31m1\x1b[0m\r\nmore 1")
    screen.feed("\r\x1b[2K\x1b[1A\x1b[2Ksecond\r\npanel 2\r\nmore 2")
    assert screen.shown() == ["first", "second", "panel 2", "more 2"]


def test_only_the_last_rows_are_shown_with_their_colours() -> None:
    screen = Screen(rows=1)
    screen.feed("above\r\n\x1b[31mred\x1b[0m")
    assert screen.shown() == ["\x1b[31mred\x1b[0m"]
    assert words_of(picture_of(screen.shown())).endswith("red")
