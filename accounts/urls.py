from django.urls import path

from accounts import views

urlpatterns = [
    path("", views.AccountsView.as_view(), name="accounts"),
    path("me/", views.MeView.as_view(), name="account-me"),
    path("token/", views.TokenView.as_view(), name="account-token"),
    path("token/refresh/", views.RefreshView.as_view(), name="account-refresh"),
]
