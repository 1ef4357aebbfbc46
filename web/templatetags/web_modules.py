"""Preloads for ES modules, so that a page's modules come in one go and not one after another."""

from django import template
from django.templatetags.static import static
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

register = template.Library()


@register.simple_tag
def module_preloads(names: str) -> SafeString:
    """`names`: modules of web/js without their ending, separated by spaces."""
    return format_html_join(
        "",
        '<link rel="modulepreload" href="{}">',
        ((static(f"web/js/{name}.js"),) for name in names.split()),
    )
