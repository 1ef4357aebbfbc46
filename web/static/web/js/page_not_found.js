// A wrong address: the join form is all it needs.

import "./page_frame.js";
