"""Write ``rules.yaml``: python -m deploy.prometheus.write [--runbooks URL]."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from deploy.prometheus.alerts import all_alerts
from deploy.prometheus.recordings import objective_recordings, other_recordings
from deploy.prometheus.scale import Scale

RULES = Path(__file__).parent / "rules.yaml"
RUNBOOKS = "docs/runbooks"
HEAD = (
    "# Made by python -m deploy.prometheus.write from the modules beside it. docs/monitoring.md says how to use it.\n"
)


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as they are."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def rules(scale: Scale, runbooks: str = RUNBOOKS) -> Mapping[str, Any]:
    """The content of the file."""
    interval = {"interval": scale.span(max(0.5, 1 / scale.minute_s))}  # a second at least
    recordings = {"leadscore-objectives": objective_recordings(scale), "leadscore-recordings": other_recordings(scale)}
    groups = [
        {"name": name, **interval, "rules": [recording.as_yaml() for recording in group]}
        for name, group in recordings.items()
    ]
    alerts = [alert.as_yaml(runbooks) for alert in all_alerts(scale)]
    return {"groups": [*groups, {"name": "leadscore-alerts", **interval, "rules": alerts}]}


def rules_text(scale: Scale, runbooks: str = RUNBOOKS) -> str:
    """The file itself."""
    return HEAD + yaml.dump(rules(scale, runbooks), Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)


def main() -> None:
    """Write the file for production, which is committed."""
    parser = argparse.ArgumentParser(description="Write the rules for Prometheus.")
    parser.add_argument("--runbooks", default=RUNBOOKS, help="address of docs/runbooks (default: %(default)s)")
    RULES.write_text(rules_text(Scale(), parser.parse_args().runbooks), encoding="utf-8")


if __name__ == "__main__":
    main()
