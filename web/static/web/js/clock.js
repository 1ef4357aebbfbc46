// The server's clock, as near as this browser can know it: countdowns end when the server says.

let offsetMs = 0;

export function setServerTime(iso) {
  const server = Date.parse(iso);
  if (!Number.isNaN(server)) offsetMs = server - Date.now();
}

export const now = () => Date.now() + offsetMs;
