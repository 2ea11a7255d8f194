"""Changes to the generated requests that the OpenAPI document cannot express."""

import itertools

import schemathesis

numbers = itertools.count(1)

# Schemathesis does not know the types of WHEP's bodies, which are text.
for media_type in ("application/sdp", "application/trickle-ice-sdpfrag"):
    schemathesis.serializer.alias(media_type, "text/plain")


@schemathesis.hook
def before_call(context, case, kwargs):
    """Change a generated request before schemathesis sends it."""
    # Gives each request another client address. With the same address, the service would respond
    # with 429 instead of 401 after twenty requests with an invalid key.
    case.headers["X-Real-IP"] = f"fd00::{next(numbers):x}"
    # Makes searches short, because there is no device to find.
    if case.path == "/api/discovery" and isinstance(case.body, dict):
        case.body.setdefault("timeout_seconds", 0.1)
    # Deletes the camera back-door instead of front-door. Without front-door, most later responses
    # would be 404.
    if case.method == "DELETE" and case.path_parameters.get("id") == "front-door":
        case.path_parameters["id"] = "back-door"
