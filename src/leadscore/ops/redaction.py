"""What may be shown of a setting: secrets are replaced, also inside URLs and librdkafka properties."""

import re

REDACTED = "***"

_URL_USER = re.compile(r"://.*@")
_URL_QUERY = re.compile(r"([?&][^=&#]*(?:password|secret|token|key)[^=&#]*=)[^&#]*", re.IGNORECASE)
_SECRET_PROPERTY = re.compile(r"password|passphrase|secret|token|jaas|\.pem$|oauthbearer\.config$")


def redact_url(shown: str) -> str:
    """The text without the user part and the secret query values of any URL in it.

    Greedy up to the last ``@``: a password may hold one, and rather too much is hidden than too little.
    """
    return _URL_QUERY.sub(rf"\1{REDACTED}", _URL_USER.sub(f"://{REDACTED}@", shown))


def redact_kafka_property(name: str, shown: str) -> str:
    """The value of a librdkafka property, or stars where its name says that it is a secret."""
    is_secret = _SECRET_PROPERTY.search(name) is not None and not name.endswith(".url")
    return REDACTED if is_secret else redact_url(shown)
