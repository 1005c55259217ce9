"""What Schemathesis is told beside the description of the API.

Run by `cargo xtask test --only api`, which starts a server with some data in it.
"""

import os

import schemathesis

# Operations that whoever can reach the API may use.
OPEN = {"health_fetch", "readiness_fetch", "document_fetch"}

# The token with which an administrator's requests are made; none: nobody's.
TOKEN = os.environ.get("FAULTLINE_API_TOKEN", "")


def operation_id(case):
    return case.operation.definition.raw["operationId"]


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
    all that comes after them would be refused, and show nothing.

    Tokens are `flt_`, their id, and what is secret about them.
    """
    if not TOKEN or operation_id(case) != "token_revoke":
        return True
    own = TOKEN.split("_")[1]
    return (case.path_parameters or {}).get("id") != own
