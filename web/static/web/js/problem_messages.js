// The server's refusals in the page's language, by their code; of a code that is not known here
// the server's own text.

import { gettext } from "./i18n.js";

const problems = () => ({
  rate_limited: gettext("That was too fast. Please wait a moment."),
  overloaded: gettext("The server is very busy. Please try again in a moment."),
  server_error: gettext("Something broke on the server. Please try again."),
  poll_not_found: gettext("There is no such poll."),
  poll_closed: gettext("The poll closed before your vote arrived. It was not counted."),
  poll_not_open: gettext("Voting is not open just now. Your vote was not counted."),
  already_voted: gettext("There is a vote by this code or from this network already."),
  poll_has_votes: gettext("Votes have been cast, so only the wording may still be corrected."),
  vote_change_off: gettext("This poll does not allow a vote to be changed or taken back."),
  invalid_voter_code: gettext("This voter code is not valid, or it has been used."),
  voter_required: gettext("You need to sign in to vote in this poll."),
  invalid_token: gettext("Your voter token is no longer valid. Please vote again."),
  invalid_credentials: gettext("This name and password do not go together."),
  owner_required: gettext("Only the owner may do this."),
  not_owner: gettext("This key does not open this poll."),
  not_supported: gettext("This server does not offer that yet."),
});

export const problemMessage = (body) =>
  problems()[body.code] ?? (body.detail || body.title || gettext("Something went wrong."));
