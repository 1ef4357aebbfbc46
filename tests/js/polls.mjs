// Polls and results as the API sends them.

export const poll = {
  question: "Which fruit?", min_choices: 1, max_choices: 2,
  options: [{ id: 1, text: "Apple" }, { id: 2, text: "Pear" }, { id: 3, text: "Plum" }],
};

// Of voters who chose one option each.
export const tally = (counts, more = {}) => {
  const votes = Object.values(counts).reduce((sum, count) => sum + count, 0);
  return { counts, votes, voters: votes, final: false, ...more };
};

export const nobody = tally({ 1: 0, 2: 0, 3: 0 });

// What each kind is tried with: a complete vote, what it says, results without a vote, and results
// that Pear leads. Where that does not fit, a sample brings a `poll` of its own, and `standing`:
// what the sentence about its results begins with, before the close and after.
export const samples = {
  single: {
    vote: { choices: [2] }, lines: ["Pear"], empty: nobody,
    results: tally({ 1: 1, 2: 2, 3: 0 }),
  },
  multiple: {
    vote: { choices: [1, 2] }, lines: ["Apple", "Pear"], empty: nobody,
    results: { ...tally({ 1: 1, 2: 2, 3: 0 }), voters: 2 },
  },
  ranked: {
    vote: { choices: [2, 1] }, lines: ["1. Pear", "2. Apple"],
    empty: { ...nobody, rounds: [{ counts: nobody.counts, eliminated: null, exhausted: 0 }], winner: null },
    results: tally({ 1: 2, 2: 2, 3: 1 }, {
      winner: 2,
      rounds: [
        { counts: { 1: 2, 2: 2, 3: 1 }, eliminated: 3, exhausted: 0 },
        { counts: { 1: 2, 2: 3 }, eliminated: null, exhausted: 0 },
      ],
    }),
  },
  rating: {
    vote: { ratings: { 1: 2, 2: 5 } }, lines: ["Apple: 2 of 5", "Pear: 5 of 5"],
    empty: { ...nobody, means: { 1: null, 2: null, 3: null }, distribution: {} },
    results: {
      ...tally({ 1: 2, 2: 1, 3: 0 }), voters: 2,
      means: { 1: 2.5, 2: 5, 3: null },
      distribution: { 1: [0, 1, 1, 0, 0], 2: [0, 0, 0, 0, 1], 3: [0, 0, 0, 0, 0] },
    },
  },
};
