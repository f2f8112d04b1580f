"""Write the dashboards: python -m deploy.grafana.write."""

import json
from pathlib import Path

from deploy.grafana.leads import leads_dashboard
from deploy.grafana.panel import Dashboard
from deploy.grafana.service import service_dashboard

FOLDER = Path(__file__).parent / "dashboards"


def dashboards() -> list[Dashboard]:
    """Both of them."""
    return [service_dashboard(), leads_dashboard()]


def path_of(dashboard: Dashboard) -> Path:
    """Where the dashboard is committed."""
    return FOLDER / f"{dashboard.name}.json"


def text_of(dashboard: Dashboard) -> str:
    """The file itself."""
    return json.dumps(dashboard.as_json(), indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the files, which are committed."""
    FOLDER.mkdir(exist_ok=True)
    for dashboard in dashboards():
        path_of(dashboard).write_text(text_of(dashboard), encoding="utf-8")


if __name__ == "__main__":
    main()
