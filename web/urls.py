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
    # Under this path since the first release: pages that are open ask for it after an update too.
    path("words/<str:page>/<str:language>.js", views.messages, name="messages"),
]
