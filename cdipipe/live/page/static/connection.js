// The websocket: it connects anew by itself, says that a round of messages was taken in, and notices silence.

import { unpack } from "./message.js";

const SHORTEST_MS = 500;
const LONGEST_MS = 5000;
const SILENT_MS = 15000;
const HIDDEN_MS = 2000; // between the messages of a page that nobody sees

export class Connection {
  /** `on` has message(text), refused(why), opened(), lost({again, ended, why}). */
  constructor(on) {
    this.on = on;
    this.delay = SHORTEST_MS;
    this.heard = 0;
    setInterval(() => this.listen(), 1000);
    addEventListener("online", () => this.hurry());
    document.addEventListener("visibilitychange", () => document.hidden || this.hurry());
    this.open();
  }

  open() {
    clearTimeout(this.timer);
    this.timer = undefined;
    const address = new URL("live" + location.search, location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(address);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    this.heard = Date.now();
    socket.onopen = () => {
      this.heard = Date.now();
      this.on.opened();
    };
    socket.onmessage = (event) => this.take(event.data);
    socket.onclose = (event) => this.lost(socket, event);
  }

  take(data) {
    this.heard = Date.now();
    if (typeof data !== "string") {
      this.delay = SHORTEST_MS;
      this.on.message(unpack(data));
      return;
    }
    const text = JSON.parse(data);
    if (text.refused) this.on.refused(text.refused);
    if (text.round) setTimeout(() => this.say({ do: "seen" }), document.hidden ? HIDDEN_MS : 0);
  }

  /** Send what a person asked for; false where nobody is there to hear it. */
  say(wish) {
    if (this.socket.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(wish));
    return true;
  }

  lost(socket, event) {
    if (socket !== this.socket) return;
    const ended = event.code === 1000 && event.reason === "ended";
    this.delay = ended ? LONGEST_MS : Math.min(this.delay * 1.6, LONGEST_MS);
    this.timer = setTimeout(() => this.open(), this.delay);
    this.on.lost({ again: this.delay, ended, why: event.reason });
  }

  /** Connect now rather than later. */
  hurry() {
    if (this.timer !== undefined) this.open();
  }

  /** A server speaks at least twice a second; one that is silent is given up. */
  listen() {
    if (this.timer === undefined && !document.hidden && Date.now() - this.heard > SILENT_MS) {
      this.socket.onclose = null;
      this.socket.close();
      this.lost(this.socket, { code: 1006, reason: "no news" });
    }
  }
}
