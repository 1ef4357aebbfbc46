from django.urls import path

from bench.plain.views import Health, Page, PollDetail, Polls, Results, Votes

urlpatterns = [
    path("healthz", Health.as_view()),
    path("api/v1/polls/", Polls.as_view()),
    path("p/<uuid:poll_id>/", Page.as_view()),
    path("api/v1/polls/<uuid:poll_id>/", PollDetail.as_view()),
    path("api/v1/polls/<uuid:poll_id>/results/", Results.as_view()),
    path("api/v1/polls/<uuid:poll_id>/votes/", Votes.as_view()),
]
