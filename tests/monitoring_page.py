"""The table of alerts in docs/monitoring.md: python -m tests.monitoring_page writes it anew."""

from pathlib import Path

from deploy.prometheus.alerts import all_alerts
from deploy.prometheus.scale import Scale

PAGE = Path(__file__).parents[1] / "docs" / "monitoring.md"
BEGIN, END = "<!-- alerts: begin -->\n", "<!-- alerts: end -->\n"


def table() -> str:
    rows = [
        f"| [{alert.name}](runbooks/{alert.name}.md) | {alert.severity} | {alert.lasts} | {alert.description} |\n"
        for alert in all_alerts(Scale())
    ]
    return "| Alert | Severity | Lasts | What it says |\n|---|---|---|---|\n" + "".join(rows)


def with_table(text: str) -> str:
    before, rest = text.split(BEGIN)
    return before + BEGIN + table() + END + rest.split(END)[1]


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
