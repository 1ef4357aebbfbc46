// The server cannot answer now: ask it now and then, and load this page again once it can.

import "./page_frame.js";
import { comeBack } from "./outage.js";

comeBack(() => location.reload());
