// Shows how fresh the page is: live, reading every few seconds, reconnecting, or old
// since when.

import { $, setText } from "./dom.js";
import { fill, gettext, timeOfDay } from "./i18n.js";

export function showConnection(element, feed) {
  const line = $(".connection-text", element);
  const render = () => {
    const since = feed.heardAt ? timeOfDay(feed.heardAt) : null;
    const text = {
      connecting: gettext("Connecting…"),
      live: gettext("Live"),
      polling: gettext("Updating every few seconds"),
      reconnecting: since
        ? fill(gettext("Reconnecting… as of %(time)s"), { time: since })
        : gettext("Reconnecting…"),
      offline: since ? fill(gettext("Offline, as of %(time)s"), { time: since }) : gettext("Offline"),
      gone: gettext("This poll is gone"),
    }[feed.state];
    element.dataset.state = feed.state;
    setText(line, text);
  };
  feed.addEventListener("state", render);
  render();
}
