"""A page's ES modules as one: a phone asks for one script instead of twenty.

Each module becomes a function that runs when it is first asked for and whose value is an object of
its exports. `import { a, b as c } from "./x.js"` takes them out of that object, and
`import("./x.js")` is a promise of it: modules run in the order, at the moment and as often as a
browser runs them. The page's own module stands last, outside of a function, for it may await. Lines
that are comments are left out; the others stay lines, below the name of their module. A form that
is not known here is an error, never joined in another meaning; that each page's script is
JavaScript is tested with Node.
"""

import re
from collections.abc import Callable

from web.modules import IMPORT, LATER, may_run, source, target_of, without_comments

_PREFIX = "module_"
_ONCE = f"const {_PREFIX}once = (run) => {{ let made; return () => (made ??= run()); }};"
_DEFAULT = f"{_PREFIX}default"
_EXPORT = re.compile(
    r"^export (?:(?P<default>default (?!(?:async )?function\b|class\b))"
    r"|(?=(?:const|(?:async )?function|class) (?P<name>[\w$]+)))",
    re.MULTILINE,
)
_NAMED = re.compile(r"([\w$]+)(?: as ([\w$]+))?")
# What must not be left once the known forms are gone; the second outside of the page's own module.
_UNKNOWN = re.compile(r"^[ \t]*(?:import|export)\b.*|\bimport\s*[.(].*", re.MULTILINE)
_AWAITS = re.compile(r"^(?:(?:(?:const|let|var) [^=\n]*= )?await|for await)\b.*", re.MULTILINE)


class UnknownForm(ValueError):
    """A module has something that joining would change the meaning of."""


def join_modules(page_module: str, read: Callable[[str], str] = source) -> str:
    """The module of a page and all that it may run, as the text of one ES module.

    Raises:
        UnknownForm: of a module; says which, and what.
    """
    names = [name for name in may_run([page_module], read) if name != page_module]
    modules = {name: _Module(name, read(name)) for name in names}
    page = _Module(page_module, read(page_module), is_page=True)
    for module in (*modules.values(), page):
        module.check_imports(modules)
    _refuse_circles(modules)
    return "\n".join([_ONCE, *(module.as_function() for module in modules.values()), page.body])


class _Module:
    """A module with its forms replaced."""

    def __init__(self, name: str, text: str, *, is_page: bool = False) -> None:
        self.name = name
        self.imports: dict[str, set[str]] = {}
        self.later: set[str] = set()
        self.exports: dict[str, str] = {}
        if not text:
            raise UnknownForm(f"{name}: there is no such module")
        if _PREFIX in text:
            raise UnknownForm(f"{name}: names with {_PREFIX} are for joining")
        self._taken: list[str] = []
        text = without_comments(text)
        # Its lines may look like comments or forms.
        if any(line.count("`") % 2 for line in text.splitlines()):
            raise UnknownForm(f"{name}: a template literal of several lines")
        text = IMPORT.sub(self._take_import, text)
        text = LATER.sub(self._take_later, text)
        text = _EXPORT.sub(self._take_export, text)
        unknown = _UNKNOWN.search(text) or (None if is_page else _AWAITS.search(text))
        if unknown:
            raise UnknownForm(f"{name}: {unknown[0].strip()}")
        self.body = "\n".join([f"// {name}.js", *self._taken, text.strip()])

    def as_function(self) -> str:
        """The module as one that runs once, and whose value are its exports."""
        exports = ", ".join(
            exported if exported == local else f"{exported}: {local}"
            for exported, local in self.exports.items()
        )
        return (
            f"const {_variable(self.name)} = {_PREFIX}once(() => {{\n{self.body}\n"
            f"return {{ {exports} }};\n}});"
        )

    def check_imports(self, modules: dict[str, "_Module"]) -> None:
        for target, names in self.imports.items():
            if target not in modules:
                raise UnknownForm(f"{self.name}: imports the page's own module {target}")
            if missing := names - modules[target].exports.keys():
                raise UnknownForm(f"{self.name}: {target} does not export {sorted(missing)}")
        if unknown := self.later - modules.keys():
            raise UnknownForm(f"{self.name}: imports the page's own module {unknown}")

    def _take_import(self, match: re.Match[str]) -> str:
        target = target_of(self.name, match["path"])
        wanted = self.imports.setdefault(target, set())
        if match["names"] is None:
            self._taken.append(f"{_variable(target)}();")
        else:
            parts = []
            for one in filter(None, map(str.strip, match["names"].split(","))):
                named = _NAMED.fullmatch(one)
                if named is None:
                    raise UnknownForm(f"{self.name}: import of {one}")
                wanted.add(named[1])
                parts.append(f"{named[1]}: {named[2]}" if named[2] else named[1])
            self._taken.append(f"const {{ {', '.join(parts)} }} = {_variable(target)}();")
        return ""

    def _take_later(self, match: re.Match[str]) -> str:
        target = target_of(self.name, match["path"])
        self.later.add(target)
        return f"Promise.resolve().then({_variable(target)})"

    def _take_export(self, match: re.Match[str]) -> str:
        if match["default"]:
            self.exports["default"] = _DEFAULT
            return f"const {_DEFAULT} = "
        self.exports[match["name"]] = match["name"]
        return ""


def _variable(name: str) -> str:
    return _PREFIX + name.replace("/", "_")


def _refuse_circles(modules: dict[str, _Module]) -> None:
    waiting = {name: set(module.imports) for name, module in modules.items()}
    while free := [name for name, others in waiting.items() if not others & waiting.keys()]:
        for name in free:
            del waiting[name]
    if waiting:
        raise UnknownForm(f"{', '.join(waiting)}: they import each other in a circle")
