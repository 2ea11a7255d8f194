"""Changes to the generated requests that the OpenAPI document cannot express."""

import itertools

import schemathesis

numbers = itertools.count(1)


@schemathesis.hook
def before_call(context, case, kwargs):
    # Each request seems to come from another address. Otherwise the service would respond with 429
    # instead of 401 after twenty requests with an invalid key.
    case.headers["X-Real-IP"] = f"address-{next(numbers)}"
    # A longer search would not find more cameras.
    if case.path == "/api/discovery" and isinstance(case.body, dict):
        case.body.setdefault("timeout_seconds", 0.1)
    # Without the camera front-door, most responses would be 404.
    if case.method == "DELETE" and case.path_parameters.get("id") == "front-door":
        case.path_parameters["id"] = "back-door"
