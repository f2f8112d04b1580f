"""How many milliseconds the units of time have. Instants and lengths of time are whole milliseconds everywhere."""

SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
