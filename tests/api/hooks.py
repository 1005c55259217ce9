"""What Schemathesis is told beside the description of the API.

Run by `cargo xtask test --only api`, which starts a server with some data in it.
"""

import os

import requests
import schemathesis

# Operations that whoever can reach the API may use.
OPEN = {"health_fetch", "readiness_fetch", "document_fetch"}

# The token with which an administrator's requests are made; none: nobody's.
TOKEN = os.environ.get("FAULTLINE_API_TOKEN", "")

# Where the API is.
URL = os.environ.get("FAULTLINE_API_URL", "")

# What stands in paths whose values are known beforehand: see host/xtask/src/api.rs.
FILLED_IN = {"name": "poller", "capability": "api", "plugin": "faultline/prometheus"}

# What stands in a path after the first noun, and what a row of that noun's
# listing calls it.
LISTED = {
    "alerts": ("alerts", "id"),
    "changes": ("changes", "id"),
    "dead-letters": ("dead-letters", "position"),
    "envelopes": ("dead-letters", "position"),
    "incidents": ("incidents", "id"),
    "series": ("series", "id"),
    "tokens": ("tokens", "id"),
}


def operation_id(case):
    return case.operation.definition.raw["operationId"]


@schemathesis.hook
def before_load_schema(ctx, raw_schema):
    """Names things that there are as examples of what stands in paths: drawn
    names are nobody's, and nothing lies behind `404`."""
    if not TOKEN:
        return
    session = requests.Session()
    session.headers["authorization"] = f"Bearer {TOKEN}"
    for path, item in raw_schema["paths"].items():
        for operation in item.values():
            for parameter in operation.get("parameters", []):
                if parameter["in"] == "path":
                    value = there_is(session, path.split("/")[3], parameter["name"])
                    if value is not None:
                        parameter["schema"]["examples"] = [value]


def there_is(session, noun, parameter):
    """Something that there is; none if nothing is known beforehand."""
    if parameter in FILLED_IN:
        return FILLED_IN[parameter]
    if noun == "commands":
        # What was asked for is found where it lies in the journal.
        incident = there_is(session, "incidents", "id")
        answer = session.post(f"{URL}/api/v1/incidents/{incident}/acknowledge", timeout=20)
        answer.raise_for_status()
        return answer.json()["position"]
    if noun not in LISTED:
        return None
    listing, field = LISTED[noun]
    answer = session.get(f"{URL}/api/v1/{listing}", timeout=20)
    answer.raise_for_status()
    items = [row[field] for row in answer.json()["items"] if not is_own_token(row[field])]
    if not items:
        raise AssertionError(f"there are no {listing} to ask for: the server was not filled")
    return items[0]


def is_own_token(value):
    """Tokens are `flt_`, their id, and what is secret about them."""
    return TOKEN.split("_")[1] == value


@schemathesis.check
def refused_without_a_token(ctx, response, case):
    """Nobody without a token learns or changes anything.

    A request may be refused for its method or its path first.
    """
    if TOKEN:
        return
    if operation_id(case) in OPEN:
        return
    if response.status_code not in (401, 404, 405):
        raise AssertionError(f"answers {response.status_code} to nobody")


@schemathesis.check
def refusals_are_problems(ctx, response, case):
    """All that is refused is refused in one form (RFC 9457), and says why."""
    if response.status_code < 400:
        return
    media_type = response.headers.get("content-type", [""])
    media_type = media_type[0] if isinstance(media_type, list) else media_type
    if media_type != "application/problem+json":
        raise AssertionError(f"{response.status_code} comes as {media_type or 'nothing'}")
    if case.method == "HEAD":
        return
    problem = response.json()
    if problem["status"] != response.status_code or not problem["detail"]:
        raise AssertionError(f"{response.status_code} says {problem}")


@schemathesis.hook
def filter_case(ctx, case):
    """Requests that take back the token that they are made with are left out:
    all that comes after them would be refused, and show nothing."""
    if not TOKEN or operation_id(case) != "token_revoke":
        return True
    return not is_own_token((case.path_parameters or {}).get("id"))
