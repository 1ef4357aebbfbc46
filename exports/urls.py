from django.urls import path

from exports import views

urlpatterns = [
    path("results.csv", views.ResultsCSVView.as_view(), name="export-results-csv"),
    path("votes.csv", views.VotesCSVView.as_view(), name="export-votes-csv"),
    path("report.pdf", views.ReportView.as_view(), name="export-report"),
]
