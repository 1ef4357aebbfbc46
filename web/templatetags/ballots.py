"""What the templates of ballots need besides Django's own tags."""

from django import template

from web.script_texts import choices_hint, script_text

register = template.Library()
register.filter("script_text", script_text)
register.simple_tag(choices_hint)


@register.filter
def up_to(most: int) -> range:
    """1 to `most`."""
    return range(1, most + 1)
