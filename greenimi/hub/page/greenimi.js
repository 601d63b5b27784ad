/*
 * greenimi.js: a WebSocket client that comes back.  No dependency; for browsers and Node 22.
 *
 * As a script: <script src="/greenimi.js"></script>.  In a module: import "/greenimi.js".  Both leave the class globalThis.Greenimi.
 * What goes over the wire is specified in docs/client-protocol.md.  All times are in seconds.
 */
(() => {
  "use strict";

  const OWN = ["open", "restored", "lost", "closed", "gap", "error", "message"]; // events that no server can send
  const AWAY = [1001, 1005, 1006, 1011, 1012, 1013, 1014, 1015, 4408, 4429];
  const HURRY = 0.25; // until it comes back to a server that only restarts (1012)
  const CALLS = 1000; // that may be under way
  const GROUPS = 256; // whose positions are remembered

  /** Whether to connect again after this close code.  After any other it would only end in the same way. */
  const comesBack = (code) => AWAY.includes(code) || (code >= 4500 && code < 4600);

  const now = () => Date.now() / 1000;
  const later = (seconds, act) => setTimeout(act, seconds * 1000);
  const report = (error) => (globalThis.reportError ?? console.error)(error);

  /** What is done with done(error, result), as a promise. */
  const promised = (act) => new Promise((resolve, reject) => act((error, result) => (error ? reject(error) : resolve(result))));

  /** A place in a group as the server is told it. */
  const position = ({ offset, epoch }) => ({ offset, epoch });

  /** Why a call has no result.  status: the server's; 504 when no answer came in time, 0 when there is no connection, or none any more. */
  class GreenimiError extends Error {
    constructor(message, status = 0, details = {}) {
      super(message);
      this.name = "GreenimiError";
      this.status = status;
      this.details = details;
    }
  }

  class Greenimi {
    #url;
    #options;
    #socket = null;
    #listeners = new Map(); // name: Set of functions
    #calls = new Map(); // id: {done, timer, sent}
    #waiting = []; // {text, id}: sent once the connection is open
    #answers = new Map(); // action: function
    #groups = new Map(); // name: {offset, epoch, asking, replay, until}, see #isNext
    #token = null;
    #lastId = 0;
    #attempts = 0;
    #openedAt = 0;
    #heardAt = 0;
    #retry; // timer of the next attempt
    #watch; // timer of what the server has to do by then: let us in, or say something
    #page = null; // AbortController of the listeners to the page

    /** "connecting", "open", "waiting" (for the next attempt) or "closed". */
    state = "closed";
    /** The number of the connection, as text. */
    id = "";

    /**
     * Connects at once, and again whenever the connection is lost, until close().  Listeners added in the same turn miss nothing.
     *
     * @param {string} url  ws(s)://..., or a path of the page's own server: "/chat"
     * @param {object} [options]
     * @param {Storage} [options.storage]  sessionStorage: be the same client also after the page was loaded anew
     * @param {number} [options.timeout=10]  until a call, or an attempt to connect, has failed
     * @param {number} [options.answer=10]  until a server that is asked whether it is there is taken for gone
     * @param {number} [options.queue=0]  calls and messages that wait while there is no connection; beyond, they fail at once
     * @param {number} [options.buffer=1048576]  bytes that may wait to be sent; beyond, calls and messages fail at once
     * @param {number} [options.first=0.25]  the first attempt to come back is made within so long, doubled for each further one,
     * @param {number} [options.most=30]  up to this,
     * @param {number} [options.stable=10]  and begun anew after a connection that lasted so long
     * @param {string} [options.actionField="action"]  the server's action_field
     * @param {string} [options.idField="id"]  the server's id_field
     */
    constructor(url, options = {}) {
      const waits = { timeout: 10, answer: 10, first: 0.25, most: 30, stable: 10 };
      this.#options = { ...waits, queue: 0, buffer: 1 << 20, actionField: "action", idField: "id", ...options };
      this.#url = new URL(url, globalThis.location?.href);
      this.#url.protocol = this.#url.protocol.replace("http", "ws");
      this.#store((storage, key) => (this.#token = storage.getItem(key)));
      this.connect();
    }

    /** Connect now: after it was closed, or instead of waiting for the next attempt. */
    connect() {
      if (this.#socket) return;
      clearTimeout(this.#retry);
      this.#watchPage();
      this.state = "connecting";
      let socket;
      try {
        socket = this.#socket = new WebSocket(this.#url);
      } catch (error) {
        return this.#end(1006, String(error));
      }
      const mine = (act) => (event) => socket === this.#socket && act(event);
      socket.onopen = mine(() => this.#hello());
      socket.onmessage = mine((event) => this.#hear(event.data));
      socket.onclose = mine((event) => this.#end(event.code, event.reason));
      this.#watch = later(this.#options.timeout, () => this.#drop("not connected in time"));
    }

    /**
     * Have the server do something.
     *
     * @param {string} action
     * @param {object} [args]  its arguments by name
     * @param {number} [timeout]
     * @returns {Promise<any>} the result.  Rejects with a GreenimiError; after one of status 0 or 504 it may have been done all the same.
     */
    call(action, args = {}, timeout = this.#options.timeout) {
      return promised((done) => this.#request(action, args, done, timeout));
    }

    /**
     * Tell the server something without wanting an answer.
     *
     * @returns {boolean} false: it will not be sent, as there is no connection, or too much waits already
     */
    send(action, args = {}) {
      const text = JSON.stringify({ ...args, [this.#options.actionField]: action });
      return this.state === "open" ? this.#write(text) : this.#wait({ text });
    }

    /**
     * Hear of something.
     *
     * - "open" ({id, restored, recovered, again}): ready for calls.  again: it was open before; recovered: groups with what became of them
     * - "restored" (the same), besides: the server knew this client again, with its data, user and groups
     * - "lost" ({code, reason, delay, attempt}): no connection; the next attempt is made in so many seconds
     * - "closed" ({code, reason}): no further attempt will be made
     * - "gap" (group): messages of this group are lost
     * - "error" (GreenimiError): something that wanted no answer failed
     * - NAME (data, {event, group, offset}): the server's event of this name
     * - "message" (data, {event, group, offset}): what has no name, and events that nobody listens to
     *
     * @returns {() => void} a function that ends it
     */
    on(name, listener) {
      if (!this.#listeners.has(name)) this.#listeners.set(name, new Set());
      this.#listeners.get(name).add(listener);
      return () => this.#listeners.get(name).delete(listener);
    }

    /**
     * Answer requests of the server.
     *
     * @param {string} action
     * @param {(message: object) => any} answer  gives the result, or a promise of it; its errors are told to the server
     */
    answer(action, answer) {
      this.#answers.set(action, answer);
    }

    /**
     * Ask for what was missed of a group since a position that the application kept; it is asked for by itself what this client knows.
     * The messages come as events.
     *
     * @param {{offset: number, epoch: string}} position
     * @returns {Promise<{recovered: boolean, offset: number, epoch: string, missed: number}>}
     */
    recover(group, position) {
      return promised((done) => this.#ask(group, position, done));
    }

    /** Where this client is in a group with history, {offset, epoch}; undefined: nothing is known. */
    position(group) {
      return this.#groups.has(group) ? position(this.#groups.get(group)) : undefined;
    }

    /** Forget the position in a group: it was left. */
    forget(group) {
      this.#groups.delete(group);
    }

    /** Leave for good; the server keeps nothing for this client.  connect() would make another one of it. */
    close(code = 1000, reason = "") {
      const socket = this.#socket;
      this.send("$bye");
      this.#keep(null);
      this.#groups.clear();
      this.#end(code, reason, true);
      socket?.close(code, reason);
    }

    // -- the connection -----------------------------------------------------------------------------------------------
    #hello() {
      const positions = {};
      for (const [group, place] of this.#groups) {
        positions[group] = position(place);
        Object.assign(place, { asking: true, replay: 0 });
      }
      const socket = this.#socket;
      const greeted = (error, answer) => {
        if (socket !== this.#socket) return;
        if (!error || error.status === 404) return this.#opened(Object(answer)); // nothing in it: the server keeps nobody
        if (error.status >= 400 && error.status < 500) this.#keep(null); // what it knows of us does not fit any more
        this.#drop(error.message);
      };
      this.#request("$hello", { ...(this.#token && { token: this.#token }), positions }, greeted);
    }

    #opened({ id = "", token = null, ping = 0, restored = false, recovered = {}, positions = {} }) {
      const told = { id, restored, recovered, again: this.#openedAt > 0 };
      this.id = id;
      this.state = "open";
      this.#openedAt = now();
      this.#keep(token);
      clearTimeout(this.#watch);
      if (ping > 0) this.#beat(ping);
      for (const place of this.#groups.values()) place.asking = false;
      for (const [group, answer] of Object.entries(recovered)) this.#recovered(group, answer);
      for (const [group, place] of Object.entries(positions)) this.#joined(group, place);
      for (const { text, id } of this.#waiting.splice(0)) {
        if (this.#calls.has(id)) this.#calls.get(id).sent = true;
        this.#write(text);
      }
      this.#emit("open", told);
      if (restored) this.#emit("restored", told);
    }

    /** Where a connection ends, whoever ended it. */
    #end(code, reason, forGood = !comesBack(code)) {
      if (this.state === "closed") return;
      const { first, most, stable } = this.#options;
      const wasOpen = this.state === "open";
      this.#socket = null;
      clearTimeout(this.#watch);
      clearTimeout(this.#retry);
      this.state = forGood ? "closed" : "waiting";
      for (const [id, call] of this.#calls) {
        if (call.sent || forGood) this.#settle(id, new GreenimiError("the connection is lost"));
      }
      if (forGood) {
        this.#waiting = [];
        this.#page?.abort();
        this.#page = null;
        return this.#emit("closed", { code, reason });
      }
      if (wasOpen && now() - this.#openedAt >= stable) this.#attempts = 0;
      const hurry = wasOpen && code === 1012 && this.#attempts < 4; // more often it is no restart
      const delay = Math.random() * Math.min(most, hurry ? HURRY : first * 2 ** this.#attempts);
      this.#attempts = Math.min(this.#attempts + 1, 30);
      this.#retry = later(delay, () => this.connect());
      this.#emit("lost", { code, reason, delay, attempt: this.#attempts });
    }

    /** Give the connection up, without waiting for what becomes of its socket. */
    #drop(reason) {
      const socket = this.#socket;
      this.#end(1006, reason);
      socket?.close();
    }

    #keep(token) {
      this.#token = token;
      this.#store((storage, key) => (token ? storage.setItem(key, token) : storage.removeItem(key)));
    }

    #store(act) {
      const { storage } = this.#options;
      try {
        if (storage) act(storage, `greenimi:${this.#url}`);
      } catch (error) { // full, or forbidden by the user: then a loaded page is a new client
        this.#emit("error", error);
      }
    }

    /** Look whether the server is there once it was silent for so many seconds. */
    #beat(seconds) {
      const left = seconds - Math.max(0, now() - this.#heardAt);
      if (left > 0) this.#watch = later(left, () => this.#beat(seconds));
      else this.#probe(() => this.#beat(seconds));
    }

    /** Whatever is heard from now on tells that the server is there. */
    #probe(alive = () => {}) {
      const [socket, asked] = [this.#socket, now()];
      const answered = () => {
        if (socket !== this.#socket) return;
        if (this.#heardAt < asked) this.#drop("the server does not answer");
        else alive();
      };
      this.#request("$ping", {}, answered, this.#options.answer);
    }

    /** Somebody looks at the page again, or the network is back: time to connect, or to see whether the connection still is one. */
    #watchPage() {
      if (this.#page || !globalThis.addEventListener) return;
      this.#page = new AbortController();
      const wake = () => {
        if (globalThis.document?.visibilityState === "hidden") return;
        if (this.state === "waiting") this.connect();
        else if (this.state === "open") this.#probe();
      };
      for (const [source, event] of [[globalThis, "online"], [globalThis.document, "visibilitychange"]]) {
        source?.addEventListener(event, wake, { signal: this.#page.signal });
      }
    }

    // -- messages -----------------------------------------------------------------------------------------------------
    #write(text) {
      if (this.#socket.bufferedAmount > this.#options.buffer) return false;
      this.#socket.send(text);
      return true;
    }

    #wait(message) {
      return this.state !== "closed" && this.#waiting.length < this.#options.queue && this.#waiting.push(message) > 0;
    }

    /** done(error, result) is called once, for an answer before the next message is looked at. */
    #request(action, args, done, timeout = this.#options.timeout) {
      const { actionField, idField } = this.#options;
      const id = ++this.#lastId;
      const text = JSON.stringify({ ...args, [actionField]: action, [idField]: id });
      const sent = this.state === "open" || action === "$hello";
      if (this.#calls.size >= CALLS) return done(new GreenimiError("too many calls are under way"));
      const taken = sent ? this.#write(text) : this.#wait({ text, id });
      if (!taken) return done(new GreenimiError(sent ? "too much waits to be sent" : "not connected"));
      const late = () => {
        this.#waiting = this.#waiting.filter((message) => message.id !== id);
        this.#settle(id, new GreenimiError(`no answer to ${action} within ${timeout} s`, 504));
      };
      this.#calls.set(id, { done, sent, timer: later(timeout, late) });
    }

    #settle(id, error, result) {
      const { done, timer } = this.#calls.get(id);
      this.#calls.delete(id);
      clearTimeout(timer);
      done(error, result);
    }

    #hear(text) {
      this.#heardAt = now();
      let message;
      try {
        message = JSON.parse(text);
      } catch {
        return this.#emit("error", new GreenimiError("the server sent what is no JSON"));
      }
      const { actionField, idField } = this.#options;
      const { [idField]: id, [actionField]: action, result, error, event, data, group, offset } = Object(message);
      const failed = error && new GreenimiError(error.message, error.code, error);
      if (id !== undefined && (result !== undefined || error)) {
        if (this.#calls.has(id)) this.#settle(id, failed, result); // else it was not waited for any longer
      } else if (typeof id === "string" && typeof action === "string") {
        this.#reply(id, action, message);
      } else if (event === "$position") {
        this.#joined(group, data);
      } else if (typeof group === "string" && Number.isSafeInteger(offset)) {
        if (this.#isNext(group, offset) && data !== undefined) this.#tell(event, data, { event, group, offset });
      } else if (typeof event === "string" && data !== undefined) {
        this.#tell(event, data, { event, group });
      } else if (error) {
        this.#emit("error", failed);
      } else {
        this.#tell("message", message, {});
      }
    }

    async #reply(id, action, message) {
      const socket = this.#socket;
      const head = { [this.#options.idField]: id };
      let text;
      try {
        if (!this.#answers.has(action)) throw new GreenimiError(`this client knows no ${action}`, 404);
        text = JSON.stringify({ ...head, result: (await this.#answers.get(action)(message)) ?? null });
      } catch (error) {
        text = JSON.stringify({ ...head, error: { code: error?.status || 500, message: String(error?.message ?? error) } });
      }
      if (socket === this.#socket) this.#write(text);
    }

    #tell(event, data, about) {
      const named = this.#listeners.get(event)?.size && !OWN.includes(event);
      this.#emit(named ? event : "message", data, about);
    }

    #emit(name, ...values) {
      for (const listener of [...(this.#listeners.get(name) ?? [])]) {
        try {
          listener(...values)?.catch?.(report);
        } catch (error) {
          report(error);
        }
      }
    }

    // -- groups with history ------------------------------------------------------------------------------------------
    /**
     * Whether a message of a group is the one to be told now.  What was heard already is not; nor is what comes behind a hole: the server
     * is asked for all behind the last one, and until it answered nothing else is told.
     *
     * asking: an answer is on its way.  replay: so many messages, up to the offset until, are those that it promised: some came before, and
     * what is not among them is not for us.
     */
    #isNext(group, offset) {
      const place = this.#groups.get(group);
      if (!place?.epoch) { // the server has not said yet where we are
        this.#place(group, { offset, epoch: "" });
        return true;
      }
      const replayed = place.replay > 0;
      if (replayed) place.replay = offset < place.until ? place.replay - 1 : 0;
      if (offset === place.offset + 1 || (replayed && offset > place.offset)) {
        place.offset = offset;
        return true;
      }
      if (!place.asking && !replayed) this.#ask(group); // a hole, or the offsets have begun anew
      return false;
    }

    #place(group, { offset, epoch }) {
      this.#groups.delete(group);
      if (this.#groups.size >= GROUPS) this.#groups.delete(this.#groups.keys().next().value);
      const place = { offset, epoch, asking: false, replay: 0, until: 0 };
      this.#groups.set(group, place);
      return place;
    }

    #ask(group, from = this.#groups.get(group), done = () => {}) {
      const place = this.#place(group, from);
      place.asking = true;
      this.#request("$recover", { group, ...position(place) }, (error, answer) => {
        if (error) place.asking = false;
        else this.#recovered(group, answer);
        done(error, answer);
      });
    }

    /** Where the server goes on, after as many messages as were missed. */
    #recovered(group, { recovered, offset, epoch, missed }) {
      const known = this.#groups.get(group);
      const place = recovered && known ? known : this.#place(group, { offset: offset - missed, epoch });
      Object.assign(place, { epoch, asking: false, replay: missed, until: offset });
      if (!recovered) this.#emit("gap", group);
    }

    /** A group was joined, or its history began anew. */
    #joined(group, { offset, epoch, recovered = true }) {
      const place = this.#groups.get(group);
      const same = recovered && place?.epoch === epoch;
      if (same && place.offset < offset) return this.#ask(group); // we were in it before
      if (!recovered || (place?.epoch && !same)) this.#emit("gap", group);
      this.#place(group, { offset: recovered && !place?.epoch ? Math.max(offset, place?.offset ?? 0) : offset, epoch });
    }
  }

  Greenimi.Error = GreenimiError;
  globalThis.Greenimi = Greenimi;
  if (typeof module === "object") module.exports = Greenimi;
})();
