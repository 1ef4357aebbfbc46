// Every kind of poll keeps to the protocol that the pages speak with it.

import { drawFrame, element } from "./page.mjs";
import assert from "node:assert/strict";
import { describe, it, mock } from "node:test";

import { poll as fruit, samples } from "./polls.mjs";

const js = "../../web/static/web/js";
const { ballotParts, protocol, resultsParts } = await import(`${js}/kinds/protocol.js`);
const { hasPages, kindNames, kindOfPage, loadKind, stayWithKind } = await import(`${js}/kinds/registry.js`);

const typeOf = (value) => (Array.isArray(value) ? "array" : typeof value);

function has(parts, made) {
  for (const [name, type] of Object.entries(parts)) {
    assert.equal(typeOf(made[name]), type, `${name} is a ${type}`);
  }
}

const inFront = ["In front: Pear, ", "Final result: Pear, "];

const isText = (text) => typeof text === "string" && text.trim() !== "" && !text.includes("%(");

describe("the registry", () => {
  it("has a sample for every kind", () => {
    assert.deepEqual(kindNames.toSorted(), Object.keys(samples).sort(), "see tests/js/polls.mjs");
  });

  it("knows which polls the pages can show", () => {
    for (const kind of kindNames) assert.ok(hasPages({ kind }));
    for (const kind of ["", "toString", undefined]) assert.ok(!hasPages({ kind }));
  });

  it("gives a page the kind of its poll, and starts it again when the poll has another", async () => {
    for (const name of kindNames) {
      document.body.dataset.kind = name;
      const kind = await kindOfPage();
      assert.equal(kind.name, name);
      const reload = mock.method(location, "reload", () => {});
      for (const other of kindNames) stayWithKind(kind, { kind: other });
      assert.equal(reload.mock.callCount(), kindNames.length - 1);
      mock.restoreAll();
    }
  });
});

for (const name of kindNames) {
  describe(`a ${name} poll`, async () => {
    const kind = await loadKind(name);
    const { vote, lines, empty, results, poll = fruit, standing = inFront } = samples[name];
    const places = () => ({ drawing: element(), steps: element() });

    it("says everything that the protocol asks for", () => {
      has(protocol, kind);
      assert.equal(kind.name, name);
    });

    it("makes a ballot that is incomplete, says what is missing, and shows a vote again", () => {
      const ballot = kind.ballot(poll, () => assert.fail("nobody has touched it"));
      has(ballotParts, ballot);
      assert.equal(ballot.value(), null);
      assert.ok(isText(ballot.hint));
      assert.ok(ballot.element.textContent.includes(ballot.hint));
      const again = kind.ballot(poll, () => {});
      again.set(vote);
      assert.deepEqual(again.value(), vote);
    });

    it("has ballots that know nothing of each other", () => {
      const [one, other] = [kind.ballot(poll, () => {}), kind.ballot(poll, () => {})];
      one.set(vote);
      assert.equal(other.value(), null);
    });

    it("says a recorded vote in words, and one of an option that is gone", () => {
      assert.deepEqual(kind.voteLines(poll, vote), lines);
      const left = { ...poll, options: poll.options.slice(0, 1) };
      assert.equal(kind.voteLines(left, vote).length, lines.length);
      assert.ok(kind.voteLines(left, vote).every(isText));
      assert.deepEqual(kind.voteLines(poll, {}), []);
    });

    it("draws results into the place that it is given, and as a table", () => {
      const { drawing, steps } = places();
      const drawn = kind.results({ drawing, steps }, () => {});
      has(resultsParts, drawn);
      for (const given of [empty, results, { ...results, final: true }]) {
        drawn.update(poll, given);
        drawFrame();
        assert.ok(isText(drawing.textContent));
        assert.ok(isText(drawn.table().textContent));
      }
      drawn.sort(true);
      drawn.step(-1);
      drawn.step(1);
      drawFrame();
    });

    it("draws only the newest of the results that came between two frames", () => {
      const { drawing, steps } = places();
      const drawn = kind.results({ drawing, steps }, () => {});
      drawn.update(poll, results);
      drawn.update(poll, empty);
      drawFrame();
      const fresh = places();
      kind.results(fresh, () => {}).update(poll, empty);
      drawFrame();
      assert.equal(drawing.textContent, fresh.drawing.textContent);
    });

    it("says how it stands in one sentence, also while nobody has voted", () => {
      assert.equal(kind.summary(poll, empty), "0 voters");
      const sentences = [results, { ...results, final: true }].map((given) => kind.summary(poll, given));
      sentences.forEach((text, n) => assert.ok(isText(text) && text.startsWith(standing[n]), text));
      assert.match(sentences[0], /\. \d+ voters\.$/);
    });

    it("gives a small picture no more than it has room for", () => {
      for (const most of [0, 1, 2, 50]) {
        const leading = kind.leading(poll, results, most);
        assert.ok(leading.length <= most);
        for (const row of leading) {
          has({ hue: "string", text: "string", share: "number", main: "string" }, row);
          assert.ok(row.share >= 0 && row.share <= 1);
        }
      }
    });

    it("says what a request for such a poll has, and what it lacks", () => {
      const form = (options) => ({ options: () => options, value: () => "" });
      const settings = kind.settings(form(["A", "B"]));
      assert.deepEqual(kind.problems(settings), []);
      for (const { field, detail } of kind.problems(kind.settings(form([])))) {
        assert.ok(isText(field) && isText(detail));
      }
    });

    it("shows a ballot of a poll that is still being written", () => {
      for (const options of [[], ["A"], ["A", "B", "C"]]) {
        const settings = kind.settings({ options: () => options, value: () => "" });
        assert.ok(isText(kind.ballot(kind.sample(settings), () => {}).element.textContent));
      }
    });
  });
}
