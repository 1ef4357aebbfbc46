"""Which address shows which page."""

from django.urls import path

from web import views

app_name = "web"

urlpatterns = [
    path("", views.start, name="start"),
    path("new/", views.new, name="new"),
    path("p/<str:code>/", views.vote, name="vote"),
    path("p/<str:code>/live/", views.live, name="live"),
    path("p/<str:code>/manage/", views.manage, name="manage"),
    path("p/<str:code>/qr.svg", views.qr, name="qr"),
    path("scripts/<slug:page>.<slug:language>.<slug:tag>.js", views.script, name="script"),
    path("styles/<slug:page>.<slug:tag>.css", views.style, name="style"),
]
