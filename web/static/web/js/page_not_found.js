// A wrong address: the join form is all it needs.

import "./chrome.js";
