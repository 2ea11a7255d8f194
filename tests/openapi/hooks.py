"""What the requests need besides what the document says."""

import itertools

import schemathesis

numbers = itertools.count(1)


@schemathesis.hook
def before_call(context, case, kwargs):
    # From another address each, as far as the service sees: twenty wrong keys from one are answered
    # with 401, but more with 429.
    case.headers["X-Real-IP"] = f"address-{next(numbers)}"
    # Looking for cameras longer finds no more of them.
    if case.path == "/api/discovery" and isinstance(case.body, dict):
        case.body.setdefault("timeout_seconds", 0.1)
    # Without this camera most answers would be 404.
    if case.method == "DELETE" and case.path_parameters.get("id") == "front-door":
        case.path_parameters["id"] = "back-door"
