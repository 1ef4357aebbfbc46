from django.urls import path

from polls import errors, services
from polls.api import owner_views, views

urlpatterns = [
    path("limits/", views.LimitsView.as_view(), name="limits"),
    path("voters/", views.VotersView.as_view(), name="voters"),
    path("polls/", views.PollListView.as_view(), name="polls"),
    path("polls/<str:ref>/", views.PollView.as_view(), name="poll"),
    path("polls/<str:ref>/votes/", views.VotesView.as_view(), name="votes"),
    path("polls/<str:ref>/votes/me/", views.MyVoteView.as_view(), name="my-vote"),
    path("polls/<str:ref>/clone/", owner_views.CloneView.as_view(), name="poll-clone"),
    path("polls/<str:ref>/rotate-key/", owner_views.RotateKeyView.as_view(), name="rotate-key"),
    path("polls/<str:ref>/corrections/", owner_views.CorrectionsView.as_view(), name="corrections"),
    path("polls/<str:ref>/voter-codes/", owner_views.VoterCodesView.as_view(), name="voter-codes"),
    path(
        "polls/<str:ref>/voter-codes/revoke/",
        owner_views.RevokeCodesView.as_view(),
        name="voter-codes-revoke",
    ),
    path("polls/<str:ref>/results/", views.ResultsView.as_view(), name="results"),
    path("polls/<str:ref>/timeline/", views.TimelineView.as_view(), name="timeline"),
]

for name, act, summary, refuses in (
    ("open", services.open_poll, "Open the poll, again if it was closed", ()),
    ("pause", services.pause_poll, "Stop taking votes for now",
     (errors.PollNotOpen, errors.PollClosed)),
    ("close", services.close_poll, "Close the poll", ()),
    ("reset", services.reset_poll, "Start again with an empty tally, a new epoch", ()),
):  # fmt: skip
    view = views.act_view(name, act, summary, *refuses)
    urlpatterns.append(path(f"polls/<str:ref>/{name}/", view.as_view(), name=f"poll-{name}"))
