// The part of the public API that only makers and owners of polls call.

import { bearer, request } from "./api.js";

export const getLimits = async () => (await request("GET", "limits/")).body;
export const createPoll = async (poll, access = null) =>
  (await request("POST", "polls/", { body: poll, headers: bearer(access) })).body;
export const patchPoll = async (id, key, changes) =>
  (await request("PATCH", `polls/${id}/`, { headers: bearer(key), body: changes })).body;
export const deletePoll = (id, key) => request("DELETE", `polls/${id}/`, { headers: bearer(key) });
export const act = async (id, key, verb, body = {}) =>
  (await request("POST", `polls/${id}/${verb}/`, { headers: bearer(key), body })).body;
export const getOwned = async (id, key, what) =>
  (await request("GET", `polls/${id}/${what}/`, { headers: bearer(key) })).body;
// A page of what is listed by cursor; `next` is that of the page before.
export const pageOfOwned = async (id, key, what, next = null) =>
  (await request("GET", `polls/${id}/${what}/${next ? new URL(next, location.href).search : ""}`, { headers: bearer(key) })).body;
export const textOf = async (path, key, body, type) =>
  (await request("POST", path, { body, headers: { ...bearer(key), Accept: type } })).text;
export const fileOf = async (path, key) =>
  (await request("GET", path, { headers: { ...bearer(key), Accept: "*/*" }, timeoutMs: 60000 })).blob;
