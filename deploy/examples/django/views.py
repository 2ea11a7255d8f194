"""A page that plays a camera, and the request that renews its playback session."""

import logging
from functools import cache

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_GET, require_POST

from .stream_manager import StreamManager, StreamManagerError

log = logging.getLogger(__name__)


@cache
def manager() -> StreamManager:
    config = settings.STREAM_MANAGER
    return StreamManager(
        config["BASE_URL"], config["API_KEY"], config["PUBLIC_URL"], config.get("PRIVATE_KEY")
    )


def may_watch(user, camera_id: str) -> bool:
    """Returns whether the user can watch the camera. Replace this rule with your own."""
    return user.is_staff


# Keeps the URL with its token out of Django's error reports, which show local variables.
@sensitive_variables()
def hls_url(request: HttpRequest, camera_id: str) -> str:
    if not may_watch(request.user, camera_id):
        raise PermissionDenied
    ttl = settings.STREAM_MANAGER["PLAYBACK_TTL"]
    return manager().playback_url(str(request.user.pk), camera_id, ttl).hls_url


def status_of(error: StreamManagerError) -> int:
    log.warning("%s", error)
    return 404 if error.code == "unknown_camera" else 503


@never_cache
@login_required
@require_GET
def show(request: HttpRequest, camera_id: str) -> HttpResponse:
    context = {"camera_id": camera_id, "hls_url": None}
    status = 200
    try:
        context["hls_url"] = hls_url(request, camera_id)
    except StreamManagerError as error:
        status = status_of(error)
    return render(request, "camera.html", context, status=status)


@never_cache
@login_required
@require_POST
def renew(request: HttpRequest, camera_id: str) -> JsonResponse:
    try:
        return JsonResponse({"hls_url": hls_url(request, camera_id)})
    except StreamManagerError as error:
        return JsonResponse({"error": "the camera cannot be played"}, status=status_of(error))
