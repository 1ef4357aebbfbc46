"""Texts of the scripts' catalogue for what a template shows before any script runs: one translation
of each, so that nothing changes when the script takes over."""

import re
from functools import cache

from django.utils.formats import number_format
from django.utils.translation import get_language
from django.utils.translation.trans_real import DjangoTranslation

from web.modules import source

_PROBLEM = re.compile(r'^  (\w+): gettext\("([^"]+)"\)', re.MULTILINE)


@cache
def _catalogue(language: str) -> DjangoTranslation:
    return DjangoTranslation(language, domain="djangojs")


def script_text(text: str) -> str:
    """A text in the active language, as `gettext` of the scripts gives it."""
    return _catalogue(get_language() or "en").gettext(text)


def script_plural(one: str, many: str, number: int) -> str:
    """The same as `ngettext` of the scripts."""
    return _catalogue(get_language() or "en").ngettext(one, many, number)


def choices_hint(least: int, most: int) -> str:
    """How many options a ballot may have, in the words of kinds/multiple.js."""
    if least == most:
        return script_plural("Choose %(n)s.", "Choose %(n)s.", most) % {"n": number_format(most)}
    numbers = {"least": number_format(least), "most": number_format(most)}
    return script_text("Choose %(least)s to %(most)s.") % numbers


@cache
def _problems() -> dict[str, str]:
    return dict(_PROBLEM.findall(source("problem_messages")))


def problem_text(code: str, detail: str) -> str:
    """What the pages say of a refusal; `detail`, the server's own text, of one they do not know."""
    text = _problems().get(code)
    return script_text(text) if text else detail
