"""Where the two files of a page are."""

from django import template

from web import page_files

register = template.Library()


@register.simple_tag
def page_script(page: str, language: str) -> str:
    """The address of a page's script."""
    return page_files.script(page, language).url


@register.simple_tag
def page_style(page: str) -> str:
    """The address of a page's style sheet."""
    return page_files.style(page).url
