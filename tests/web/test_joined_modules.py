"""Joined modules do what they do one by one; what cannot be joined is refused."""

from pathlib import Path

import pytest

from tests.web.node import run_node
from web import page_files
from web.joined_modules import UnknownForm, join_modules

PAGES = list(page_files.SHEETS)
# Each says when it runs. All forms that are known, some as they stand in our modules.
KNOWN = {
    "page_x": """// The page.
import "./noisy.js";
import { PI as pi, area, Box } from "./shapes.js";
import {
  count,
  raise,
} from "./deep/counter.js";

console.log("page", pi, area(2), new Box(3).size, count());
const [kind] = await Promise.all([loadKind()]);
raise();
console.log(kind.name, kind.seen(), count());
const again = (await import("./deep/kind.js")).default;
console.log(again === kind, (await import("./late.js")).text());
await import("./broken.js").catch((error) => console.log("caught", error.message));

async function loadKind() {
  console.log("loading");
  return (await import("./deep/kind.js")).default;
}
""",
    "noisy": 'import { area } from "./shapes.js";\nconsole.log("noisy", area(1));\n',
    "shapes": """// Shapes.
console.log("shapes");
export const PI = 3;
export function area(r) { return PI * square(r); }
// A comment with import("./gone.js") and
// export * from "./gone.js";
export class Box {
  // export const inside = 1;
  constructor(size) { this.size = size; }
}
const square = (n) => n * n; // import { a } from "./gone.js";
""",
    "deep/counter": """import { area } from "../shapes.js";
let number = 0;
export const count = () => number;
export const raise = () => { number += area(1); };
export async function later() { return await number; }
""",
    "deep/kind": """import { count } from "./counter.js";
console.log("kind");
const kind = {
  name: "a `kind`",
  seen: () => count(),
};
export default kind;
""",
    "late": 'console.log("late");\nexport const text = () => `${typeof this} ${"//"} import`;\n',
    "broken": 'console.log("broken");\nthrow new Error("by itself");\n',
}


def joined(**modules: str) -> str:
    return join_modules("page_x", lambda name: modules.get(name.replace("/", "_"), ""))


def test_joined_modules_do_what_they_do_one_by_one(tmp_path: Path) -> None:
    for name, text in KNOWN.items():
        path = tmp_path / f"{name}.js"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "joined.mjs").write_text(join_modules("page_x", lambda name: KNOWN.get(name, "")))
    one_by_one = run_node(tmp_path / "page_x.js")
    assert one_by_one[0] == 0, one_by_one
    assert "true undefined // import\nbroken\ncaught by itself" in one_by_one[1]
    assert run_node(tmp_path / "joined.mjs") == one_by_one


@pytest.mark.parametrize(
    ("page", "other"),
    [
        ('import * as all from "./other.js";', "export const a = 1;"),
        ('import a from "./other.js";', "export default 1;"),
        ('import a, { b } from "./other.js";', "export const b = 1;"),
        ("import { a } from './other.js';", "export const a = 1;"),
        ('import { a } from "./other.js"', "export const a = 1;"),
        ('import { "a" as b } from "./other.js";', "export const a = 1;"),
        ('import { b } from "./other.js";', "export const a = 1, b = 2;"),
        ('import { a } from "./other.js";', "const a = 1;"),
        ('import { a } from "other.js";', "export const a = 1;"),
        ('import { a } from "./none.js";', ""),
        ('await import("./none.js");', ""),
        ('const name = "other";\nawait import(`./${name}.js`);', "export const a = 1;"),
        ("console.log(import.meta.url);", ""),
        ('import "./other.js";', "export let a = 1;"),
        ('import "./other.js";', "export var a = 1;"),
        ('import "./other.js";', "const a = 1;\nexport { a };"),
        ('import "./other.js";', "export const { a } = globalThis;"),
        ('import "./other.js";', "export function* a() {}"),
        ('import "./other.js";', "export default function a() {}"),
        ('import "./other.js";', "export default class A {}"),
        ('import "./other.js";', 'export * from "./third.js";'),
        ('import "./other.js";', 'export { a } from "./third.js";'),
        ('import "./other.js";', "  export const a = 1;"),
        ('import "./other.js";', "const a = await fetch(1);"),
        ('import "./other.js";', "export const a = await fetch(1);"),
        ('import "./other.js";', "await fetch(1);"),
        ('import "./other.js";', "for await (const a of b) a();"),
        ('import "./other.js";', "const a = `\n// not a comment\n`;"),
        ('import "./other.js";', "const module_a = 1;"),
        ('import "./other.js";', 'import "./page_x.js";'),
        ('import "./other.js";', 'const a = () => import("./page_x.js");'),
        ('import "./other.js";', 'import { b } from "./third.js";\nexport const a = 1;'),
    ],
)
def test_a_form_that_is_not_known_is_refused(page: str, other: str) -> None:
    third = 'import { a } from "./other.js";\nexport const b = a;'
    with pytest.raises(UnknownForm):
        joined(page_x=page, other=other, third=third)


def test_a_refusal_says_where_and_what() -> None:
    with pytest.raises(UnknownForm, match=r"^other: export let a = 1;$"):
        joined(page_x='import "./other.js";', other="export let a = 1;")


@pytest.mark.parametrize("page", PAGES)
def test_each_pages_script_is_javascript(page: str, tmp_path: Path) -> None:
    path = tmp_path / "page.mjs"
    path.write_text(page_files.script(page, "de").text)
    assert run_node("--check", path) == (0, "")
