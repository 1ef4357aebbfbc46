// A server that answers as a test says, over fetch and over sockets; and time that passes when
// a test says so.

import { mock } from "node:test";

export class Server {
  constructor() {
    this.sockets = [];
    this.requests = [];
    this.answer = () => { throw new TypeError("no network"); };
    const server = this;
    class Socket {
      static OPEN = 1;

      constructor(url) {
        Object.assign(this, { url, readyState: 0, sent: [], at: Date.now() });
        if (server.refuses) throw new Error("no sockets here");
        server.sockets.push(this);
      }

      send(text) { this.sent.push(JSON.parse(text)); }

      close() { this.readyState = 3; }

      // The server's side of it.
      hears(frame) {
        this.readyState = 1;
        this.onmessage?.({ data: JSON.stringify(frame) });
      }

      breaks(code) {
        this.readyState = 3;
        this.onclose?.({ code });
      }
    }
    mock.method(globalThis, "fetch", async (address, request) => {
      const asked = { ...request, address, body: request.body && JSON.parse(request.body) };
      this.requests.push(asked);
      return this.answer(asked);
    });
    Object.defineProperty(globalThis, "WebSocket", { value: Socket, configurable: true, writable: true });
    mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"], now: 1_000_000 });
  }

  get socket() { return this.sockets.at(-1); }
}

export const json = (status, body, headers = {}) => new Response(JSON.stringify(body), {
  status, headers: { "Content-Type": "application/json", ...headers },
});

// Until all that has been promised has happened; no time passes.
export async function settle() {
  for (let n = 0; n < 20; n += 1) await new Promise(setImmediate);
}

export async function pass(milliseconds) {
  mock.timers.tick(milliseconds);
  await settle();
}

// The chances that scripts take by Math.random, all of them this one; from 0 to almost 1.
export const chance = (value) => mock.method(Math, "random", () => value);
