"""The admin: staff look at polls and voter codes, and change nothing.

Promises that no page shows a tally, a vote, a voter or a key, even of a poll with public
results, and that no request writes anything of a poll: that is for `services` alone.
Mounted at /admin/ by the setting ADMIN.
"""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from polls.models import Option, OptionCorrection, Poll, VoterCode
from polls.selectors import state_of


class StaffSite(admin.AdminSite):
    """Django's admin without its accounts: every member of staff sees all registered models."""

    site_header = site_title = "livepoll"
    index_title = "Polls and voter codes, to read"
    final_catch_all_view = False  # it would take paths without their trailing slash for itself


site = StaffSite()


class ReadOnly:
    """Every member of staff may look; no account may write, superusers included."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return True

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReadOnlyPages(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg] # not at run time
    """List and page of a model; a list can be filtered by what `list_filter` names only."""

    actions = None
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # they would count every poll on every page

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Refuse what Django allows: `?owner_key_hash__startswith=…` would reveal a key's hash
        letter by letter, `?version__gt=…` a hidden tally."""
        field, _, how = lookup.partition("__")
        return field in self.list_filter and how == "exact"


class OptionInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg] # not at run time
    model = Option
    fields = ("position", "number", "text", "is_retired")


class CorrectionInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg] # not at run time
    model = OptionCorrection
    fields = ("number", "old_text", "new_text", "corrected_at")  # `version` counts votes


@admin.register(Poll, site=site)
class PollAdmin(ReadOnlyPages):
    """A poll's question, rules and life, without its tally."""

    list_display = (
        "code", "question", "kind", "status", "voter_policy", "results_visibility", "listed",
        "owner", "created_at",
    )  # fmt: skip
    list_filter = ("kind", "voter_policy", "results_visibility", "listed")
    list_select_related = ("owner",)
    search_fields = ("=code", "question")
    ordering = ("-created_at", "-id")
    fields = (
        "id", "code", "question", "description", "kind", "status", "owner", "created_at",
        "min_choices", "max_choices", "voter_policy", "vote_change", "results_visibility",
        "min_voters", "listed", "embed_origins", "opens_at", "closes_at", "duration",
        "paused_at", "closed_at", "epoch", "voter_codes",
    )  # fmt: skip
    readonly_fields = ("id", "status", "voter_codes")
    inlines = (OptionInline, CorrectionInline)

    def view_on_site(self, obj: Poll) -> str:
        """The big screen, which shows what every client may see."""
        return f"/p/{obj.code}/live/"

    @admin.display(description="status")
    def status(self, poll: Poll) -> str:
        return state_of(poll).status_at(timezone.now()).value

    @admin.display(description="voter codes")
    def voter_codes(self, poll: Poll) -> SafeString:
        return format_html(
            '<a href="{}?q={}">{} made, {} revoked</a>',
            reverse("admin:polls_votercode_changelist"),
            poll.code,
            poll.voter_codes.count(),
            poll.voter_codes.filter(revoked_at__isnull=False).count(),
        )


@admin.register(VoterCode, site=site)
class VoterCodeAdmin(ReadOnlyPages):
    """Voter codes by number: not the code, which is not stored, nor whether it was used."""

    list_display = ("number", "poll", "state", "created_at")
    list_select_related = ("poll",)
    search_fields = ("=poll__code",)
    search_help_text = "The join code of a poll"
    ordering = ("poll_id", "number")
    fields = ("poll", "number", "state", "created_at", "revoked_at")
    readonly_fields = ("state",)

    @admin.display(description="state")
    def state(self, code: VoterCode) -> str:
        return "valid" if code.revoked_at is None else "revoked"
