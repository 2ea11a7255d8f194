from django.urls import path

from . import views

urlpatterns = [
    path("cameras/<slug:camera_id>/", views.show, name="camera"),
    path("cameras/<slug:camera_id>/renew/", views.renew, name="camera-renew"),
]
