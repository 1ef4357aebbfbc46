from django.conf import settings
from django.urls import include, path, re_path

from livepoll import doc_pages, problem_views

handler400 = "livepoll.problem_views.bad_request"
handler403 = "livepoll.problem_views.permission_denied"
handler404 = "livepoll.problem_views.not_found"
handler500 = "livepoll.problem_views.server_error"

urlpatterns = [
    path("api/v1/accounts/", include("accounts.urls")),
    path("api/v1/polls/<str:ref>/export/", include("exports.urls")),
    path("api/v1/", include("polls.api.urls")),
    path("api/schema/", doc_pages.schema, name="schema"),
    path("api/docs/", doc_pages.swagger, name="docs"),
    path("api/docs/errors/", doc_pages.error_list, name="errors"),
    path("api/docs/live/", doc_pages.live_protocol, name="live-protocol"),
    path("api/asyncapi.yaml", doc_pages.asyncapi, name="asyncapi"),
    # With the slash only, so that it does not hide what is there with one.
    re_path(r"^api/(?:.*/)?$", problem_views.api_not_found),
    path("", include("web.urls")),
]

if settings.ADMIN:
    from polls.admin import site

    urlpatterns.insert(0, path("admin/", site.urls))
