"""*leadscore: leads*, for marketing and sales operations: who becomes ready, why, and what sales makes of it."""

from deploy.grafana.panel import Dashboard, Kind, Panel, Query, Row, Unit, Variable
from deploy.grafana.selection import DEPLOYMENT_VARIABLES, increase, quantile, quantiles, selected

CROSSINGS = "leadscore_crossings_published_total"
OUTCOMES = "leadscore_outcomes_total"
CONTACT = "leadscore_enter_to_outcome_seconds"
POINTS = "leadscore_sampled_score_points"
HOUR = "1h"
THRESHOLD = 'threshold=~"$threshold"'
VERSION = 'version=~"$version"'
ENTER = 'direction="ENTER"'
OF_MODEL = 'model=~"$model"'


def leads_dashboard() -> Dashboard:
    """All of it."""
    return Dashboard(
        "leads",
        "leadscore: leads",
        "Leads that become ready, and what sales makes of them. docs/monitoring.md explains it.",
        [
            *DEPLOYMENT_VARIABLES,
            Variable("threshold", "Threshold", f"label_values({selected(CROSSINGS)}, threshold)"),
            Variable("version", "Model version", f"label_values({selected(CROSSINGS)}, version)"),
        ],
        [_crossings(), _sales(), _contact(), _bands(), _versions()],
    )


def _number(title: str, description: str, expression: str, unit: Unit = Unit.COUNT) -> Panel:
    return Panel(title, description, unit, [Query(expression, "{{threshold}}")], Kind.NUMBER, width=6)


def _crossings() -> Row:
    enters, leaves = (
        increase(CROSSINGS, "threshold", THRESHOLD, VERSION, f'direction="{direction}"')
        for direction in ("ENTER", "LEAVE")
    )
    return Row(
        "Crossings",
        [
            _number("Became ready", "Leads that entered a threshold in the time shown.", enters),
            _number("No longer ready", "Leads that left a threshold in the time shown.", leaves),
            _number(
                "Ready now",
                "Leads that are in a threshold, as of the latest count.",
                f"sum by (threshold) ({selected('leadscore_leads_in_threshold', THRESHOLD)})",
            ),
            _number(
                "Latest count",
                "When the leads were last counted.",
                f"max({selected('leadscore_leads_counted_timestamp_seconds')} > 0) * 1000",
                Unit.TIME,
            ),
            Panel(
                "Why leads became ready",
                "EVENT: the score reached the enter level. INSTANT: a rule that qualifies at once. COMMAND: by hand. "
                "MERGED: known already under another id.",
                Unit.COUNT,
                [Query(increase(CROSSINGS, "cause", THRESHOLD, VERSION, ENTER, window=HOUR), "{{cause}}")],
                width=12,
            ),
            Panel(
                "Why leads were no longer ready",
                "TIME: the score decayed. EVENT: an act cost points. DISQUALIFIED and RECYCLED: a rule says so, or "
                "sales gave the lead back.",
                Unit.COUNT,
                [
                    Query(
                        increase(CROSSINGS, "cause", THRESHOLD, VERSION, 'direction="LEAVE"', window=HOUR), "{{cause}}"
                    )
                ],
                width=12,
            ),
        ],
    )


def _sales() -> Row:
    rejected = increase(OUTCOMES, "rule", THRESHOLD, VERSION, 'outcome="rejected"')
    return Row(
        "What sales says",
        [
            Panel(
                "Outcomes",
                "What sales said of leads that were ready, each hour.",
                Unit.COUNT,
                [Query(increase(OUTCOMES, "outcome", THRESHOLD, VERSION, window=HOUR), "{{outcome}}")],
            ),
            Panel(
                "Accepted by sales",
                "Of the leads that sales accepted or rejected, the share that it accepted.",
                Unit.RATIO,
                [Query(f"{_answers('accepted')} / {_answers('accepted|rejected')}", "{{threshold}}")],
                Kind.BARS,
            ),
            Panel(
                "Why sales rejected",
                "By the rule that says the reason.",
                Unit.COUNT,
                [Query(rejected, "{{rule}}")],
                Kind.BARS,
            ),
        ],
    )


def _answers(outcomes: str, by: str = "threshold") -> str:
    # Without a threshold are leads that had entered none.
    return increase(OUTCOMES, by, THRESHOLD, 'threshold!=""', VERSION, f'outcome=~"{outcomes}"')


def _contact() -> Row:
    accepted = [THRESHOLD, 'outcome="accepted"']
    return Row(
        "From ready to contacted",
        [
            Panel(
                "Until sales accepts",
                "From a lead's enter until sales said that it takes the lead, over the time shown: half of all, and "
                "nine in ten.",
                Unit.SECONDS,
                [
                    Query(
                        quantile(CONTACT, share, "threshold", *accepted, window="$__range"),
                        f"{{{{threshold}}}} {share:.0%}",
                    )
                    for share in (0.5, 0.9)
                ],
                Kind.BARS,
            ),
            Panel(
                "Until sales says anything",
                "The same for every outcome; half of all take at most so long.",
                Unit.SECONDS,
                [Query(quantile(CONTACT, 0.5, "outcome", THRESHOLD, window="$__range"), "{{outcome}}")],
                Kind.BARS,
            ),
            Panel(
                "From act to alert",
                "From the record that made a lead ready until its crossing was published.",
                Unit.SECONDS,
                quantiles("leadscore_record_to_crossing_seconds"),
            ),
        ],
    )


def _bands() -> Row:
    leads = selected("leadscore_leads")
    return Row(
        "Bands",
        [
            Panel(
                "Leads by band",
                "How many leads are cold, warm or hot by the main score, as of the latest count.",
                Unit.COUNT,
                [Query(f"sum by (band) ({leads})", "{{band}}")],
                width=12,
            ),
            Panel(
                "Share of each band",
                "Of all leads that were counted.",
                Unit.RATIO,
                [
                    Query(
                        f"sum by (band) ({leads}) / scalar(sum({leads}))",
                        "{{band}}",
                    )
                ],
                Kind.BARS,
                width=12,
            ),
        ],
    )


def _versions() -> Row:
    return Row(
        "Model versions side by side",
        [
            Panel(
                "Became ready",
                "Enters by the model version that was in force.",
                Unit.COUNT,
                [Query(increase(CROSSINGS, "version", THRESHOLD, VERSION, ENTER), "version {{version}}")],
                Kind.BARS,
            ),
            Panel(
                "Accepted by sales",
                "The share of accepted and rejected leads that was accepted, by the version in force.",
                Unit.RATIO,
                [
                    Query(
                        f"{_answers('accepted', 'version')} / {_answers('accepted|rejected', 'version')}",
                        "version {{version}}",
                    )
                ],
                Kind.BARS,
            ),
            Panel(
                "Scores",
                "Scores of the leads looked at by the count: a quarter, half and three quarters are at most this high.",
                Unit.NONE,
                [
                    Query(
                        quantile(POINTS, share, "score, version", VERSION),
                        f"{{{{score}}}} version {{{{version}}}} {share:.0%}",
                    )
                    for share in (0.25, 0.5, 0.75)
                ],
            ),
            Panel(
                "Models in use",
                "Workers that match with each version. Two at a time are a rolling update.",
                Unit.COUNT,
                [
                    Query(
                        f"count by (model, version) ({selected('leadscore_model_info', OF_MODEL)})",
                        "{{model}} {{version}}",
                    )
                ],
                width=12,
            ),
            Panel(
                "Distribution of the scores",
                "Of the leads looked at in the time shown, the share that had at most this many points, by version.",
                Unit.RATIO,
                [
                    Query(
                        f"{increase(POINTS + '_bucket', 'version, le', VERSION)} / on (version) group_left "
                        f"{increase(POINTS + '_count', 'version', VERSION)}",
                        "version {{version}}, at most {{le}}",
                    )
                ],
                Kind.BARS,
                width=12,
            ),
        ],
    )
